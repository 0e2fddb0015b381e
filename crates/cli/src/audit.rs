//! `rescind audit`: what an auditor does.

mod diff;
mod explain;
mod replay;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// The verbs of auditors.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    Replay(replay::Replay),
    Explain(explain::Explain),
    Diff(diff::Diff),
}

impl AuditVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Replay(replay) => replay.run(),
            Self::Explain(explain) => explain.run(),
            Self::Diff(diff) => diff.run(),
        }
    }
}
