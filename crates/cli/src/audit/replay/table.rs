//! An event as a line for people. The columns have fixed widths, since nobody knows what is still to come.

use serde_json::Value;

use crate::output::text;
use crate::screen::{Paint, printable};

/// Heads and widths; a longer cell is cut.
const COLUMNS: [(&str, usize); 10] = [
    ("POSITION", 9),
    ("TIME", 24),
    ("EVENT", 17),
    ("TENANT", 12),
    ("KEY ID", 26),
    ("BY", 26),
    ("CAUSE", 9),
    ("WHY", 32),
    ("COMMAND", 26),
    ("TRACE", 32),
];

/// The heading, with its end.
pub(super) fn head(paint: Paint) -> String {
    format!("{}\n", paint.dim(&joined(COLUMNS.map(|(head, _)| head.to_owned()))))
}

/// One event, with its end.
pub(super) fn line(event: &Value) -> String {
    let of = |name| text(event, name);
    let actor = &event["actor"];
    let by = match text(actor, "key_id") {
        id if id.is_empty() => format!("{} {}", text(actor, "kind"), text(actor, "source")),
        id => id,
    };
    let unreadable = of("unreadable");
    let (kind, why) = if unreadable.is_empty() {
        (of("type"), [text(&event["data"], "reason"), text(&event["data"], "note")].join(" "))
    } else {
        ("(unreadable)".to_owned(), unreadable)
    };
    let trace = of("trace_context").split('-').nth(1).unwrap_or_default().to_owned();
    let tenant = [of("tenant"), of("stream")].concat();
    let cells = [
        of("position"),
        of("occurred_at"),
        kind,
        tenant,
        of("key_id"),
        by.trim().to_owned(),
        of("cause"),
        why.trim().to_owned(),
        of("command_id"),
        trace,
    ];
    format!("{}\n", joined(cells))
}

fn joined(cells: [String; COLUMNS.len()]) -> String {
    let cells = cells.iter().zip(COLUMNS).map(|(text, (_, width))| format!("{:<width$}", cell(text, width)));
    cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
}

fn cell(text: &str, width: usize) -> String {
    let text = printable(text);
    match text.chars().count() {
        0 => "-".to_owned(),
        count if count <= width => text.into_owned(),
        _ => text.chars().take(width - 1).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn columns_line_up_and_nothing_drives_the_terminal() {
        let event = json!({
            "actor": {"key_id": "01A", "kind": "operator"}, "cause": "command", "command_id": "c",
            "data": {"reason": "compromised", "note": "in a \u{1b}[2Jpublic list, for all to see"}, "key_id": "01K",
            "occurred_at": "2026-11-23T12:00:00.000Z", "position": 7, "tenant": "acme", "type": "KeyRevoked",
            "trace_context": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        });
        let (head, line) = (head(Paint::plain()), line(&event));
        for (name, cell) in
            [("EVENT", "KeyRevoked "), ("BY", "01A "), ("WHY", "compromised in a \u{fffd}[2Jpub")]
        {
            let column = head.find(name).unwrap();
            let shown: String = line.chars().skip(column).collect();
            assert!(shown.starts_with(cell), "{name}: {line}");
        }
        assert!(line.ends_with("4bf92f3577b34da6a3ce929d0e0e4736\n"), "{line}");
        let unread =
            super::line(&json!({"position": 8, "stream": "acme._tenant", "unreadable": "no envelope"}));
        assert!(unread.contains("(unreadable)") && unread.contains("no envelope"), "{unread}");
    }
}
