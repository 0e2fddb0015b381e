//! `rescind log`: what is done with a whole log.

mod copy;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// The verbs on a whole log.
#[derive(Debug, Subcommand)]
pub(crate) enum LogVerb {
    // Boxed: its settings would make every verb as large.
    Copy(Box<copy::Copy>),
}

impl LogVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Copy(copy) => copy.run(),
        }
    }
}
