//! `rescind key rescope`: the key may do other things.

use clap::Args;
use serde_json::json;

use super::change::Change;
use crate::exit::Exit;
use crate::failure::Failure;

/// Change what a key may do: the scopes named are all that it has then
#[derive(Args, Debug)]
#[command(after_help = "\
More than the key has needs an operator with keys:issue.

Example:
  rescind key rescope 01JDA7W5W6M4Q0T3S8V2N9X1YZ --scope campaigns:send --scope lists:read")]
#[group(id = "scoped", required = true, multiple = false, args = ["scopes", "no_scopes"])]
pub(crate) struct Rescope {
    #[command(flatten)]
    change: Change,
    /// What it may do, such as campaigns:send; may be repeated
    #[arg(long = "scope", value_name = "SCOPE")]
    scopes: Vec<String>,
    /// Nothing but to be valid
    #[arg(long)]
    no_scopes: bool,
}

impl Rescope {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        self.change.amend(json!({"scopes": self.scopes}), "rescoped")
    }
}
