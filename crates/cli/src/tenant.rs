//! `rescind tenant`: the units of isolation.

mod close;
mod configure;
mod list;
mod open;

use clap::Subcommand;
use serde_json::Value;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::text;
use crate::screen::printable;

/// The verbs of tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantVerb {
    Open(open::Open),
    List(list::List),
    Configure(configure::Configure),
    Close(close::Close),
}

impl TenantVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Open(open) => open.run(),
            Self::List(list) => list.run(),
            Self::Configure(configure) => configure.run(),
            Self::Close(close) => close.run(),
        }
    }
}

/// What is said of a tenant that was changed.
fn changed(body: &Value, done: &str) -> Vec<String> {
    let (tenant, position) = (printable(&text(body, "tenant")).into_owned(), text(body, "position"));
    let mut lines = vec![format!("{done} tenant {tenant} at position {position}")];
    if body["repeated"] == true {
        lines.push(format!("this command had done so before, at {}", text(body, "changed_at")));
    }
    lines
}
