//! `rescind webhook list`: the webhooks of a server and how they fare.

use clap::Args;
use serde_json::Value;

use super::PATH;
use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::{items, text};
use crate::screen::{self, Paint};
use crate::table::Table;

/// List a tenant's webhooks on this server, and how they fare
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind webhook list --tenant acme --json")]
pub(crate) struct List {
    /// Whose notices
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    flags: ServerFlags,
}

impl List {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let body = client.send(&Call::get(PATH).with("tenant", &self.tenant))?.body;
        if !self.flags.output.json && items(&body, "webhooks").is_empty() {
            screen::say(&format!("tenant {} has no webhooks on this server", self.tenant));
            return Ok(Exit::Ok);
        }
        self.flags.output.show(&body, table)?;
        Ok(Exit::Ok)
    }
}

fn table(body: &Value) -> Vec<String> {
    let mut table = Table::new(&["WEBHOOK", "STATE", "POSITION", "DEAD", "KINDS", "URL", "WHY"]);
    for webhook in items(body, "webhooks") {
        let kinds = match text(webhook, "kinds") {
            none if none.is_empty() => "all".to_owned(),
            kinds => kinds,
        };
        let why = match text(&webhook["disabled"], "reason") {
            none if none.is_empty() => text(&webhook["trouble"], "error"),
            reason => reason,
        };
        let shown = |name| text(webhook, name);
        let cells = [
            shown("webhook_id"),
            shown("state"),
            shown("position"),
            shown("dead_letters"),
            kinds,
            shown("url"),
            why,
        ];
        table.row(cells.iter().map(String::as_str));
    }
    table.lines(Paint::stdout())
}
