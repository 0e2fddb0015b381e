//! `rescind audit replay`: the log as it stands, one JSON object an event.

use std::time::Duration;

use clap::Args;
use serde_json::Value;

use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::lines::next_line;
use crate::screen;
use crate::{clock, key_id, when};

/// How long the answer may pause: a long log with few events that are wanted is searched in silence.
const SILENCE: Duration = Duration::from_secs(120);

/// Print the log as NDJSON, oldest first: who did what to which key, when and why
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rescind audit replay --tenant acme --since 7d
  rescind audit replay --key 01JDA7W5W6M4Q0T3S8V2N9X1YZ | jq .")]
pub(crate) struct Replay {
    /// Only events of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Only events of this key
    #[arg(long, value_name = "KEY_ID")]
    key: Option<String>,
    /// Only events from then on: 2026-11-01T00:00:00Z, or 7d ago
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Only events before then: 2026-11-01T00:00:00Z, or 1h ago
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// From this position on
    #[arg(long, value_name = "POSITION")]
    from: Option<u64>,
    /// Up to this position, itself included
    #[arg(long, value_name = "POSITION")]
    to: Option<u64>,
    // The output is JSON in any case; the flag is there so that scripts need no exception.
    #[command(flatten)]
    flags: ServerFlags,
}

impl Replay {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let now = clock::wall();
        let instant = |flag: &str, text: Option<&str>| {
            let read = text.map(|text| when::past(text, now)).transpose();
            let read = read.map_err(|why| Failure::usage(format!("{flag} is not a time")).because(why));
            read.map(|at| at.map(wire::format_rfc3339))
        };
        let key = self.key.as_deref().map(key_id::parse).transpose()?;
        let call = Call::get("/v1/events")
            .with_some("from", self.from)
            .with_some("to", self.to)
            .with_some("tenant", self.tenant.as_ref())
            .with_some("key", key)
            .with_some("since", instant("--since", self.since.as_deref())?)
            .with_some("until", instant("--until", self.until.as_deref())?);
        let mut reader = client.stream(&call, &[], SILENCE)?;
        let mut last = None;
        loop {
            let line = next_line(&mut reader).map_err(|error| broken_off(last, &error.to_string()))?;
            let Some(line) = line else { return Ok(Exit::Ok) };
            if line.is_empty() {
                continue;
            }
            let event: Value =
                serde_json::from_str(&line).map_err(|error| broken_off(last, &error.to_string()))?;
            last = event["position"].as_u64().or(last);
            screen::data(&line)?;
        }
    }
}

/// An answer that ends early must not look like a short log.
fn broken_off(last: Option<u64>, why: &str) -> Failure {
    let last = last.unwrap_or(0);
    Failure::new(
        Exit::Error,
        "log_broke_off",
        format!("the answer broke off after position {last}: what was printed is not all"),
    )
    .because(why)
    .remedy(format!("go on with --from {}", last + 1))
}
