//! `rescind rotation`: how far each rotation is, and its end.

mod cancel;
mod finish;
mod list;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// The verbs of rotations.
#[derive(Debug, Subcommand)]
pub(crate) enum RotationVerb {
    List(list::List),
    Finish(finish::Finish),
    Cancel(cancel::Cancel),
}

impl RotationVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::List(list) => list.run(),
            Self::Finish(finish) => finish.run(),
            Self::Cancel(cancel) => cancel.run(),
        }
    }
}
