//! `rescind key list`: the keys of a tenant, filtered, page by page or all.

use clap::Args;
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
        for _ in 0..MAX_PAGES {
            let body = client.send(&call.clone().with_some("cursor", cursor.take()))?.body;
            cursor = body["next_cursor"].as_str().map(str::to_owned);
            if self.flags.server.output.json {
                screen::data(&body.to_string())?;
            } else {
                shown.extend_from_slice(items(&body, "keys"));
            }
            if cursor.is_none() || !self.all {
                break;
            }
        }
        if !self.flags.server.output.json {
            self.tell(&shown, cursor.as_deref())?;
        }
        Ok(Exit::Ok)
    }

    fn call(&self) -> Result<Call, Failure> {
        let before = match &self.expiring_before {
            Some(text) => Some(wire::format_rfc3339(
                when::future(text, clock::wall())
                    .map_err(|why| Failure::usage("--expiring-before is not a time").because(why))?,
            )),
            None => None,
        };
        Ok(Call::get(self.flags.keys_path()?)
            .with_some("owner", self.owner.as_ref())
            .with_some("standing", self.standing.as_ref())
            .with_some("label", self.label.as_ref())
            .with_some("scope", self.scope.as_ref())
            .with_some("expiring_before", before)
            .with_some("q", self.query.as_ref())
            .with("limit", if self.all { PAGE } else { self.limit }))
    }

    fn tell(&self, keys: &[Value], cursor: Option<&str>) -> Result<(), Failure> {
        if keys.is_empty() {
            screen::say(&format!("no such key in tenant {}", self.flags.tenant));
            return Ok(());
        }
        keys_table(keys, Paint::stdout()).iter().try_for_each(|line| screen::data(line))?;
        if let Some(cursor) = cursor {
            let last = keys.last().map(|key| text(key, "key_id")).unwrap_or_default();
            screen::say(&format!("more keys follow {last}: --cursor {cursor}, or --all"));
        }
        Ok(())
    }
}
