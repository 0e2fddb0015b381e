//! `rescind audit diff`: what changed for a tenant between two moments.

use clap::Args;
use serde_json::Value;

use crate::client::{Call, segment};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::{items, keys_table, text};
use crate::screen::{Paint, printable};
use crate::{clock, when};

/// Tell what changed for a tenant: keys issued, ended and changed, policies, settings
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rescind audit diff --tenant acme --from 7d
  rescind audit diff --tenant acme --from 2026-10-01T00:00:00Z --to 2026-11-01T00:00:00Z --json | jq .ended")]
pub(crate) struct Diff {
    /// The tenant
    #[arg(long, default_value = "default")]
    tenant: String,
    /// What stood here is before: a position, a time, or so long ago: 812, 2026-11-23T12:00:00Z, 7d
    #[arg(long, value_name = "POSITION|TIME")]
    from: String,
    /// What stood here is after [default: now]
    #[arg(long, value_name = "POSITION|TIME")]
    to: Option<String>,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Diff {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let now = clock::wall();
        let call = Call::get(format!("/v1/tenants/{}/diff", segment("tenant id", &self.tenant)?))
            .with_some("from", when::moment("--from", Some(&self.from), now)?)
            .with_some("to", when::moment("--to", self.to.as_deref(), now)?);
        let body = client.send(&call)?.body;
        self.flags.output.show(&body, |body| human(body, Paint::stdout()))?;
        Ok(Exit::Ok)
    }
}

fn human(body: &Value, paint: Paint) -> Vec<String> {
    let end =
        |name: &str| format!("position {} ({})", text(&body[name], "position"), text(&body[name], "time"));
    let mut lines = vec![format!("tenant {} from {} to {}", text(body, "tenant"), end("from"), end("to"))];
    let mut part = |head: &str, told: Vec<String>| {
        if !told.is_empty() {
            lines.extend([String::new(), paint.bold(head)]);
            lines.extend(told);
        }
    };
    part("settings", items(body, "settings").iter().map(attribute).collect());
    part("policies", items(body, "policies").iter().map(policy).collect());
    for name in ["issued", "ended"] {
        let keys = items(body, name);
        let table = if keys.is_empty() { Vec::new() } else { keys_table(keys, paint) };
        part(&format!("{name}: {}", keys.len()), table);
    }
    let changed = items(body, "changed");
    let told = changed.iter().flat_map(|key| {
        let head = printable(&text(key, "key_id")).into_owned();
        [head].into_iter().chain(items(key, "changes").iter().map(attribute))
    });
    part(&format!("changed: {}", changed.len()), told.collect());
    let unreadable = text(body, "unreadable");
    if !unreadable.is_empty() {
        part("not readable by the server, so not in here", vec![format!("  positions {unreadable}")]);
    }
    if lines.len() == 1 {
        lines.push("nothing changed".to_owned());
    }
    lines
}

fn attribute(change: &Value) -> String {
    let said = |name| match text(change, name) {
        none if none.is_empty() => "-".to_owned(),
        said => printable(&said).into_owned(),
    };
    format!("  {}: {} → {}", said("attribute"), said("before"), said("after"))
}

fn policy(change: &Value) -> String {
    let what = match (change["before"].is_null(), change["after"].is_null()) {
        (true, _) => "set",
        (_, true) => "removed",
        _ => "changed",
    };
    format!("  {} {what}", printable(&text(change, "name")))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_diff_tells_each_part_that_there_is() {
        let body = json!({
            "tenant": "acme", "from": {"position": 3, "time": "T1"}, "to": {"position": 9, "time": "T2"},
            "settings": [{"attribute": "leak_response", "before": "revoke", "after": "suspend"}],
            "policies": [{"name": "age", "before": null, "after": {}}],
            "issued": [{"key_id": "01K", "standing": "active"}], "ended": [],
            "changed": [{"key_id": "01J", "changes": [{"attribute": "note", "before": null, "after": "a\u{1b}b"}]}],
            "unreadable": [7],
        });
        let all = human(&body, Paint::plain()).join("\n");
        for wanted in [
            "from position 3 (T1) to position 9 (T2)",
            "leak_response: revoke → suspend",
            "age set",
            "issued: 1",
            "note: - → a\u{fffd}b",
            "positions 7",
        ] {
            assert!(all.contains(wanted), "{wanted}:\n{all}");
        }
        assert!(!all.contains("ended"), "{all}");
        let none = json!({"tenant": "acme", "from": {"position": 3, "time": "T"}, "to": {"position": 3, "time": "T"}});
        assert_eq!(human(&none, Paint::plain())[1], "nothing changed");
    }
}
