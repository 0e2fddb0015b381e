//! `rescind policy list`: the policies of a tenant.

use clap::Args;
use serde_json::Value;

use super::{about, path, rules, state};
use crate::client::Call;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::flags::ServerFlags;
use crate::output::{items, text};
use crate::screen::{self, Paint};
use crate::table::Table;

/// List the policies of a tenant
#[derive(Args, Debug)]
#[command(after_help = "Example:\n  rescind policy list --tenant acme --json")]
pub(crate) struct List {
    /// The tenant of the keys
    #[arg(long, default_value = "default")]
    tenant: String,
    #[command(flatten)]
    flags: ServerFlags,
}

impl List {
    pub(super) fn run(self) -> Result<Exit, Failure> {
        let client = self.flags.client()?;
        let body = client.send(&client.fresh(Call::get(path(&self.tenant)?)))?.body;
        if !self.flags.output.json && items(&body, "policies").is_empty() {
            screen::say(&format!("tenant {} has no policies", self.tenant));
            return Ok(Exit::Ok);
        }
        self.flags.output.show(&body, table)?;
        Ok(Exit::Ok)
    }
}

/// A line a rule: each is read on its own.
fn table(body: &Value) -> Vec<String> {
    let mut table = Table::new(&["POLICY", "KEYS", "RULE", "STATE"]);
    for policy in items(body, "policies") {
        let (name, about, state) = (text(policy, "name"), about(policy), state(policy));
        for (n, rule) in rules(policy).iter().enumerate() {
            let cells =
                if n == 0 { [&name, &about, rule, &state] } else { [&name, &about, rule, &String::new()] };
            table.row(cells.into_iter().map(String::as_str));
        }
    }
    table.lines(Paint::stdout())
}
