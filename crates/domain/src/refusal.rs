//! Why a command is not carried out: facts about the key or tenant, never failures of the service.

use thiserror::Error;

use crate::ids::{KeyId, Timestamp};
use crate::policy::PolicyName;
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
    /// Nothing would change.
    #[error("all is as asked for already")]
    Unchanged,
    /// More was asked for by who may not issue keys.
    #[error("giving a key more than it has needs keys:issue")]
    WideningNeedsIssue,
    /// A policy of the tenant says no.
    #[error("the policy {policy} does not allow it: {rule}")]
    PolicyDenies {
        /// Which.
        policy: PolicyName,
        /// Which of its rules.
        rule: &'static str,
    },
    /// The key was suspended before.
    #[error("the key is suspended already")]
    AlreadySuspended,
    /// A suspension that would be over at once.
    #[error("the end of the suspension asked for lies in the past")]
    SuspensionInPast {
        /// What was asked for.
        until: Timestamp,
    },
    /// A rotation that would be over at once.
    #[error("the end of the rotation asked for lies in the past")]
    RotationInPast {
        /// What was asked for.
        at: Timestamp,
    },
    /// There is nothing to reinstate.
    #[error("the key is not suspended")]
    NotSuspended,
    /// The time at which the suspension ends has not come, or it has none.
    #[error("the key's suspension does not end yet")]
    SuspensionNotOver,
    /// A suspended key has no successor.
    #[error("the key is suspended; reinstate it first")]
    KeySuspended,
    /// A rotation of it is under way.
    #[error("the key is being rotated already: {successor} is to take over")]
    AlreadyRotating {
        /// The key that is to take over.
        successor: KeyId,
    },
    /// There is no rotation to finish or cancel.
    #[error("the key is not being rotated")]
    NotRotating,
    /// Only first uses of successors are recorded.
    #[error("the key is not the successor of a rotation")]
    NotASuccessor,
    /// A first use happens once.
    #[error("the successor's first use is recorded already")]
    AlreadyAdopted,
    /// Ending the predecessor now would lock its users out.
    #[error("the successor {successor} was never used")]
    SuccessorUnused {
        /// The key that is to take over.
        successor: KeyId,
    },
    /// The key that was to take over is not active.
    #[error("the successor {successor} cannot be used")]
    SuccessorEnded {
        /// The key that was to take over.
        successor: KeyId,
    },
    /// The time or the evidence asked for is not there.
    #[error("the rotation's rule is not met yet")]
    RotationNotDue,
    /// It is too early to warn.
    #[error("the key's expiry is not that near, or was moved")]
    WarningNotDue,
    /// A recall that would change nothing.
    #[error("no key that can be used matches the selector")]
    NothingMatches,
    /// Each policy costs every issue a look.
    #[error("the tenant has as many policies as it can have")]
    TooManyPolicies,
    /// Nothing to remove.
    #[error("there is no policy {policy}")]
    NoSuchPolicy {
        /// Which.
        policy: PolicyName,
    },
    /// The operators' own tenant is never closed, and its keys are always issued here.
    #[error("not in the tenant of operators")]
    NotForOperators,
    /// An owner is erased once their keys have ended.
    #[error("the owner has {count} keys that can be used, or could be again")]
    OwnerHasLiveKeys {
        /// How many.
        count: u64,
        /// Some of them.
        sample: Vec<KeyId>,
    },
    /// Nothing is known of such an owner.
    #[error("the tenant has no such owner")]
    NoSuchOwner,
    /// The owner was erased, and has come to nothing new since.
    #[error("the owner is erased already")]
    AlreadyErased,
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
            Self::Unchanged => "unchanged",
            Self::WideningNeedsIssue => "widening_needs_issue",
            Self::PolicyDenies { .. } => "policy_denies",
            Self::AlreadySuspended => "already_suspended",
            Self::SuspensionInPast { .. } => "suspension_in_past",
            Self::RotationInPast { .. } => "rotation_in_past",
            Self::NotSuspended => "not_suspended",
            Self::SuspensionNotOver => "suspension_not_over",
            Self::KeySuspended => "key_suspended",
            Self::AlreadyRotating { .. } => "already_rotating",
            Self::NotRotating => "not_rotating",
            Self::NotASuccessor => "not_a_successor",
            Self::AlreadyAdopted => "already_adopted",
            Self::SuccessorUnused { .. } => "successor_unused",
            Self::SuccessorEnded { .. } => "successor_ended",
            Self::RotationNotDue => "rotation_not_due",
            Self::WarningNotDue => "warning_not_due",
            Self::NothingMatches => "nothing_matches",
            Self::TooManyPolicies => "too_many_policies",
            Self::NoSuchPolicy { .. } => "no_such_policy",
            Self::NotForOperators => "not_for_operators",
            Self::OwnerHasLiveKeys { .. } => "owner_has_live_keys",
            Self::NoSuchOwner => "no_such_owner",
            Self::AlreadyErased => "already_erased",
        }
    }
}
