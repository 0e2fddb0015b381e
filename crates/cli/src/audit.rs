//! `rescind audit`: what an auditor does.

mod replay;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// The verbs of auditors.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    Replay(replay::Replay),
}

impl AuditVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Replay(replay) => replay.run(),
        }
    }
}
