//! How a verb shows what it got: the API's JSON for scripts, lines and tables for people.

use clap::Args;
use serde_json::Value;

use crate::failure::Failure;
use crate::screen::{self, Paint, printable};
use crate::table::Table;

/// The choice between people and scripts.
#[derive(Args, Clone, Copy, Debug)]
pub(crate) struct Output {
    /// Print the API's JSON; failures become one line of JSON on stderr
    #[arg(long)]
    pub(crate) json: bool,
}

impl Output {
    /// Prints the body for scripts, or else what `human` makes of it.
    pub(crate) fn show(self, body: &Value, human: impl FnOnce(&Value) -> Vec<String>) -> Result<(), Failure> {
        if self.json {
            return screen::data(&body.to_string());
        }
        human(body).iter().try_for_each(|line| screen::data(line))
    }
}

/// A member as text: strings as they are, arrays joined, objects as `name=value`, absent as nothing.
pub(crate) fn text(object: &Value, name: &str) -> String {
    plain(&object[name])
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(" "),
        Value::Object(members) if members.contains_key("sealed") => "(sealed)".to_owned(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| format!("{name}={}", plain(value)))
            .collect::<Vec<_>>()
            .join(" "),
        other => other.to_string(),
    }
}

/// The members of a list answer.
pub(crate) fn items<'a>(body: &'a Value, name: &str) -> &'a [Value] {
    body[name].as_array().map_or(&[], Vec::as_slice)
}

/// Colours a standing by what it means for whoever holds the key.
pub(crate) fn standing(paint: Paint, word: &str) -> String {
    let word = printable(word);
    match &*word {
        "active" => paint.green(&word),
        "revoked" | "recalled" | "quarantined" => paint.red(&word),
        _ => paint.yellow(&word),
    }
}

/// `name: value` lines for the members that are there.
pub(crate) fn fields(object: &Value, names: &[(&str, &str)]) -> Vec<String> {
    let shown =
        names.iter().map(|(label, name)| (label, text(object, name))).filter(|(_, text)| !text.is_empty());
    let shown: Vec<_> = shown.collect();
    let width = shown.iter().map(|(label, _)| label.len()).max().unwrap_or(0) + 1;
    shown.iter().map(|(label, text)| format!("{:<width$} {}", format!("{label}:"), printable(text))).collect()
}

/// Keys as a table.
pub(crate) fn keys_table(keys: &[Value], paint: Paint) -> Vec<String> {
    let mut table =
        Table::new(&["KEY ID", "STANDING", "NAME", "OWNER", "ENV", "SCOPES", "LABELS", "ISSUED", "EXPIRES"]);
    for key in keys {
        let cells = [
            "key_id",
            "standing",
            "name",
            "owner",
            "environment",
            "scopes",
            "labels",
            "issued_at",
            "expires_at",
        ];
        let cells = cells.map(|name| text(key, name));
        table.row(cells.iter().map(String::as_str));
    }
    table.lines(paint)
}

/// The history of a key as a table.
pub(crate) fn history_table(events: &[Value], paint: Paint) -> Vec<String> {
    let mut table = Table::new(&["POSITION", "REV", "TIME", "EVENT", "BY", "WHY"]);
    for event in events {
        let by = match text(&event["actor"], "key_id") {
            id if id.is_empty() => text(&event["actor"], "kind"),
            id => id,
        };
        let why = [text(&event["data"], "reason"), text(&event["data"], "note")].join(" ");
        let cells = [
            text(event, "position"),
            text(event, "revision"),
            text(event, "occurred_at"),
            text(event, "type"),
            by,
            why.trim().to_owned(),
        ];
        table.row(cells.iter().map(String::as_str));
    }
    table.lines(paint)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn members_read_as_people_write_them() {
        let key = json!({
            "key_id": "01J", "scopes": ["campaigns:send", "lists:*"], "labels": {"service": "mailer"},
            "name": {"sealed": true}, "expires_at": null, "revision": 2
        });
        for (name, shown) in [
            ("scopes", "campaigns:send lists:*"),
            ("labels", "service=mailer"),
            ("name", "(sealed)"),
            ("expires_at", ""),
            ("revision", "2"),
            ("absent", ""),
        ] {
            assert_eq!(text(&key, name), shown);
        }
        let lines = fields(&key, &[("key id", "key_id"), ("expires", "expires_at"), ("rev", "revision")]);
        assert_eq!(lines, ["key id: 01J", "rev:    2"]);
    }

    #[test]
    fn a_list_shows_a_line_a_key_and_cannot_be_forged() {
        let forged = json!({"key_id": "01J", "standing": "active", "name": "a\n01K  active"});
        let lines = keys_table(&[forged], Paint::plain());
        assert_eq!(lines.len(), 2);
        assert!(lines[1].contains("a\u{fffd}01K"));
    }

    #[test]
    fn a_history_says_who_and_why() {
        let revoked = json!({
            "position": 7, "revision": 2, "occurred_at": "2026-11-23T12:00:00.000Z", "type": "KeyRevoked",
            "actor": {"kind": "operator", "key_id": "01A"}, "data": {"reason": "compromised", "note": "in a public list"}
        });
        let lines = history_table(&[revoked], Paint::plain());
        assert!(lines[1].contains("KeyRevoked  01A  compromised in a public list"), "{lines:?}");
    }
}
