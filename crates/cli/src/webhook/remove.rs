//! `rescind webhook remove`: nothing is sent any more.

use clap::Args;
use serde_json::Value;
use ureq::http::Method;

use super::path;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};
use crate::output::text;

/// Remove a webhook and its dead letters
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind webhook remove wh-0192f6a4c1b24d1f9d8f5a7be3c0d142")]
pub(crate) struct Remove {
    /// The webhook
    webhook_id: String,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Remove {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let call = self.command.call(path(&self.webhook_id)?, Value::Null).by(Method::DELETE).bare();
        let body = client.send(&call)?.body;
        self.flags
            .output
            .show(&body, |body| vec![format!("removed webhook {}", text(body, "webhook_id"))])?;
        Ok(Exit::Ok)
    }
}
