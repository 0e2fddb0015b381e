//! `rescind key expiry`: the key's time is up at another moment.

use clap::Args;
use serde_json::json;

use super::change::Change;
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::when;

/// Change when a key's time is up
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rescind key expiry 01JDA7W5W6M4Q0T3S8V2N9X1YZ --at 90d\n  rescind key expiry 01JDA7W5W6M4Q0T3S8V2N9X1YZ --never"
)]
#[group(id = "expires", required = true, multiple = false, args = ["at", "never"])]
pub(crate) struct Expiry {
    #[command(flatten)]
    change: Change,
    /// When: 2026-12-24T12:00:00Z, or from now: 90m, 24h, 7d
    #[arg(long, value_name = "WHEN")]
    at: Option<String>,
    /// Never
    #[arg(long)]
    never: bool,
}

impl Expiry {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let at = self.at.as_deref().map(|at| when::future(at, clock::wall())).transpose();
        let at = at.map_err(|error| Failure::usage("--at is not a time").because(error))?;
        self.change.amend(json!({"expires_at": at.map(wire::format_rfc3339)}), "moved the expiry of")
    }
}
