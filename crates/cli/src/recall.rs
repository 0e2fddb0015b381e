//! `rescind recall`: any number of keys revoked by one event, after a look at which.

use clap::Args;
use serde_json::{Value, json};

use crate::client::Client;
use crate::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};
use crate::key::cascaded;
use crate::output::{items, keys_table, text};
use crate::receipt::{self, Waiting};
use crate::screen::{self, Paint, printable};

/// Revoke every key that matches, by one event: those that match then, and none issued later
#[derive(Args, Debug)]
#[command(after_help = "\
It shows what would happen and asks for the number of keys. Scripts pass the number with --confirm=: if more keys match by
then, nothing is changed. --including-new recalls whatever matches.

Examples:
  rescind recall --owner departed@example.com --reason owner_left
  rescind recall --label service=mailer --environment live --reason compromised --confirm=12
  rescind recall --all --tenant acme --reason compromised --including-new --json")]
#[group(id = "selector", required = true, multiple = true, args = ["owner", "label", "scope", "issuer", "environment", "all"])]
pub(crate) struct Recall {
    /// Keys of this owner
    #[arg(long)]
    owner: Option<String>,
    /// Keys with this label
    #[arg(long, value_name = "NAME=VALUE")]
    label: Option<String>,
    /// Keys that may do this
    #[arg(long)]
    scope: Option<String>,
    /// Keys that this key issued
    #[arg(long, value_name = "KEY_ID")]
    issuer: Option<String>,
    /// Live keys, or test keys
    #[arg(long, value_parser = ["live", "test"])]
    environment: Option<String>,
    /// Every key of the tenant
    #[arg(long, conflicts_with_all = ["owner", "label", "scope", "issuer", "environment"])]
    all: bool,
    /// Why; kept in the log
    #[arg(long, value_parser = reasons())]
    reason: String,
    /// More on why; kept in the log
    #[arg(long)]
    note: Option<String>,
    /// Take along what the recalled keys issued, and what those issued, in every tenant
    #[arg(long)]
    cascade: bool,
    /// Only show what would happen
    #[arg(long, conflicts_with_all = ["confirm", "including_new"])]
    dry_run: bool,
    /// The number of keys: for scripts, instead of being asked
    #[arg(long, value_name = "COUNT")]
    confirm: Option<String>,
    /// Recall whatever matches, also what was not shown; does not ask
    #[arg(long, conflicts_with = "confirm")]
    including_new: bool,
    /// The tenant of the keys
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

fn reasons() -> Vec<&'static str> {
    domain::RevokeReason::ALL.iter().map(|reason| reason.as_str()).collect()
}

impl Recall {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("/v1/tenants/{}/recalls", crate::client::segment("tenant id", &self.tenant)?);
        let mut body = json!({"selector": self.selector(), "reason": self.reason, "cascade": self.cascade});
        if let Some(note) = &self.note {
            body["note"] = json!(note);
        }
        if self.including_new {
            body["accept_changes"] = json!(true);
        } else {
            let preview = self.preview(&client, &path)?;
            if self.dry_run {
                self.flags.output.show(&preview, shown)?;
                return Ok(Exit::Ok);
            }
            let count = text(&preview, "count");
            if count == "0" {
                return Err(Failure::new(
                    Exit::Refused,
                    "nothing_matches",
                    "no key that can be used matches; nothing was changed",
                ));
            }
            if !self.flags.output.json {
                shown(&preview).iter().for_each(|line| screen::say(line));
            }
            confirm::confirm(&format!("recall {count} keys for ever"), &count, self.confirm.as_deref())?;
            body["confirm"] = preview["token"].clone();
        }
        let mut answer = client.send(&Waiting::begin(self.command.call(path, body)))?;
        let exit = self.waiting.follow(&client, &mut answer.body)?;
        self.flags.output.show(&answer.body, recalled)?;
        Ok(exit)
    }

    fn selector(&self) -> Value {
        let mut selector = json!({});
        for (member, value) in [
            ("owner", &self.owner),
            ("label", &self.label),
            ("scope", &self.scope),
            ("issuer", &self.issuer),
            ("environment", &self.environment),
        ] {
            if let Some(value) = value {
                selector[member] = json!(value);
            }
        }
        if self.all {
            selector["all"] = json!(true);
        }
        selector
    }

    fn preview(&self, client: &Client, path: &str) -> Result<Value, Failure> {
        let body = json!({"selector": self.selector(), "dry_run": true});
        Ok(client.send(&crate::client::Call::ask(path, body))?.body)
    }
}

/// What would be lost.
fn shown(preview: &Value) -> Vec<String> {
    let part = |name| text(preview, name);
    let mut lines = vec![format!("{} keys match (position {})", part("count"), part("position"))];
    for (title, member) in [("owner", "by_owner"), ("service", "by_service")] {
        for group in items(preview, member) {
            let (name, count) = (printable(&text(group, "name")).into_owned(), text(group, "count"));
            lines.push(format!("  {title} {name}: {count}"));
        }
    }
    let recent = &preview["recent_use"];
    if recent.is_object() {
        let unknown = if recent["complete"] == true { "" } else { ", or more: not every verifier reported" };
        let (hour, day) = (text(recent, "last_hour"), text(recent, "last_day"));
        lines.push(format!("  used {hour} times in the last hour, {day} times in the last day{unknown}"));
    }
    lines.push(format!("  rotations in flight: {}", part("rotations_in_flight")));
    let sample = items(preview, "sample");
    if !sample.is_empty() {
        lines.push(format!("the first {}:", sample.len()));
        lines.extend(keys_table(sample, Paint::stderr()));
    }
    lines
}

fn recalled(body: &Value) -> Vec<String> {
    let part = |name| text(body, name);
    let keys = match body["count"].as_u64() {
        Some(count) => format!("{count} keys"),
        None => "keys".to_owned(),
    };
    let mut lines =
        vec![format!("{} {keys} at position {}", Paint::stdout().red("recalled"), part("position"))];
    let beyond = &body["beyond_preview"];
    if beyond["count"].as_u64().is_some_and(|count| count > 0) {
        let (count, sample) = (text(beyond, "count"), text(beyond, "sample"));
        lines.push(format!("{count} of them came while it was on its way and were not shown: {sample}"));
    }
    lines.push(match body["effective"] == true {
        true => "effective: this server refuses them".to_owned(),
        false => "not effective yet: the server's index is behind; `rescind doctor` tells".to_owned(),
    });
    lines.extend(receipt::told(&body["receipt"]));
    lines.extend(cascaded(body));
    if body["repeated"] == true {
        lines.push(format!("this command had recalled them before, at {}", printable(&part("recalled_at"))));
    }
    lines
}
