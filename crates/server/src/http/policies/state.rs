//! What a server saw when it last applied a policy, in JSON.

use serde::Serialize;
use utoipa::ToSchema;
use wire::format_rfc3339;

use crate::policy::watch::Pass;

/// What this server saw in its last pass over a policy's keys. Other servers make passes of their own; of what two of them
/// ask for, one event comes.
#[derive(Serialize, ToSchema)]
pub(crate) struct PolicyState {
    /// When it ended, RFC 3339.
    at: String,
    /// Keys that it looked at.
    keys: u64,
    /// Notices of expiry that it gave.
    warned: u64,
    /// Keys that it suspended.
    suspended: u64,
    /// Keys that it revoked.
    revoked: u64,
    /// Keys that would be idle, if it were known that nobody used them: the policy waits.
    waiting: u64,
    /// The servers whose reports of usage are missing for these; at most 20.
    unreported: Vec<String>,
}

impl From<Pass> for PolicyState {
    fn from(pass: Pass) -> Self {
        Self {
            at: format_rfc3339(pass.at),
            keys: pass.keys,
            warned: pass.warned,
            suspended: pass.suspended,
            revoked: pass.revoked,
            waiting: pass.waiting,
            unreported: pass.unreported.into_iter().map(String::from).collect(),
        }
    }
}
