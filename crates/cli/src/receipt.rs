//! Who has enforced an ending: drawn while it is awaited, told when it is over, and never called done before it is.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use clap::{Args, ValueEnum};
use serde_json::Value;

use crate::client::{Call, Client};
use crate::clock;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::{items, text};
use crate::progress::{Progress, bar};
use crate::screen::printable;

/// How long one question waits for the receipt's end: so often the line is drawn anew.
const ASK_MS: u64 = 250;

/// What to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Wait {
    /// Until the server refuses
    Effective,
    /// Until every verifier refuses
    Enforced,
}

/// How long a verb waits for the fleet.
#[derive(Args, Debug)]
pub(crate) struct Waiting {
    /// What to wait for. Unless given: every verifier that the server can name
    #[arg(long, value_enum)]
    wait: Option<Wait>,
    /// How many seconds to wait for verifiers at most
    #[arg(long, value_name = "SECONDS", default_value_t = 6, value_parser = clap::value_parser!(u32).range(..=60))]
    timeout: u32,
}

impl Waiting {
    /// The command, answered as soon as the server itself refuses; the rest is awaited by [`Self::follow`].
    pub(crate) fn begin(call: Call) -> Call {
        call.with("wait", "effective")
    }

    /// Awaits the receipt of an answer, puts its last state in the answer's place, and says how that ends the run.
    pub(crate) fn follow(&self, client: &Client, body: &mut Value) -> Result<Exit, Failure> {
        if self.wait == Some(Wait::Effective) || body["receipt"].is_null() {
            return Ok(Exit::Ok);
        }
        let until = clock::now() + Duration::from_secs(self.timeout.into());
        let line = Arc::new(Mutex::new(line(&body["receipt"])));
        let drawn = Arc::clone(&line);
        let progress = Progress::draw(move || drawn.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let path = format!("/v1/receipts/{}", body["receipt"]["id"]);
        while self.is_awaited(&body["receipt"]) && clock::now() < until {
            let receipt = client.send(&Call::get(path.as_str()).with("timeout_ms", ASK_MS))?.body;
            *line.lock().unwrap_or_else(PoisonError::into_inner) = self::line(&receipt);
            body["receipt"] = receipt;
        }
        drop(progress);
        Ok(if self.is_awaited(&body["receipt"]) { Exit::Outstanding } else { Exit::Ok })
    }

    fn is_awaited(&self, receipt: &Value) -> bool {
        let strangers = self.wait == Some(Wait::Enforced) && receipt["complete"] != true;
        strangers || !items(receipt, "outstanding").is_empty()
    }
}

fn counts(receipt: &Value) -> (u64, u64) {
    let enforced = items(receipt, "enforced").len() as u64;
    (enforced, enforced + items(receipt, "outstanding").len() as u64)
}

/// The line that is drawn.
fn line(receipt: &Value) -> String {
    let (enforced, all) = counts(receipt);
    let names: Vec<String> = items(receipt, "outstanding").iter().take(3).map(named).collect();
    format!("{} enforced by {enforced} of {all}, waiting for {}", bar(enforced, all), names.join(", "))
}

fn named(verifier: &Value) -> String {
    printable(&text(verifier, "name")).into_owned()
}

/// What a receipt says, in lines.
pub(crate) fn told(receipt: &Value) -> Vec<String> {
    if receipt.is_null() {
        return vec!["enforced by others: not known, the server's own index is behind".to_owned()];
    }
    let (enforced, all) = counts(receipt);
    // A late receipt knows who, but not since when.
    let last = items(receipt, "enforced").iter().filter_map(|one| one["after_ms"].as_u64()).max();
    let last = last.map(|ms| format!(", the last after {ms} ms")).unwrap_or_default();
    let mut lines = match items(receipt, "outstanding") {
        [] => vec![format!("enforced by {enforced} of {all} verifiers{last}")],
        outstanding => {
            let mut lines =
                vec![format!("NOT ENFORCED BY ALL: {enforced} of {all} verifiers refuse; outstanding:")];
            lines.extend(outstanding.iter().map(|one| {
                format!("  {}: refuses by itself within {} ms", named(one), text(one, "refuses_within_ms"))
            }));
            lines
        }
    };
    let by = |how: &str| items(receipt, "enforced").iter().filter(|one| one["by"] == how).count();
    if by("bound") > 0 {
        lines.push(format!(
            "  {} of them were not heard, and refuse since their bound has passed",
            by("bound")
        ));
    }
    if receipt["fleet"] == "unknown" {
        lines.push(match receipt["known_within_ms"].as_u64() {
            Some(ms) => format!("there may be verifiers that this server has not heard of, for {ms} ms more"),
            None => "this server cannot know all verifiers now: there may be others".to_owned(),
        });
    }
    lines.push(format!("receipt: {}", text(receipt, "id")));
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_is_called_enforced_by_all_that_is_not() {
        let whole = json!({"id": 9, "complete": true, "fleet": "known", "outstanding": [],
            "enforced": [{"name": "one", "by": "index", "after_ms": 0}, {"name": "mailer", "by": "bound", "after_ms": 4100}]});
        let lines = told(&whole).join("\n");
        assert!(lines.contains("enforced by 2 of 2 verifiers, the last after 4100 ms"), "{lines}");
        assert!(lines.contains("1 of them were not heard"), "{lines}");
        let part = json!({"id": 9, "complete": false, "fleet": "unknown", "known_within_ms": 70,
            "enforced": [{"name": "one", "by": "index", "after_ms": 0}],
            "outstanding": [{"name": "mailer\u{1b}[0m", "refuses_within_ms": 3200}]});
        let lines = told(&part).join("\n");
        assert!(lines.contains("NOT ENFORCED BY ALL: 1 of 2"), "{lines}");
        assert!(
            lines.contains("refuses by itself within 3200 ms") && lines.contains("for 70 ms more"),
            "{lines}"
        );
        assert!(!lines.contains('\u{1b}'), "{lines}");
        assert!(told(&Value::Null)[0].contains("not known"));
    }

    #[test]
    fn only_named_verifiers_are_awaited_unless_asked() {
        let unknown = json!({"complete": false, "outstanding": []});
        let waiting = |wait| Waiting { wait, timeout: 1 };
        assert!(!waiting(None).is_awaited(&unknown));
        assert!(waiting(Some(Wait::Enforced)).is_awaited(&unknown));
        assert!(waiting(None).is_awaited(&json!({"complete": false, "outstanding": [{"name": "mailer"}]})));
    }
}
