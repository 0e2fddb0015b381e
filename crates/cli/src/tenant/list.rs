//! `rescind tenant list`: which tenants there are.

use clap::Args;
use serde_json::{Value, json};

use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::{items, text};
use crate::screen::Paint;
use crate::table::Table;

/// Tenants asked for at once.
const PAGE: u16 = 200;

/// List the tenants that this operator may see
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind tenant list --json")]
pub(crate) struct List {
    #[command(flatten)]
    flags: ServerFlags,
}

impl List {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let call = client.fresh(Call::get("/v1/tenants").with("limit", PAGE));
        let mut tenants: Vec<Value> = Vec::new();
        let mut cursor = None;
        loop {
            let body = client.send(&call.clone().with_some("cursor", cursor.as_ref()))?.body;
            tenants.extend_from_slice(items(&body, "tenants"));
            let next = body["next_cursor"].as_str().map(str::to_owned);
            // The cursor is a tenant id and grows; one that does not would be asked for for ever.
            if next <= cursor {
                break;
            }
            cursor = next;
        }
        self.flags.output.show(&json!({"tenants": tenants}), table)?;
        Ok(Exit::Ok)
    }
}

fn table(body: &Value) -> Vec<String> {
    let mut table = Table::new(&["TENANT", "NAME", "PREFIX", "OPENED"]);
    for tenant in items(body, "tenants") {
        let cells = ["tenant", "name", "prefix", "opened_at"].map(|name| text(tenant, name));
        table.row(cells.iter().map(String::as_str));
    }
    table.lines(Paint::stdout())
}
