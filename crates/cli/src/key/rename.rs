//! `rescind key rename`: people call the key otherwise.

use clap::Args;
use serde_json::json;

use super::change::Change;
use crate::exit::Exit;
use crate::failure::Failure;

/// Rename a key
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  rescind key rename 01JDA7W5W6M4Q0T3S8V2N9X1YZ --name 'autumn campaign mailer'"
)]
#[group(id = "called", required = true, multiple = false, args = ["name", "no_name"])]
pub(crate) struct Rename {
    #[command(flatten)]
    change: Change,
    /// What people will call it
    #[arg(long)]
    name: Option<String>,
    /// Take its name away
    #[arg(long)]
    no_name: bool,
}

impl Rename {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        self.change.amend(json!({"name": self.name}), "renamed")
    }
}
