//! `rescind key`: a key's whole life.

mod handover;
mod issue;
mod key_file;
mod list;
mod revoke;
mod show;
mod verify;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// The most that the server gives in one page.
const PAGE: u16 = 200;

/// The verbs of keys.
#[derive(Debug, Subcommand)]
pub(crate) enum KeyVerb {
    Issue(issue::Issue),
    List(list::List),
    Show(show::Show),
    Verify(verify::Verify),
    Revoke(revoke::Revoke),
}

impl KeyVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Issue(issue) => issue.run(),
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Verify(verify) => verify.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}
