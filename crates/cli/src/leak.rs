//! `rescind leak`: keys that others may have seen, reported by whoever found them, or ended by who holds them.

mod input;
mod report;
mod self_revoke;
pub(crate) mod send;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// The verbs of leaks.
#[derive(Debug, Subcommand)]
pub(crate) enum LeakVerb {
    Report(report::Report),
    SelfRevoke(self_revoke::SelfRevoke),
}

impl LeakVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Report(report) => report.run(),
            Self::SelfRevoke(revoke) => revoke.run(),
        }
    }
}
