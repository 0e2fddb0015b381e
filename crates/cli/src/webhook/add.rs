//! `rescind webhook add`: notices are sent to a URL from here on.

use clap::Args;
use serde_json::json;

use super::{PATH, show_secret};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};
use crate::output::text;
use crate::screen::{self, printable};

/// Send a tenant's notices to a URL; its secret is printed once, on stdout
#[derive(Args, Debug)]
#[command(after_help = "\
Deliveries are signed as Standard Webhooks has it. The server that adds a webhook is the one that sends for it.

Examples:
  rescind webhook add https://lists.example.com/hooks/rescind --tenant acme
  rescind webhook add https://lists.example.com/hooks/rescind --kind revoked --kind recalled --json")]
pub(crate) struct Add {
    /// Where to: https, and a public host unless the server says otherwise
    #[arg(value_name = "URL")]
    to: String,
    /// Only notices of this kind, such as revoked; may be repeated
    #[arg(long = "kind", value_name = "KIND")]
    kinds: Vec<String>,
    /// Whose notices
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Add {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let body = json!({"tenant": self.tenant, "url": self.to, "kinds": self.kinds});
        let body = client.send(&self.command.call(PATH, body))?.body;
        let id = text(&body, "webhook_id");
        show_secret(&body, self.flags.output.json, &id)?;
        if !self.flags.output.json {
            screen::say(&format!(
                "added webhook {}. Its secret is shown once: its receiver verifies with it.",
                printable(&id)
            ));
        }
        Ok(Exit::Ok)
    }
}
