//! `rescind policy show`: one policy, and for whose reports it waits.

use clap::Args;
use serde_json::Value;

use super::{about, find, rules, state};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::text;
use crate::screen::printable;

/// Show a policy, and what the server saw when it last applied it
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind policy show house --tenant acme")]
pub(crate) struct Show {
    /// What it is called
    name: String,
    /// The tenant of the keys
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Show {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let policy = find(&client, &self.tenant, &self.name)?;
        self.flags.output.show(&policy, lines)?;
        Ok(Exit::Ok)
    }
}

fn lines(policy: &Value) -> Vec<String> {
    let mut lines = vec![format!("policy {}: {}", text(policy, "name"), about(policy))];
    lines.extend(rules(policy).iter().map(|rule| format!("  {rule}")));
    lines.push(state(policy));
    let seen = &policy["state"];
    if seen.is_object() {
        let part = |name| text(seen, name);
        let done = ["warned", "suspended", "revoked"].map(|deed| format!("{deed} {}", part(deed)));
        lines.push(format!("its last pass looked at {} keys: {}", part("keys"), done.join(", ")));
    }
    lines.iter().map(|line| printable(line).into_owned()).collect()
}
