//! `rescind tenant`: the units of isolation.

mod list;
mod open;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// The verbs of tenants.
#[derive(Debug, Subcommand)]
pub(crate) enum TenantVerb {
    Open(open::Open),
    List(list::List),
}

impl TenantVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Open(open) => open.run(),
            Self::List(list) => list.run(),
        }
    }
}
