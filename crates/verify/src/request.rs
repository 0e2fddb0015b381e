//! What a verifier is asked and what it answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::{Environment, KeyId, Owner, Position, Scope, ScopeSet, TenantId, Timestamp};

use crate::verdict::Verdict;

/// A key that somebody presents, and what for. Holds the secret: not `Debug`.
#[derive(Clone, Copy)]
pub struct VerifyRequest<'a> {
    /// The whole key as presented.
    pub token: &'a str,
    /// The only tenant whose keys count; none means any.
    pub tenant: Option<&'a TenantId>,
    /// What it is to be used for; none asks only whether it may be used at all.
    pub scope: Option<&'a Scope>,
    /// Where it is presented from.
    pub network: Option<IpAddr>,
}

/// The two clocks of one moment: wall time judges expiry, boot time judges the lease.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Wall clock.
    pub now: Timestamp,
    /// Milliseconds since boot, suspended time included.
    pub boot_ms: u64,
}

/// The verdict and what it rests on.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The first that applies.
    pub verdict: Verdict,
    /// Whose key it is; told only to who presented the full secret.
    pub holder: Option<Holder>,
    /// How recent the knowledge is.
    pub as_of: AsOf,
}

/// What the holder of the full secret may learn. Cloned counters, no allocation.
#[derive(Clone, Debug)]
pub struct Holder {
    /// Its tenant.
    pub tenant: Arc<TenantId>,
    /// Which key.
    pub key_id: KeyId,
    /// Whom it belongs to.
    pub owner: Arc<Owner>,
    /// What it may do.
    pub scopes: Arc<ScopeSet>,
    /// Live or test.
    pub environment: Environment,
    /// When its time is up. A key that has ended may have forgotten it.
    pub expires_at: Option<Timestamp>,
    /// Since when it is `revoked`, `recalled` or `expired`; none under any other verdict.
    pub since: Option<Timestamp>,
}

/// How recent the knowledge behind an answer is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsOf {
    /// Every event up to here was considered, perhaps later ones too.
    pub position: Position,
    /// How long ago that was proven to be everything; [`Duration::MAX`] when it never was.
    pub lag: Duration,
}
