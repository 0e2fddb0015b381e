//! `rescind key usage`: how a key was used, as sparklines and tables, and for which spans that is not known.

use clap::Args;
use serde_json::Value;

use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::KeyFlags;
use crate::output::{fields, items, text};
use crate::screen::Paint;
use crate::table::Table;

/// Show how a key was used: when, for what, by which services, from where, and where it is refused
#[derive(Args, Debug)]
#[command(after_help = "\
In the lines, `·` is nothing, `?` is not known, and a taller block is more.

Example:
  rescind key usage 01JDA7W5W6M4Q0T3S8V2N9X1YZ --tenant acme")]
pub(crate) struct Usage {
    /// Which key
    key_id: String,
    #[command(flatten)]
    flags: KeyFlags,
}

/// Label and member, in the order in which people ask.
const SHOWN: [(&str, &str); 4] =
    [("key id", "key_id"), ("first used", "first_used"), ("last used", "last_used"), ("requests", "total")];

/// From a little to the most of the line.
const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
/// Hours of one line: a day.
const HOURS_A_LINE: usize = 24;
/// Unknown spans that people are shown; `--json` has more.
const SPANS: usize = 10;

impl Usage {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("{}/usage", self.flags.key_path(&self.key_id)?);
        let usage = client.send(&client.fresh(Call::get(path)))?.body;
        self.flags.server.output.show(&usage, |usage| lines(usage, Paint::stdout()))?;
        Ok(Exit::Ok)
    }
}

fn lines(usage: &Value, paint: Paint) -> Vec<String> {
    let mut lines = fields(usage, &SHOWN);
    if usage["last_used"].is_null() {
        let complete = usage["coverage"]["complete"] == true;
        lines.push(if complete { "never used" } else { "no use is known" }.to_owned());
    }
    let hours = items(usage, "hours");
    lines.extend([String::new(), paint.dim("hours, a day a line (UTC begin of its first hour)")]);
    let most = most(hours);
    for day in hours.chunks(HOURS_A_LINE) {
        let start = day.first().map(|hour| text(hour, "start")).unwrap_or_default();
        lines.push(format!("{}  {}", start.get(..16).unwrap_or_default(), sparkline(day, most)));
    }
    let days = items(usage, "days");
    let start = days.first().map(|day| text(day, "start")).unwrap_or_default();
    lines.extend([String::new(), paint.dim("days, 90 of them")]);
    lines.push(format!(
        "{}        {}",
        start.get(..10).unwrap_or_default(),
        sparkline(days, self::most(days))
    ));
    let parts =
        [("SCOPE", "scopes", "name"), ("SERVICE", "services", "service"), ("NETWORK", "networks", "name")];
    for (head, list, name) in parts {
        lines.extend(table(usage, (head, list, name), paint));
    }
    lines.extend(refused(items(usage, "refused"), paint));
    lines.extend(unknown(&usage["coverage"], paint));
    lines
}

/// All verdicts of an hour or a day; none where it is not known.
fn count(bucket: &Value) -> Option<u64> {
    match (bucket["valid"].as_u64(), bucket["refused"].as_u64()) {
        (None, None) => None,
        (valid, refused) => Some(valid.unwrap_or(0) + refused.unwrap_or(0)),
    }
}

fn most(buckets: &[Value]) -> u64 {
    buckets.iter().filter_map(count).max().unwrap_or(0)
}

/// One character a bucket. What is not known is never shown as nothing.
fn sparkline(buckets: &[Value], most: u64) -> String {
    let block = |bucket| match count(bucket) {
        None => '?',
        Some(0) => '·',
        Some(count) => {
            let step = (u128::from(count - 1) * BLOCKS.len() as u128) / u128::from(most.max(1));
            BLOCKS[usize::try_from(step).unwrap_or(0).min(BLOCKS.len() - 1)]
        }
    };
    buckets.iter().map(block).collect()
}

fn table(usage: &Value, (head, list, name): (&'static str, &str, &str), paint: Paint) -> Vec<String> {
    let parts = items(usage, list);
    let other = &usage[format!("other_{list}")];
    if parts.is_empty() && other.is_null() {
        return Vec::new();
    }
    let mut table = Table::new(&[head, "VALID", "REFUSED", "LAST USED", "LAST SEEN", "NETWORK"]);
    for part in parts {
        row(&mut table, &text(part, name), part);
    }
    if !other.is_null() {
        row(&mut table, "(others)", other);
    }
    [String::new()].into_iter().chain(table.lines(paint)).collect()
}

fn row(table: &mut Table, name: &str, part: &Value) {
    let cells = ["valid", "refused", "last_used", "last_seen", "network"].map(|member| text(part, member));
    table.row(std::iter::once(name).chain(cells.iter().map(String::as_str)));
}

fn refused(refused: &[Value], paint: Paint) -> Vec<String> {
    if refused.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&["REFUSED AS", "COUNT", "FIRST", "LAST", "LAST SERVICE", "LAST NETWORK"]);
    for one in refused {
        let cells =
            ["verdict", "count", "first", "last", "service", "network"].map(|member| text(one, member));
        table.row(cells.iter().map(String::as_str));
    }
    [String::new()].into_iter().chain(table.lines(paint)).collect()
}

fn unknown(coverage: &Value, paint: Paint) -> Vec<String> {
    let spans = items(coverage, "unknown");
    if spans.is_empty() {
        return Vec::new();
    }
    let mut table = Table::new(&["UNKNOWN FROM", "TO", "SERVER", "WHY"]);
    for span in spans.iter().rev().take(SPANS) {
        let cells = ["from", "to", "server", "why"].map(|member| text(span, member));
        table.row(cells.iter().map(String::as_str));
    }
    [String::new(), paint.yellow("more may have happened than is counted:")]
        .into_iter()
        .chain(table.lines(paint))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bucket(valid: Option<u64>, refused: Option<u64>) -> Value {
        json!({"start": "2026-11-23T12:00:00.000Z", "valid": valid, "refused": refused})
    }

    #[test]
    fn nothing_little_much_and_unknown_look_different() {
        let buckets = [
            bucket(Some(0), Some(0)),
            bucket(None, None),
            bucket(Some(1), None),
            bucket(Some(400), Some(100)),
            bucket(Some(900), Some(100)),
        ];
        assert_eq!(sparkline(&buckets, most(&buckets)), "·?▁▄█");
        assert_eq!(sparkline(&[bucket(None, None)], 0), "?");
        assert_eq!(sparkline(&[bucket(Some(1), Some(0))], 1), "▁");
    }

    #[test]
    fn a_key_that_was_never_used_is_told_from_one_of_which_none_is_known() {
        let usage = |complete: bool| {
            let unknown = json!([{"from": "a", "to": "b", "server": "mail-1:8750", "why": "silent"}]);
            json!({
                "key_id": "01J", "last_used": null, "total": {"valid": 0, "refused": 0},
                "hours": [bucket(None, None)], "days": [], "scopes": [], "services": [], "networks": [],
                "refused": [],
                "coverage": {"complete": complete, "unknown": if complete { json!([]) } else { unknown }},
            })
        };
        let said = |complete| lines(&usage(complete), Paint::plain()).join("\n");
        assert!(said(true).contains("never used") && !said(true).contains("more may have happened"));
        assert!(said(false).contains("no use is known") && said(false).contains("mail-1:8750"));
        assert!(said(false).contains("2026-11-23T12:00  ?"), "{}", said(false));
    }

    #[test]
    fn who_still_tries_a_refused_key_is_named() {
        let mut usage = json!({
            "key_id": "01J", "last_used": "2026-11-23T12:00:00.000Z", "total": {"valid": 1, "refused": 7},
            "hours": [], "days": [], "scopes": [], "networks": [], "coverage": {"complete": true},
        });
        usage["services"] = json!([{"service": "mailer", "valid": 1, "refused": 0, "last_seen": "t"}]);
        usage["other_services"] = json!({"valid": 2, "refused": 0, "last_seen": "t"});
        usage["refused"] = json!([
            {"verdict": "revoked", "count": 7, "first": "f", "last": "l", "service": "lists", "network": "192.0.2.0/24"}
        ]);
        let lines = lines(&usage, Paint::plain()).join("\n");
        for shown in ["mailer", "(others)", "revoked", "lists", "192.0.2.0/24"] {
            assert!(lines.contains(shown), "{shown}: {lines}");
        }
    }
}
