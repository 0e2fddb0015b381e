//! `rescind erase`: nobody can read any more who an owner was.

use clap::Args;
use serde_json::{Value, json};

use crate::client::Call;
use crate::confirm;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};
use crate::output::{items, text};
use crate::screen::{self, Paint, printable};

/// Destroy the seal of all that was written about an owner: names, notes, addresses
#[derive(Args, Debug)]
#[command(after_help = "\
It shows what there is and asks for the owner's name. Scripts pass the name with --confirm=. An owner with a key that can be
used is not erased: revoke it, or give it to somebody else, first. The history stays whole and can be proven as before.

Examples:
  rescind erase departed@example.com --tenant acme --dry-run
  rescind erase departed@example.com --tenant acme --confirm=departed@example.com")]
pub(crate) struct Erase {
    /// The owner, by exactly the text that the keys were issued for
    owner: String,
    /// Only show what there is
    #[arg(long, conflicts_with = "confirm")]
    dry_run: bool,
    /// The owner again: for scripts, instead of being asked
    #[arg(long, value_name = "OWNER")]
    confirm: Option<String>,
    /// The tenant of the owner
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Erase {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("/v1/tenants/{}/erasures", crate::client::segment("tenant id", &self.tenant)?);
        // A script that names its command may be repeating it: then there is nothing left to look at.
        if self.dry_run || self.confirm.is_none() {
            let ask = Call::ask(&path, json!({"owner": self.owner, "dry_run": true}));
            let preview = client.send(&ask)?.body;
            if self.dry_run {
                self.flags.output.show(&preview, shown)?;
                return Ok(Exit::Ok);
            }
            if !self.flags.output.json {
                shown(&preview).iter().for_each(|line| screen::say(line));
            }
        }
        let about = format!("make all that was written about {} unreadable for ever", printable(&self.owner));
        confirm::confirm(&about, &self.owner, self.confirm.as_deref())?;
        let answer = client.send(&self.command.call(path, json!({"owner": self.owner})))?;
        self.flags.output.show(&answer.body, erased)?;
        Ok(Exit::Ok)
    }
}

/// What there is of the owner.
fn shown(preview: &Value) -> Vec<String> {
    let part = |name| text(preview, name);
    let mut lines = vec![format!("{} keys (position {})", part("keys"), part("position"))];
    if preview["live_keys"].as_u64().is_some_and(|live| live > 0) {
        let live = part("live_keys");
        lines.push(format!("{live} of them can be used, or could be again: end them first"));
        lines.extend(items(preview, "sample").iter().filter_map(Value::as_str).map(|key| format!("  {key}")));
    }
    lines.push(match (preview["sealed"] == true, preview["erased"] == true) {
        (true, _) => "sealed: names, notes and addresses that an erasure makes unreadable".to_owned(),
        (false, true) => "erased before; nothing about them was sealed since".to_owned(),
        (false, false) => "nothing about them was sealed".to_owned(),
    });
    lines.extend(in_the_clear(preview));
    lines
}

fn erased(body: &Value) -> Vec<String> {
    let position = text(body, "position");
    let mut lines = vec![format!(
        "{}: the seal is destroyed; position {position} says so",
        Paint::stdout().red("erased")
    )];
    lines.extend(in_the_clear(body));
    let meanwhile = items(body, "issued_meanwhile");
    if !meanwhile.is_empty() {
        lines.push("keys that came to the owner meanwhile can be used; revoke them:".to_owned());
        lines.extend(meanwhile.iter().filter_map(Value::as_str).map(|key| format!("  {key}")));
    }
    if body["repeated"] == true {
        let at = text(body, "erased_at");
        lines.push(format!("this command had erased them before, at {}", printable(&at)));
    }
    lines
}

fn in_the_clear(body: &Value) -> Option<String> {
    let found = &body["in_the_clear"];
    let (events, complete) = (found["events"].as_u64().unwrap_or(0), found["complete"] == true);
    match (events, complete) {
        (0, true) => None,
        (events, true) => {
            Some(format!("{events} events from before texts were sealed stay readable in the log"))
        }
        (events, false) => Some(format!(
            "{events} events from before texts were sealed stay readable in the log, or more: not every key was looked at"
        )),
    }
}
