//! `rescind webhook dead-letters`: the notices that a webhook gave up.

use clap::Args;
use serde_json::{Value, json};

use super::path;
use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::{items, text};
use crate::screen::{self, Paint};
use crate::table::Table;

/// The most that the server gives in one page.
const PAGE: usize = 200;

/// List the notices that a webhook gave up
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind webhook dead-letters wh-0192f6a4c1b24d1f9d8f5a7be3c0d142")]
pub(crate) struct DeadLetters {
    /// The webhook
    webhook_id: String,
    #[command(flatten)]
    flags: ServerFlags,
}

impl DeadLetters {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let path = format!("{}/dead-letters", path(&self.webhook_id)?);
        let (mut letters, mut after) = (Vec::new(), None);
        loop {
            let call = Call::get(&path).with("limit", PAGE).with_some("after", after);
            let body = client.send(&call)?.body;
            let page = items(&body, "dead_letters");
            letters.extend_from_slice(page);
            after = page.last().and_then(|letter| letter["position"].as_u64());
            if page.len() < PAGE || after.is_none() {
                break;
            }
        }
        if !self.flags.output.json && letters.is_empty() {
            screen::say("no dead letters");
            return Ok(Exit::Ok);
        }
        self.flags.output.show(&json!({"dead_letters": letters}), table)?;
        Ok(Exit::Ok)
    }
}

fn table(body: &Value) -> Vec<String> {
    let mut table = Table::new(&["POSITION", "FAILED", "ATTEMPTS", "WHY"]);
    for letter in items(body, "dead_letters") {
        let why =
            if letter["redelivering"] == true { "is sent again".to_owned() } else { text(letter, "error") };
        let cells = [text(letter, "position"), text(letter, "failed_at"), text(letter, "attempts"), why];
        table.row(cells.iter().map(String::as_str));
    }
    table.lines(Paint::stdout())
}
