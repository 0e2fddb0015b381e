//! `rescind key revoke`: shows the key, asks, revokes it for ever, and says when that took hold.

use clap::Args;
use serde_json::{Value, json};

use crate::client::{Answer, Call, Client};
use crate::clock;
use crate::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, KeyFlags};
use crate::key_id;
use crate::output::{fields, items, standing, text};
use crate::problem::NO_SERVER;
use crate::receipt::{self, Waiting};
use crate::screen::{self, Paint, printable};

/// Revoke a key: it is refused from then on, for ever
#[derive(Args, Debug)]
#[command(after_help = "\
It shows the key and asks for its name (its id if it has none). Scripts pass the name with --confirm=.

Examples:
  rescind key revoke 01JDA7W5W6M4Q0T3S8V2N9X1YZ --reason compromised --note 'seen in a public list'
  rescind key revoke 01JDA7W5W6M4Q0T3S8V2N9X1YZ --reason owner_left --confirm='campaign mailer' --json")]
pub(crate) struct Revoke {
    /// Which key
    key_id: String,
    /// Why; kept in the log
    #[arg(long, value_parser = reasons())]
    reason: String,
    /// More on why; kept in the log
    #[arg(long)]
    note: Option<String>,
    /// The key's name, or its id if it has none: for scripts, instead of being asked
    #[arg(long, value_name = "NAME")]
    confirm: Option<String>,
    /// Take along what the key issued, and what those issued, in every tenant
    #[arg(long)]
    cascade: bool,
    #[command(flatten)]
    waiting: Waiting,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: KeyFlags,
}

fn reasons() -> Vec<&'static str> {
    domain::RevokeReason::ALL.iter().map(|reason| reason.as_str()).collect()
}

impl Revoke {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = self.flags.key_path(&self.key_id)?;
        let key = self.look_at(&client, &path)?;
        let name = name_to_type(&key);
        confirm::confirm(&format!("revoke key {}", text(&key, "key_id")), &name, self.confirm.as_deref())?;
        let mut body = json!({"reason": self.reason});
        if let Some(note) = &self.note {
            body["note"] = json!(note);
        }
        if self.cascade {
            body["cascade"] = json!(true);
        }
        let call = self.command.call(format!("{path}/revoke"), body);
        let mut answer = client.send(&Waiting::begin(call))?;
        let exit = self.waiting.follow(&client, &mut answer.body)?;
        let told = answer.body.clone();
        self.flags.server.output.show(&told, |_| outcome(&key, &answer))?;
        Ok(exit)
    }
}

impl Revoke {
    /// The key as it is. A server that cannot show keys now still revokes them, and then the id is all there is to go by.
    fn look_at(&self, client: &Client, path: &str) -> Result<Value, Failure> {
        match client.send(&client.fresh(Call::get(path))) {
            Ok(answer) => {
                if !self.flags.server.output.json {
                    preview(&answer.body);
                }
                Ok(answer.body)
            }
            Err(failure) if failure.exit == Exit::Unavailable && failure.code != NO_SERVER => {
                screen::say(&format!("the key cannot be shown now: {}", printable(&failure.what)));
                Ok(json!({"key_id": key_id::parse(&self.key_id)?.to_string()}))
            }
            Err(failure) => Err(failure),
        }
    }
}

/// What is about to be lost, on stderr.
fn preview(key: &Value) {
    let paint = Paint::stderr();
    screen::say(&format!("standing: {}", standing(paint, &text(key, "standing"))));
    let shown = [
        ("key id", "key_id"),
        ("name", "name"),
        ("owner", "owner"),
        ("environment", "environment"),
        ("scopes", "scopes"),
        ("labels", "labels"),
        ("issued", "issued_at"),
        ("expires", "expires_at"),
        ("last used", "last_used_at"),
    ];
    fields(key, &shown).iter().for_each(|line| screen::say(line));
}

/// The name; the id where there is none, or none that can be typed.
fn name_to_type(key: &Value) -> String {
    let name = text(key, "name");
    let typable = key["name"].is_string() && !name.trim().is_empty() && printable(&name) == name;
    if typable { name } else { text(key, "key_id") }
}

fn outcome(key: &Value, answer: &Answer) -> Vec<String> {
    let paint = Paint::stdout();
    let body = &answer.body;
    let name = match text(key, "name") {
        name if name.is_empty() => String::new(),
        name => format!(" ({})", printable(&name)),
    };
    let mut lines = vec![format!(
        "{} key {}{name} at position {}",
        paint.red("revoked"),
        text(key, "key_id"),
        text(body, "position")
    )];
    let effective = match &body["effective"] {
        Value::Bool(true) => "effective: this server refuses it",
        _ => {
            "not effective yet: the server has not confirmed that it refuses the key; `rescind key verify` tells"
        }
    };
    lines.push(format!("{effective} (measured {} from command to answer)", clock::display(answer.took)));
    lines.extend(receipt::told(&body["receipt"]));
    lines.extend(cascaded(body));
    if body["repeated"] == true {
        lines
            .push(format!("this command had revoked it before, at {}", printable(&text(body, "revoked_at"))));
    }
    lines
}

/// A line for each recall that took along what a key had issued.
pub(crate) fn cascaded(body: &Value) -> Vec<String> {
    let line = |recall: &Value| {
        let part = |name| printable(&text(recall, name)).into_owned();
        let (count, issuer, tenant, position) =
            (part("count"), part("issuer"), part("tenant"), part("position"));
        format!(
            "taken along: {count} keys of tenant {tenant} that {issuer} had issued, at position {position}"
        )
    };
    items(body, "cascaded").iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_typed_is_the_name_or_else_the_id() {
        let id = "01JDA7W5W6M4Q0T3S8V2N9X1YZ";
        for (name, typed) in [
            (json!("campaign mailer"), "campaign mailer"),
            (json!(""), id),
            (json!(null), id),
            (json!({"sealed": true}), id),
            (json!("mailer\u{202e}"), id),
        ] {
            assert_eq!(name_to_type(&json!({"key_id": id, "name": name})), typed);
        }
    }
}
