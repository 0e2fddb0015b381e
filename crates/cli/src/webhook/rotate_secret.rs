//! `rescind webhook rotate-secret`: deliveries are signed with a new secret, and for a while with the one before too.

use clap::Args;
use serde_json::json;

use super::{path, show_secret};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};
use crate::output::text;
use crate::screen;

/// Give a webhook a new secret, printed once on stdout; both sign for a while
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rescind webhook rotate-secret wh-0192f6a4c1b24d1f9d8f5a7be3c0d142
  rescind webhook rotate-secret wh-0192f6a4c1b24d1f9d8f5a7be3c0d142 --overlap none")]
pub(crate) struct RotateSecret {
    /// The webhook
    webhook_id: String,
    /// For how long the secret before still signs too: 1h; at most 7d; none if others know it [default: 24h]
    #[arg(long, value_name = "SPAN")]
    overlap: Option<String>,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

impl RotateSecret {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("{}/rotate-secret", path(&self.webhook_id)?);
        let body = client.send(&self.command.call(path, json!({"overlap": self.overlap})))?.body;
        show_secret(&body, self.flags.output.json, &self.webhook_id)?;
        if !self.flags.output.json {
            screen::say(&match text(&body, "overlap_until") {
                none if none.is_empty() => "the secret before no longer signs".to_owned(),
                until => format!("the secret before signs too until {until}"),
            });
        }
        Ok(Exit::Ok)
    }
}
