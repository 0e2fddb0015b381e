//! `rescind key suspend`: the key may not be used until it is reinstated.

use clap::Args;
use serde_json::json;

use super::change::Change;
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::receipt::Waiting;
use crate::when;

/// Suspend a key: it is refused until it is reinstated
#[derive(Args, Debug)]
#[command(
    after_help = "Example:\n  rescind key suspend 01JDA7W5W6M4Q0T3S8V2N9X1YZ --reason investigating --until 24h"
)]
pub(crate) struct Suspend {
    #[command(flatten)]
    change: Change,
    /// Why; kept in the log
    #[arg(long, default_value = "other", value_parser = reasons())]
    reason: String,
    /// More on why; kept in the log
    #[arg(long)]
    note: Option<String>,
    /// When it is reinstated by itself: 2026-12-24T12:00:00Z, or from now: 90m, 24h, 7d
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
    #[command(flatten)]
    waiting: Waiting,
}

fn reasons() -> Vec<&'static str> {
    domain::SuspendReason::ALL.iter().map(|reason| reason.as_str()).collect()
}

impl Suspend {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let until = self.until.as_deref().map(|until| when::future(until, clock::wall())).transpose();
        let until = until.map_err(|error| Failure::usage("--until is not a time").because(error))?;
        let body = json!({
            "reason": self.reason,
            "note": self.note,
            "until": until.map(wire::format_rfc3339),
        });
        self.change.end("suspend", body, "suspended", &self.waiting)
    }
}
