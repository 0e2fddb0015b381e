//! A review as one page: no scripts, nothing from elsewhere, everything escaped; made to be read, printed and handed on.

use std::collections::BTreeMap;

use serde_json::Value;

use super::cells;
use crate::page::{self, TAIL, escaped};

/// How grave a finding is, as a class of the style.
fn class(finding: &str) -> &'static str {
    match finding {
        "issued_by_revoked" | "orphaned" | "failed_rotation" | "test_in_use" => "kind grave",
        "use_unknown" | "old" => "kind",
        _ => "kind warn",
    }
}

/// `never_used` as people read it.
fn title(finding: &str) -> String {
    let words = finding.replace('_', " ");
    let mut letters = words.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// A command that is broken between lines at its flags alone, and copies as it stands.
fn whole_flags(command: &str) -> String {
    let mut parts = command.split(" --");
    let verb = parts.next().unwrap_or_default().to_owned();
    parts.fold(verb, |line, flag| format!("{line} <span>--{flag}</span>"))
}

/// The beginning of the page.
pub(super) fn head(tenant: &str, made_at: &str) -> String {
    let (tenant, made_at) = (escaped(tenant), escaped(made_at));
    let below = format!("Tenant <strong>{tenant}</strong>, made at <time>{made_at}</time> by rescind");
    let table = "<table>\n<thead><tr><th>Finding</th><th>Key</th><th>Owner</th><th>Since</th><th>Evidence and remedy</th></tr></thead>\n<tbody>\n";
    page::head(&format!("Review of API keys: {tenant}"), "Review of API keys", &below) + table
}

/// A finding.
pub(super) fn row(finding: &Value) -> String {
    let [key_id, name, owner, kind, since, evidence, mend] = cells(finding).map(|text| escaped(&text));
    let day = since.get(..10).unwrap_or("unknown");
    let name = if name.is_empty() { "(no name)" } else { &name };
    format!(
        "<tr><td class=\"{}\">{}</td><td>{name}<small class=\"id\">{key_id}</small></td><td>{owner}</td>\
         <td><time title=\"{since}\">{day}</time></td><td>{evidence}<br><code>{}</code></td></tr>\n",
        class(&kind),
        title(&kind),
        whole_flags(&mend)
    )
}

/// The end of the page.
pub(super) fn tail(counts: &BTreeMap<String, usize>, examined: u64, known_until: &Value) -> String {
    let count = |(kind, count): (&String, &usize)| {
        format!("<li><b>{count}</b><span class=\"{}\">{}</span></li>", class(kind), escaped(&title(kind)))
    };
    let counts_shown: String = counts.iter().map(count).collect();
    let total: usize = counts.values().sum();
    let said = match known_until.as_str() {
        Some(at) => format!("Usage is considered up to {}.", escaped(at)),
        None => "No usage was reported yet.".to_owned(),
    };
    let none = if total == 0 { "<p>Nothing was found.</p>" } else { "" };
    format!(
        "</tbody>\n</table>\n<section class=\"sum\">\n<ul>{counts_shown}</ul>\n{none}\
         <p>{total} findings on {examined} keys that can be used. {said} What was not reported is unknown and never taken for disuse.</p>\n\
         </section>\n{TAIL}"
    )
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nothing_of_a_key_is_markup_and_nothing_comes_from_elsewhere() {
        let finding = json!({
            "key_id": "01J", "name": "<script>alert(1)</script>", "owner": "a\" onload='x' & \u{202e}b",
            "finding": "never_used", "since": "2026-11-23T12:00:00.000Z", "evidence": "never <used>",
            "mend": "rescind key suspend 01J --tenant acme --reason unused"
        });
        let counts = BTreeMap::from([("never_used".to_owned(), 1)]);
        let page = [head("acme", "now"), row(&finding), tail(&counts, 3, &json!(null))].concat();
        for bad in ["<script", "onload='", "\u{202e}", "http:", "https:", "src=", "url(", "@import"] {
            assert!(!page.contains(bad), "{bad}: {page}");
        }
        assert!(
            page.contains("&lt;script&gt;") && page.contains("Never used") && page.contains("2026-11-23")
        );
        assert!(page.contains("1 findings on 3 keys"));
        assert!(page.contains(
            "<code>rescind key suspend 01J <span>--tenant acme</span> <span>--reason unused</span></code>"
        ));
        for tag in ["table", "tbody", "thead", "section", "main", "ul", "style", "header", "tr", "td", "li"] {
            let opened =
                page.matches(&format!("<{tag}>")).count() + page.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, page.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn a_page_without_findings_says_so() {
        assert!(tail(&BTreeMap::new(), 0, &json!("now")).contains("Nothing was found."));
    }
}
