//! Why a command is not carried out: facts about the key or tenant, never failures of the service.

use thiserror::Error;

use crate::ids::Timestamp;
use crate::scope::Scope;

/// A rule said no. Nothing was written; the same command may succeed later if the facts change.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Refusal {
    /// The tenant id is taken.
    #[error("the tenant is open already")]
    TenantAlreadyOpen,
    /// The tenant was closed.
    #[error("the tenant is closed and takes no commands")]
    TenantClosed,
    /// The key id is taken by another key.
    #[error("the key was issued already")]
    KeyAlreadyIssued,
    /// An expiry that lies in the past.
    #[error("the expiry asked for lies in the past")]
    ExpiryInPast {
        /// What was asked for.
        expires_at: Timestamp,
    },
    /// More than the issuer may do.
    #[error("the scope {scope} is not held by who issues the key, so it cannot be granted")]
    ScopeNotHeld {
        /// The first scope that is not held.
        scope: Scope,
    },
    /// The key was revoked before.
    #[error("the key is revoked already")]
    AlreadyRevoked,
    /// The key's expiry was recorded before.
    #[error("the key is expired already")]
    AlreadyExpired,
    /// The key's expiry has not come, or it has none.
    #[error("the key's time is not up")]
    NotYetExpired,
    /// A recall covers the key.
    #[error("the key is recalled and takes no further command")]
    AlreadyRecalled,
    /// An event of the key's history cannot be read here.
    #[error("the key is quarantined: part of its history cannot be read by this build")]
    KeyQuarantined,
    /// Nobody could administer the service any more.
    #[error("this is the last operator with tenants:admin that never expires; issue another one first")]
    LastOperator,
}

impl Refusal {
    /// The stable code in API and CLI.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::TenantAlreadyOpen => "tenant_already_open",
            Self::TenantClosed => "tenant_closed",
            Self::KeyAlreadyIssued => "key_already_issued",
            Self::ExpiryInPast { .. } => "expiry_in_past",
            Self::ScopeNotHeld { .. } => "scope_not_held",
            Self::AlreadyRevoked => "already_revoked",
            Self::AlreadyExpired => "already_expired",
            Self::NotYetExpired => "not_yet_expired",
            Self::AlreadyRecalled => "already_recalled",
            Self::KeyQuarantined => "key_quarantined",
            Self::LastOperator => "last_operator",
        }
    }
}
