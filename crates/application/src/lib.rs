//! Acts: from a command and the state it meets to an event in the log, exactly once, and no answer before that is known.

mod ambient;
mod append;
mod application;
mod bootstrap;
mod change_key;
mod expire_key;
mod history;
mod issue_key;
mod lease;
mod open_tenant;
mod outcome;
mod revoke_key;
mod tag_secrets;
#[cfg(test)]
mod tests;

pub use ambient::{Ambient, SystemAmbient};
pub use application::Application;
pub use bootstrap::{Bootstrapped, FirstOperator};
pub use issue_key::{IssueRequest, Issued};
pub use lease::{Lease, LeaseState};
pub use outcome::{Changed, CommandError, Request};
