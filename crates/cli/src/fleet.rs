//! `rescind fleet`: who answers for whose keys, and how far each has come.

use clap::Args;
use serde_json::Value;

use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::{items, text};
use crate::screen::{self, Paint, printable};
use crate::table::Table;

/// Show all verifiers: servers and guards, what each has applied, and whether it may still accept keys
#[derive(Args, Debug)]
#[command(after_help = "Examples:\n  rescind fleet\n  rescind fleet --tenant acme --json")]
pub(crate) struct Fleet {
    /// Only this tenant's guards
    #[arg(long)]
    tenant: Option<String>,
    #[command(flatten)]
    flags: ServerFlags,
}

impl Fleet {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let body = client.send(&Call::get("/v1/fleet").with_some("tenant", self.tenant.as_ref()))?.body;
        self.flags.output.show(&body, table)?;
        if !self.flags.output.json && body["fleet"] == "unknown" {
            screen::say("there may be verifiers that this server has not heard of");
        }
        Ok(Exit::Ok)
    }
}

fn table(fleet: &Value) -> Vec<String> {
    let mut table = Table::new(&[
        "NAME", "KIND", "TENANT", "VERSION", "FEED", "APPLIED", "LAG", "KEYS", "HEARD", "STATE",
    ]);
    for one in items(fleet, "verifiers") {
        let word = |name| printable(&text(one, name)).into_owned();
        let ms = |name: &str| match one[name].as_u64() {
            Some(ms) => format!("{ms} ms"),
            None => "never".to_owned(),
        };
        let tenant = if one["tenant"].is_null() { "all".to_owned() } else { word("tenant") };
        let cells = [
            word("name"),
            word("kind"),
            tenant,
            word("version"),
            word("feed"),
            word("applied"),
            ms("lag_ms"),
            word("held"),
            format!("{} ago", ms("heard_ms_ago")),
            word("state"),
        ];
        table.row(cells.iter().map(String::as_str));
    }
    table.lines(Paint::stdout())
}
