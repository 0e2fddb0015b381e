//! `rescind key transfer`: the key belongs to another owner.

use clap::Args;
use serde_json::json;

use super::change::Change;
use crate::exit::Exit;
use crate::failure::Failure;

/// Give a key to another owner
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind key transfer 01JDA7W5W6M4Q0T3S8V2N9X1YZ --owner list-team")]
pub(crate) struct Transfer {
    #[command(flatten)]
    change: Change,
    /// Whom it will belong to
    #[arg(long)]
    owner: String,
}

impl Transfer {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        self.change.amend(json!({"owner": self.owner}), "transferred")
    }
}
