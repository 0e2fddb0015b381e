//! `rescind webhook redeliver`: dead letters are sent again, and a disabled webhook is enabled.

use clap::Args;
use serde_json::json;

use super::path;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::{CommandFlags, ServerFlags};
use crate::output::text;

/// Send dead letters again, enable the webhook, and try at once what waits
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  rescind webhook redeliver wh-0192f6a4c1b24d1f9d8f5a7be3c0d142
  rescind webhook redeliver wh-0192f6a4c1b24d1f9d8f5a7be3c0d142 --position 42")]
pub(crate) struct Redeliver {
    /// The webhook
    webhook_id: String,
    /// Only this dead letter; may be repeated
    #[arg(long = "position", value_name = "POSITION")]
    positions: Vec<u64>,
    #[command(flatten)]
    command: CommandFlags,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Redeliver {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("{}/redeliver", path(&self.webhook_id)?);
        let body = client.send(&self.command.call(path, json!({"positions": self.positions})))?.body;
        self.flags.output.show(&body, |body| {
            vec![format!("dead letters that are sent again: {}", text(body, "redelivering"))]
        })?;
        Ok(Exit::Ok)
    }
}
