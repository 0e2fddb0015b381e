//! Acts: from a command and the state it meets to an event in the log, exactly once, and no answer before that is known.

mod ambient;
mod amend_key;
mod append;
mod application;
mod asked_grant;
mod bootstrap;
mod cascade;
mod change_key;
mod change_tenant;
mod configure_tenant;
mod erase_owner;
mod expire_key;
mod history;
mod import_key;
mod issue_key;
mod lease;
mod open_tenant;
mod outcome;
mod recall_keys;
mod recall_token;
mod report_leak;
mod revoke_key;
mod rotate_key;
mod seals;
mod suspend_key;
mod tag_secrets;
mod tenant_states;
#[cfg(test)]
mod tests;
mod warn_expiry;

pub use ambient::{Ambient, SystemAmbient};
pub use amend_key::AmendRequest;
pub use application::{Application, NotWritten};
pub use asked_grant::AskedGrant;
pub use bootstrap::{Bootstrapped, FirstOperator};
pub use cascade::Cascaded;
pub use erase_owner::{Erased, ErasurePreview, InTheClear};
pub use import_key::{ImportRequest, Importable, Imported};
pub use issue_key::{IssueRequest, Issued};
pub use lease::{Lease, LeaseState};
pub use outcome::{Changed, CommandError, Request};
pub use recall_keys::{AskedSelector, Confirmed, RecallPreview, RecallRequest, Recalled};
pub use recall_token::{RecallToken, RecallTokenError};
pub use report_leak::Leaked;
pub use rotate_key::{RotateRequest, Rotated};
pub use seals::{Closed, Seals};
