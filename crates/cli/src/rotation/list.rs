//! `rescind rotation list`: every rotation, how far it is, and for whom it waits.

use clap::Args;
use serde_json::{Value, json};

use crate::client::{Call, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::{items, text};
use crate::screen::{self, Paint, printable};
use crate::table::Table;

/// The most that the server gives in one page.
const PAGE: u16 = 200;

/// List rotations, and who has not moved to the new key
#[derive(Args, Debug)]
#[command(
    after_help = "Examples:\n  rescind rotation list\n  rescind rotation list --state running --tenant acme --json"
)]
pub(crate) struct List {
    /// Only those in this state
    #[arg(long, value_parser = ["running", "finished", "cancelled", "overtaken"])]
    state: Option<String>,
    /// The tenant of the keys
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    flags: ServerFlags,
}

impl List {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("/v1/tenants/{}/rotations", segment("tenant id", &self.tenant)?);
        let call = client.fresh(Call::get(path).with("limit", PAGE).with_some("state", self.state.as_ref()));
        let (mut rotations, mut cursor) = (Vec::new(), None);
        loop {
            let body = client.send(&call.clone().with_some("cursor", cursor.as_ref()))?.body;
            rotations.extend_from_slice(items(&body, "rotations"));
            let next = body["next_cursor"].as_str().map(str::to_owned);
            if next.is_none() || next == cursor {
                break;
            }
            cursor = next;
        }
        if self.flags.output.json {
            screen::data(&json!({"rotations": rotations}).to_string())?;
            return Ok(Exit::Ok);
        }
        if rotations.is_empty() {
            screen::say("no rotations");
        } else {
            table(&rotations).iter().try_for_each(|line| screen::data(line))?;
        }
        Ok(Exit::Ok)
    }
}

fn table(rotations: &[Value]) -> Vec<String> {
    let mut table =
        Table::new(&["OLD KEY", "NEW KEY", "STATE", "ENDS", "STARTED", "NEW KEY USED", "WAITS FOR"]);
    for rotation in rotations {
        let adopted = match text(rotation, "adopted_at") {
            at if at.is_empty() => "never".to_owned(),
            at => at,
        };
        let cells = [
            text(rotation, "key_id"),
            text(rotation, "successor"),
            text(rotation, "state"),
            rule(&rotation["rule"]),
            text(rotation, "started_at"),
            adopted,
            waits_for(rotation),
        ];
        table.row(cells.iter().map(String::as_str));
    }
    let mut lines = table.lines(Paint::stdout());
    for rotation in rotations {
        lines.extend(stragglers(rotation));
    }
    lines
}

fn rule(rule: &Value) -> String {
    match rule["on"].as_str() {
        Some("time") => format!("at {}", text(rule, "at")),
        Some("evidence") => format!("quiet {}", span(rule["quiet_s"].as_u64().unwrap_or_default())),
        _ => "by hand".to_owned(),
    }
}

/// Seconds as people say them.
fn span(seconds: u64) -> String {
    match seconds {
        s if s > 0 && s % 86_400 == 0 => format!("{}d", s / 86_400),
        s if s > 0 && s % 3_600 == 0 => format!("{}h", s / 3_600),
        s if s > 0 && s % 60 == 0 => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

fn waits_for(rotation: &Value) -> String {
    let services: Vec<String> = items(rotation, "stragglers").iter().map(name_of).collect();
    let unreported = items(rotation, "unreported");
    let missing = unreported.iter().filter_map(Value::as_str).map(|name| format!("reports of {name}"));
    services.into_iter().chain(missing).collect::<Vec<_>>().join(", ")
}

fn name_of(straggler: &Value) -> String {
    straggler["service"].as_str().unwrap_or("others").to_owned()
}

/// A line for each service that has not moved.
fn stragglers(rotation: &Value) -> impl Iterator<Item = String> {
    let key_id = text(rotation, "key_id");
    items(rotation, "stragglers").iter().map(move |straggler| {
        let from = match text(straggler, "network") {
            network if network.is_empty() => "an unknown network".to_owned(),
            network => network,
        };
        let also = if straggler["seen_with_successor"] == true { "; it uses the new key too" } else { "" };
        printable(&format!(
            "straggler of {key_id}: {} from {from}, last seen {}{also}",
            name_of(straggler),
            text(straggler, "last_seen_at")
        ))
        .into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_not_moved_is_named() {
        let rotation = json!({
            "key_id": "01J", "successor": "01K", "state": "running", "rule": {"on": "evidence", "quiet_s": 7200},
            "stragglers": [{"service": "mailer", "network": "192.0.2.0/24", "last_seen_at": "2026-11-23T12:00:00Z"}],
            "unreported": ["verifier-2"],
        });
        assert_eq!(waits_for(&rotation), "mailer, reports of verifier-2");
        let lines: Vec<_> = stragglers(&rotation).collect();
        assert_eq!(lines, ["straggler of 01J: mailer from 192.0.2.0/24, last seen 2026-11-23T12:00:00Z"]);
        assert_eq!(
            (rule(&rotation["rule"]), span(90), span(172_800)),
            ("quiet 2h".into(), "90s".into(), "2d".into())
        );
    }
}
