//! `rescind key reinstate`: a suspended key may be used again.

use clap::Args;
use serde_json::json;

use super::change::Change;
use crate::exit::Exit;
use crate::failure::Failure;

/// Reinstate a suspended key
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind key reinstate 01JDA7W5W6M4Q0T3S8V2N9X1YZ --note 'false alarm'")]
pub(crate) struct Reinstate {
    #[command(flatten)]
    change: Change,
    /// Why; kept in the log
    #[arg(long)]
    note: Option<String>,
}

impl Reinstate {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        self.change.act("reinstate", json!({"note": self.note}), "reinstated")
    }
}
