//! `rescind audit explain`: whether a key passed at a moment, and who or what decided that.

use clap::Args;
use serde_json::Value;

use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::KeyFlags;
use crate::output::{fields, text};
use crate::{clock, when};

/// Tell whether a key was good at a moment, and which event decided it
#[derive(Args, Debug)]
#[command(after_help = "\
The answer comes from the log alone: what a verify of the key said on a server that had heard all up to that moment.

Examples:
  rescind audit explain 01JDA7W5W6M4Q0T3S8V2N9X1YZ --at 2026-11-23T12:00:00Z --scope campaigns:send
  rescind audit explain 01JDA7W5W6M4Q0T3S8V2N9X1YZ --at 812 --network 192.0.2.7")]
pub(crate) struct Explain {
    /// Which key
    key_id: String,
    /// When: a position, a time, or so long ago: 812, 2026-11-23T12:00:00Z, 7d [default: now]
    #[arg(long, value_name = "POSITION|TIME")]
    at: Option<String>,
    /// What it would have been used for; without it, whether it could be used at all
    #[arg(long)]
    scope: Option<String>,
    /// The address that it would have come from
    #[arg(long, value_name = "ADDRESS")]
    network: Option<String>,
    #[command(flatten)]
    flags: KeyFlags,
}

impl Explain {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let call = Call::get(format!("{}/explain", self.flags.key_path(&self.key_id)?))
            .with_some("at", when::moment("--at", self.at.as_deref(), clock::wall())?)
            .with_some("scope", self.scope.as_ref())
            .with_some("network", self.network.as_ref());
        let body = client.send(&call)?.body;
        self.flags.server.output.show(&body, human)?;
        Ok(Exit::Ok)
    }
}

fn human(body: &Value) -> Vec<String> {
    let mut lines = fields(
        body,
        &[
            ("verdict", "verdict"),
            ("why", "why"),
            ("rule", "rule"),
            ("standing", "standing"),
            ("since", "since"),
        ],
    );
    let as_of = &body["as_of"];
    lines.push(format!("as of position {}, {}", text(as_of, "position"), text(as_of, "time")));
    let event = &body["decided_by"];
    if event.is_null() {
        return lines;
    }
    lines.extend(["".to_owned(), "decided by".to_owned()]);
    let mut event = event.clone();
    event["reason"] = event["data"]["reason"].clone();
    event["note"] = event["data"]["note"].clone();
    lines.extend(fields(
        &event,
        &[
            ("  position", "position"),
            ("  event", "type"),
            ("  time", "occurred_at"),
            ("  actor", "actor"),
            ("  cause", "cause"),
            ("  reason", "reason"),
            ("  note", "note"),
            ("  command", "command_id"),
            ("  trace", "trace_context"),
            ("  unreadable", "unreadable"),
        ],
    ));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_explanation_names_the_event_and_who_asked() {
        let lines = human(&json!({
            "verdict": "revoked", "why": "it was revoked at position 7", "rule": "revoked", "standing": "revoked",
            "since": "T", "as_of": {"position": 9, "time": "T2"},
            "decided_by": {
                "position": 7, "type": "KeyRevoked", "actor": {"kind": "operator", "key_id": "01A"},
                "cause": "command", "command_id": "c", "data": {"reason": "compromised"},
            },
        }));
        let all = lines.join("\n");
        for wanted in ["verdict:  revoked", "as of position 9, T2", "KeyRevoked", "key_id=01A", "compromised"]
        {
            assert!(all.contains(wanted), "{wanted}:\n{all}");
        }
        let none =
            human(&json!({"verdict": "unknown", "as_of": {"position": 1, "time": "T"}, "decided_by": null}));
        assert_eq!(none.last().unwrap(), "as of position 1, T");
    }
}
