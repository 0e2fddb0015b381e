//! `rescind audit`: what an auditor does.

mod diff;
mod explain;
mod export;
mod incident;
mod prove;
mod rebuild;
mod replay;
mod signer;
mod trust;
mod verify;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// The verbs of auditors.
#[derive(Debug, Subcommand)]
pub(crate) enum AuditVerb {
    Replay(replay::Replay),
    Explain(explain::Explain),
    Diff(diff::Diff),
    Export(export::Export),
    Verify(verify::Verify),
    Prove(prove::Prove),
    #[command(subcommand)]
    Signer(signer::SignerVerb),
    Incident(incident::Incident),
    Rebuild(rebuild::Rebuild),
}

impl AuditVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Replay(replay) => replay.run(),
            Self::Explain(explain) => explain.run(),
            Self::Diff(diff) => diff.run(),
            Self::Export(export) => export.run(),
            Self::Verify(verify) => verify.run(),
            Self::Prove(prove) => prove.run(),
            Self::Signer(verb) => verb.run(),
            Self::Incident(incident) => incident.run(),
            Self::Rebuild(rebuild) => rebuild.run(),
        }
    }
}
