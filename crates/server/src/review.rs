//! The review: what is wrong with a key by what its history, its use and its tenant's policies say, and what mends it.

mod command;
mod finding;
mod judge;
#[cfg(test)]
mod tests;

pub(crate) use finding::{Finding, Kind};
pub(crate) use judge::{Asked, EndedIssuer, Subject, Successor, findings};
