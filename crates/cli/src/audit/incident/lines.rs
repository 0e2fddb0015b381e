//! An incident for a terminal.

use serde_json::Value;

use super::words::{self, ending, figure};
use crate::output::{items, standing, text};
use crate::screen::{Paint, printable};
use crate::table::Table;

/// Hours that are shown.
const HOURS: usize = 24;

/// All of it, line by line.
pub(super) fn of(incident: &Value, paint: Paint) -> Vec<String> {
    let mut lines = head(incident, paint);
    lines.push(String::new());
    let mut table = Table::new(&["TIME", "KNOWN", "WHAT"]);
    let told: Vec<_> = items(incident, "timeline").iter().map(words::line).collect();
    for line in &told {
        table.row([line.at.as_str(), line.known, line.what.as_str()]);
    }
    let table = table.lines(paint);
    let (first, rest) = table.split_at(1);
    lines.extend_from_slice(first);
    for (row, line) in rest.iter().zip(&told) {
        lines.push(if line.grave { paint.red(row) } else { row.clone() });
        if !line.detail.is_empty() {
            lines.push(paint.dim(&format!("    {}", printable(&line.detail))));
        }
    }
    lines.extend(origins(&incident["attempts"], paint));
    lines
}

fn head(incident: &Value, paint: Paint) -> Vec<String> {
    let part = |member| printable(&text(incident, member)).into_owned();
    let name = match part("name") {
        name if name.is_empty() => String::new(),
        name => format!(" ({name})"),
    };
    let mut lines = vec![
        format!(
            "key {}{name} of tenant {}: {}",
            part("key_id"),
            part("tenant"),
            standing(paint, &part("standing"))
        ),
        format!("owner:     {}", part("owner")),
    ];
    match incident["began"].as_object() {
        Some(_) => {
            let began = &incident["began"];
            let what = ending(began["what"].as_str().unwrap_or_default());
            lines.push(format!(
                "began:     {}, {what} at position {}",
                text(began, "at"),
                text(began, "position")
            ));
        }
        None => lines.push("began:     nothing was ever the matter with this key".to_owned()),
    }
    lines.push(format!("exposure:  {}", printable(&words::exposure(incident))));
    lines.extend(spans(items(incident, "spans")));
    lines.push(format!("accepted:  {}", printable(&words::accepted(incident))));
    lines.extend(words::successor(incident).map(|words| format!("successor: {words}")));
    lines.extend(words::attempts(incident).map(|words| format!("attempts:  {}", printable(&words))));
    if incident["whole"] == false {
        lines.push(paint.yellow("the history is too long: only its first events are told"));
    }
    lines
}

/// Where there is more than one.
fn spans(spans: &[Value]) -> Vec<String> {
    if spans.len() < 2 {
        return Vec::new();
    }
    let edge = |edge: &Value| ending(edge["what"].as_str().unwrap_or("now")).to_owned();
    let line = |span: &Value| {
        let enforced = printable(&figure(&span["enforced"])).into_owned();
        format!("           from {} to {}: {enforced}", edge(&span["from"]), edge(&span["until"]))
    };
    spans.iter().map(line).collect()
}

/// Services, networks and hours of what was tried.
fn origins(attempts: &Value, paint: Paint) -> Vec<String> {
    let mut lines = Vec::new();
    for (head, list, name) in [("SERVICE", "services", "service"), ("NETWORK", "networks", "name")] {
        let (parts, other) = (items(attempts, list), &attempts[format!("other_{list}")]);
        if parts.is_empty() && other.is_null() {
            continue;
        }
        let mut table = Table::new(&[head, "REFUSED", "VALID BEFORE", "LAST SEEN"]);
        let mut row = |name: &str, part: &Value| {
            let cells = ["refused", "valid", "last_seen"].map(|member| text(part, member));
            table.row(std::iter::once(name).chain(cells.iter().map(String::as_str)));
        };
        for part in parts {
            let told = text(part, name);
            row(if told.is_empty() { "(not told)" } else { &told }, part);
        }
        if !other.is_null() {
            row("(others)", other);
        }
        lines.push(String::new());
        lines.extend(table.lines(paint));
    }
    let hours = items(attempts, "hours");
    if !hours.is_empty() {
        let mut table = Table::new(&["REFUSED IN THE HOUR OR DAY FROM", "COUNT"]);
        for hour in hours.iter().rev().take(HOURS).rev() {
            table.row([text(hour, "start").as_str(), text(hour, "refused").as_str()]);
        }
        lines.push(String::new());
        lines.extend(table.lines(paint));
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::given::incident;
    use super::*;

    #[test]
    fn every_figure_says_how_well_it_is_known() {
        let lines = of(&incident(), Paint::plain()).join("\n");
        for told in [
            "began:     2026-11-30T12:00:00.000Z, leak report at position 5",
            "exposure:  at most 5402 ms: a verifier was not heard",
            "or later, 5 ms after it began; 4 at most since it began",
            "attempts:  at least 3 refused since it ended (not all was reported: mail-1:8750)",
            "NOT YET refused by guard mailer",
            "last from service lists, network not told",
        ] {
            assert!(lines.contains(told), "{told}: {lines}");
        }
        assert!(!lines.contains('\u{1b}') && lines.contains("forged\u{fffd}"), "{lines}");
    }

    #[test]
    fn what_nobody_knows_is_never_a_number() {
        let mut incident = incident();
        incident["exposure"] = json!({"ms": null, "exactness": "unknown", "why": "no receipt of it is here"});
        let lines = of(&incident, Paint::plain()).join("\n");
        assert!(lines.contains("exposure:  not known: no receipt of it is here"), "{lines}");
        (incident["began"], incident["attempts"]) = (Value::Null, Value::Null);
        incident["accepted"] =
            json!({"last_at": null, "last_exactness": "exact", "count": 0, "count_exactness": "exact"});
        let lines = of(&incident, Paint::plain()).join("\n");
        assert!(
            lines.contains("nothing was ever the matter") && lines.contains("accepted:  never used"),
            "{lines}"
        );
        assert!(!lines.contains("since it began"), "{lines}");
    }
}
