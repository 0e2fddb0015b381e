//! An incident as one page: no scripts, nothing from elsewhere, everything escaped; made to be read, printed and handed on.

use serde_json::Value;

use super::words::{self, Line, ending};
use crate::output::{items, text};
use crate::page::{self, TAIL, escaped};

/// The whole page.
pub(super) fn page(incident: &Value) -> String {
    let part = |member: &str| escaped(&text(incident, member));
    let (key_id, tenant, made_at) = (part("key_id"), part("tenant"), part("made_at"));
    let name = match part("name") {
        name if name.is_empty() => "(no name)".to_owned(),
        name => name,
    };
    let below = format!(
        "<strong>{name}</strong> <small class=\"id\">{key_id}</small> of tenant <strong>{tenant}</strong>, owner \
         {}, made at <time>{made_at}</time> by rescind",
        part("owner")
    );
    let rows: String = items(incident, "timeline").iter().map(|entry| row(&words::line(entry))).collect();
    [
        page::head(&format!("Incident of an API key: {key_id}"), "Incident of an API key", &below),
        sum(incident),
        "<table>\n<thead><tr><th>When</th><th>What</th><th>More</th><th>Known</th></tr></thead>\n<tbody>\n"
            .to_owned(),
        rows,
        "</tbody>\n</table>\n".to_owned(),
        origins(&incident["attempts"]),
        TAIL.to_owned(),
    ]
    .concat()
}

fn row(line: &Line) -> String {
    let class = if line.grave { "kind grave" } else { "kind" };
    format!(
        "<tr><td><time>{}</time></td><td class=\"{class}\">{}</td><td>{}</td><td>{}</td></tr>\n",
        escaped(&line.at),
        escaped(&line.what),
        escaped(&line.detail),
        line.known
    )
}

fn sum(incident: &Value) -> String {
    let tile = |head: String, below: &str| format!("<li><b>{}</b>{}</li>", escaped(&head), escaped(below));
    let standing = tile(text(incident, "standing"), "is what the key is now");
    let began = match incident["began"]["what"].as_str() {
        Some(what) => tile(ending(what).to_owned(), &text(&incident["began"], "at")),
        None => tile("never refused".to_owned(), "nothing was ever the matter with this key"),
    };
    let exposure = match incident["exposure"]["ms"].as_u64() {
        _ if incident["began"].is_null() => String::new(),
        Some(ms) => tile(format!("{ms} ms"), "until the last verifier refused"),
        None => tile("not known".to_owned(), "until the last verifier refused"),
    };
    let paragraphs = [
        Some(format!("Exposure: {}.", words::exposure(incident))),
        Some(format!("Accepted: {}.", words::accepted(incident))),
        words::attempts(incident).map(|words| format!("Attempts: {words}.")),
        words::successor(incident).map(|words| format!("Successor: {words}.")),
        (incident["whole"] == false)
            .then(|| "The history is too long: only its first events are told.".to_owned()),
        Some("What was not reported is unknown and never zero.".to_owned()),
    ];
    let paragraphs: String =
        paragraphs.into_iter().flatten().map(|words| format!("<p>{}</p>\n", escaped(&words))).collect();
    format!("<section class=\"sum\">\n<ul>{standing}{began}{exposure}</ul>\n{paragraphs}</section>\n")
}

/// Where the key was tried from since.
fn origins(attempts: &Value) -> String {
    let mut tables = String::new();
    for (head, list, name) in [("Service", "services", "service"), ("Network", "networks", "name")] {
        let (parts, other) = (items(attempts, list), &attempts[format!("other_{list}")]);
        if parts.is_empty() && other.is_null() {
            continue;
        }
        let cells = |shown: &str, part: &Value| {
            let [refused, valid, seen] =
                ["refused", "valid", "last_seen"].map(|member| escaped(&text(part, member)));
            format!(
                "<tr><td>{}</td><td>{refused}</td><td>{valid}</td><td><time>{seen}</time></td></tr>\n",
                escaped(shown)
            )
        };
        let named = |part: &Value| match text(part, name) {
            told if told.is_empty() => cells("(not told)", part),
            told => cells(&told, part),
        };
        let mut rows: String = parts.iter().map(named).collect();
        if !other.is_null() {
            rows.push_str(&cells("(others)", other));
        }
        tables.push_str(&format!(
            "<br>\n<table>\n<thead><tr><th>{head}</th><th>Refused</th><th>Valid before</th><th>Last seen</th></tr></thead>\n\
             <tbody>\n{rows}</tbody>\n</table>\n"
        ));
    }
    tables
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::given::incident;
    use super::*;

    #[test]
    fn nothing_of_an_incident_is_markup_and_nothing_comes_from_elsewhere() {
        let mut incident = incident();
        incident["name"] = json!("<script>alert(1)</script>");
        incident["timeline"][1]["event"]["data"]["url"] = json!("\"><img src=x onerror='y'>\u{202e}");
        incident["attempts"]["services"][0]["service"] = json!("<b>lists</b>");
        let page = page(&incident);
        for bad in ["<script", "<img", "<b>lists", "\u{202e}", "http:", "https:", "src=\"", "url(", "@import"]
        {
            assert!(!page.contains(bad), "{bad}: {page}");
        }
        assert!(page.contains("&lt;script&gt;") && page.contains("5402 ms") && page.contains("leak report"));
        assert!(page.contains("at most 5402 ms: a verifier was not heard"), "{page}");
        for tag in
            ["table", "tbody", "thead", "section", "main", "ul", "style", "header", "tr", "td", "li", "p"]
        {
            let opened =
                page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn a_key_without_incident_has_a_page_too() {
        let quiet = json!({
            "key_id": "01J", "tenant": "acme", "standing": "active", "began": null, "exposure": {"ms": 0, "exactness": "exact"},
            "spans": [], "accepted": {"last_at": null, "last_exactness": "exact", "count": 0, "count_exactness": "exact"},
            "timeline": [], "attempts": null, "successor": null, "whole": true,
        });
        let page = page(&quiet);
        assert!(page.contains("never refused") && page.contains("never used"), "{page}");
        assert!(!page.contains("0 ms"), "{page}");
    }
}
