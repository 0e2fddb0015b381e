//! `rescind key`: a key's whole life.

mod change;
mod expiry;
mod handover;
mod issue;
mod key_file;
mod list;
mod reinstate;
mod relabel;
mod rename;
mod rescope;
mod restrict;
mod revoke;
mod rotate;
mod show;
mod suspend;
mod transfer;
mod usage;
mod verify;

use clap::Subcommand;

pub(crate) use change::Change;
pub(crate) use revoke::cascaded;

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
    Usage(usage::Usage),
    Rename(rename::Rename),
    Relabel(relabel::Relabel),
    Transfer(transfer::Transfer),
    Rescope(rescope::Rescope),
    Restrict(restrict::Restrict),
    Expiry(expiry::Expiry),
    Rotate(rotate::Rotate),
    Suspend(suspend::Suspend),
    Reinstate(reinstate::Reinstate),
    Revoke(revoke::Revoke),
}

impl KeyVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Issue(issue) => issue.run(),
            Self::List(list) => list.run(),
            Self::Show(show) => show.run(),
            Self::Verify(verify) => verify.run(),
            Self::Usage(usage) => usage.run(),
            Self::Rename(rename) => rename.run(),
            Self::Relabel(relabel) => relabel.run(),
            Self::Transfer(transfer) => transfer.run(),
            Self::Rescope(rescope) => rescope.run(),
            Self::Restrict(restrict) => restrict.run(),
            Self::Expiry(expiry) => expiry.run(),
            Self::Rotate(rotate) => rotate.run(),
            Self::Suspend(suspend) => suspend.run(),
            Self::Reinstate(reinstate) => reinstate.run(),
            Self::Revoke(revoke) => revoke.run(),
        }
    }
}
