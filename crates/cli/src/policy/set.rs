//! `rescind policy set`: a policy holds from here on.

use clap::Args;
use serde_json::Value;
use ureq::http::Method;

use super::body::PolicyFlags;
use super::path;
use crate::client::segment;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};
use crate::output::text;
use crate::screen::printable;

/// Set a policy: what is asked of the keys that it is about; in place of the one of that name
#[derive(Args, Debug)]
#[command(after_help = "\
Spans are a whole number and d, h, m or s. Lifetimes, scopes and networks are asked of keys from then on; keys that break them
already are named by `review`. Idle keys are suspended or revoked once it is known that nobody used them.
`policy try` tells what it would do, before it does.

Examples:
  rescind policy set house --default-lifetime 90d --longest-lifetime 365d --warn-before-expiry 14d --warn-before-expiry 1d
  rescind policy set idle --tenant acme --suspend-idle-after 30d --revoke-idle-after 90d --environment live
  rescind policy set narrow --deny-scope 'users:*' --require-networks --allow-network 192.0.2.0/24 --label service=mailer")]
pub(crate) struct Set {
    /// What it is called: 1 to 63 of a-z, 0-9 and -
    #[arg(value_parser = not_try)]
    name: String,
    #[command(flatten)]
    policy: PolicyFlags,
    /// The tenant of the keys
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

/// The path `…/policies/try` is taken.
fn not_try(name: &str) -> Result<String, String> {
    if name == "try" { Err("no policy can be called try".to_owned()) } else { Ok(name.to_owned()) }
}

impl Set {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("{}/{}", path(&self.tenant)?, segment("policy name", &self.name)?);
        let answer = client.send(&self.command.call(path, self.policy.body()).by(Method::PUT))?;
        self.flags.output.show(&answer.body, |body| changed(body, "set", &self.name))?;
        Ok(Exit::Ok)
    }
}

/// What is said of a policy that was set or removed.
pub(super) fn changed(body: &Value, done: &str, name: &str) -> Vec<String> {
    let (tenant, position) = (text(body, "tenant"), text(body, "position"));
    let mut lines = vec![format!(
        "{done} policy {} of tenant {} at position {position}",
        printable(name),
        printable(&tenant)
    )];
    if body["repeated"] == true {
        lines.push(format!("this command had done so before, at {}", text(body, "changed_at")));
    }
    lines
}
