//! `rescind key list`: the keys of a tenant, filtered, page by page or all.

use clap::Args;
use domain::Timestamp;
use serde_json::Value;

use super::PAGE;
use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::KeyFlags;
use crate::output::{items, keys_table, text};
use crate::screen::{self, Paint};
use crate::{clock, when};

/// Pages that `--all` reads before it gives up: 200 million keys, so only a server that repeats itself gets there.
const MAX_PAGES: u32 = 1_000_000;

/// List the keys of a tenant
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rescind key list --standing active --owner campaign-team
  rescind key list --expiring-before 14d --label service=mailer
  rescind key list --unused-since 90d --standing active
  rescind key list --all --json | jq -r '.keys[].key_id'      (--all prints one page of JSON a line)")]
pub(crate) struct List {
    /// Only keys of this owner
    #[arg(long)]
    owner: Option<String>,
    /// Only keys of this standing
    #[arg(long, value_parser = standings())]
    standing: Option<String>,
    /// Only keys with this label
    #[arg(long, value_name = "NAME=VALUE")]
    label: Option<String>,
    /// Only keys that hold this scope
    #[arg(long)]
    scope: Option<String>,
    /// Only keys whose time is up before then: 2027-01-01T00:00:00Z, or 14d from now
    #[arg(long, value_name = "TIME")]
    expiring_before: Option<String>,
    /// Only keys issued before then and known not to be used since: 2026-01-01T00:00:00Z, or 90d ago
    #[arg(long, value_name = "TIME")]
    unused_since: Option<String>,
    /// Only keys whose name, owner or id holds this text
    #[arg(long, value_name = "TEXT")]
    query: Option<String>,
    /// At most so many
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=i64::from(PAGE)))]
    limit: u16,
    /// Go on where an earlier page ended
    #[arg(long, conflicts_with = "all")]
    cursor: Option<String>,
    /// All pages
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    flags: KeyFlags,
}

fn standings() -> Vec<&'static str> {
    domain::Standing::ALL.iter().map(|standing| standing.as_str()).collect()
}

impl List {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let call = client.fresh(self.call()?);
        let mut cursor = self.cursor.clone();
        let mut shown = Vec::new();
        let mut left_out = LeftOut::default();
        for _ in 0..MAX_PAGES {
            let body = client.send(&call.clone().with_some("cursor", cursor.take()))?.body;
            cursor = body["next_cursor"].as_str().map(str::to_owned);
            if self.flags.server.output.json {
                screen::data(&body.to_string())?;
            } else {
                shown.extend_from_slice(items(&body, "keys"));
                left_out.add(&body["usage"]);
            }
            if cursor.is_none() || !self.all {
                break;
            }
        }
        if !self.flags.server.output.json {
            self.tell(&shown, &left_out, cursor.as_deref())?;
        }
        Ok(Exit::Ok)
    }

    fn call(&self) -> Result<Call, Failure> {
        let before = time("--expiring-before", self.expiring_before.as_deref(), when::future)?;
        let since = time("--unused-since", self.unused_since.as_deref(), when::past)?;
        Ok(Call::get(self.flags.keys_path()?)
            .with_some("owner", self.owner.as_ref())
            .with_some("standing", self.standing.as_ref())
            .with_some("label", self.label.as_ref())
            .with_some("scope", self.scope.as_ref())
            .with_some("expiring_before", before)
            .with_some("unused_since", since)
            .with_some("q", self.query.as_ref())
            .with("limit", if self.all { PAGE } else { self.limit }))
    }

    fn tell(&self, keys: &[Value], left_out: &LeftOut, cursor: Option<&str>) -> Result<(), Failure> {
        match (keys.is_empty(), cursor) {
            (true, None) => screen::say(&format!("no such key in tenant {}", self.flags.tenant)),
            (true, Some(_)) => screen::say("no such key among those looked at"),
            (false, _) => {
                keys_table(keys, Paint::stdout()).iter().try_for_each(|line| screen::data(line))?;
            }
        }
        if let Some(said) = left_out.said() {
            screen::say(&said);
        }
        if let Some(cursor) = cursor {
            let last = keys.last().map(|key| text(key, "key_id")).unwrap_or_else(|| "those".to_owned());
            screen::say(&format!("more keys follow {last}: --cursor {cursor}, or --all"));
        }
        Ok(())
    }
}

/// An instant as the API wants it.
fn time(
    flag: &str,
    text: Option<&str>,
    read: fn(&str, Timestamp) -> Result<Timestamp, String>,
) -> Result<Option<String>, Failure> {
    let read = text.map(|text| read(text, clock::wall())).transpose();
    let at = read.map_err(|why| Failure::usage(format!("{flag} is not a time")).because(why))?;
    Ok(at.map(wire::format_rfc3339))
}

/// Keys that may have been used: nobody knows.
#[derive(Default)]
struct LeftOut {
    count: usize,
    /// A part of the span of which not all is known, and who did not report.
    unknown: Option<String>,
}

impl LeftOut {
    fn add(&mut self, usage: &Value) {
        self.count += items(usage, "left_out").len();
        let Some(span) = items(&usage["coverage"], "unknown").last() else { return };
        let whom = match (&*text(span, "why"), &*text(span, "server")) {
            ("before_record", _) => "before usage was recorded".to_owned(),
            (_, "") => "not reported yet".to_owned(),
            (_, server) => format!("not reported by {server}"),
        };
        self.unknown = Some(format!("{} to {}, {whom}", text(span, "from"), text(span, "to")));
    }

    fn said(&self) -> Option<String> {
        let unknown = self.unknown.as_ref().filter(|_| self.count > 0)?;
        Some(format!("{} left out, of which it is not known ({unknown}); --json names them", self.count))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_left_out_is_counted_with_the_reason() {
        let mut left_out = LeftOut::default();
        assert_eq!(left_out.said(), None);
        let page = |keys: Value| {
            json!({"left_out": keys, "coverage": {"unknown": [
                {"from": "A", "to": "B", "server": "mail-2", "why": "silent"}]}})
        };
        left_out.add(&page(json!([])));
        assert_eq!(left_out.said(), None, "nobody was");
        left_out.add(&page(json!(["01K"])));
        left_out.add(&page(json!(["01L"])));
        let said = left_out.said().unwrap();
        assert!(said.starts_with("2 left out") && said.contains("A to B, not reported by mail-2"), "{said}");
    }
}
