//! What a verifier is asked and what it answers.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use domain::{Environment, KeyId, Owner, Position, Scope, ScopeSet, TenantId, Timestamp};

use crate::index::KeyIndex;
use crate::row::HotRow;
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

/// The verdict and what it rests on, borrowing from the index.
#[derive(Clone, Copy)]
pub struct Judgement<'a> {
    /// The first that applies.
    pub verdict: Verdict,
    /// Whose key it is; told only to who presented the full secret.
    pub holder: Option<HolderRef<'a>>,
    /// How recent the knowledge is.
    pub as_of: AsOf,
}

impl Judgement<'_> {
    /// The same to keep. Counts up what is shared, copies nothing.
    #[must_use]
    pub fn to_answer(&self) -> Answer {
        let holder = self.holder.as_ref().map(HolderRef::to_holder);
        Answer { verdict: self.verdict, holder, as_of: self.as_of }
    }
}

/// What the holder of the full secret may learn, looked up when it is asked for.
#[derive(Clone, Copy)]
pub struct HolderRef<'a> {
    index: &'a KeyIndex,
    key_id: KeyId,
    tenant: u32,
    owner: u32,
    scopes: u32,
    environment: Environment,
    expires_at: Option<Timestamp>,
    since: Option<Timestamp>,
}

impl<'a> HolderRef<'a> {
    pub(crate) fn new(index: &'a KeyIndex, row: &HotRow, since: Option<Timestamp>) -> Self {
        Self {
            index,
            key_id: row.key_id(),
            tenant: row.tenant(),
            owner: row.owner(),
            scopes: row.scopes(),
            environment: row.environment(),
            expires_at: row.expires_at(),
            since,
        }
    }

    /// Its tenant.
    #[must_use]
    pub fn tenant(&self) -> &'a Arc<TenantId> {
        &self.index.tenants.at(self.tenant).id
    }

    /// Which key.
    #[must_use]
    pub const fn key_id(&self) -> KeyId {
        self.key_id
    }

    /// Whom it belongs to.
    #[must_use]
    pub fn owner(&self) -> &'a Arc<Owner> {
        self.index.values.owners.at(self.owner)
    }

    /// What it may do.
    #[must_use]
    pub fn scopes(&self) -> &'a Arc<ScopeSet> {
        self.index.values.scopes.at(self.scopes)
    }

    /// Live or test.
    #[must_use]
    pub const fn environment(&self) -> Environment {
        self.environment
    }

    /// When its time is up. A key that has ended may have forgotten it.
    #[must_use]
    pub const fn expires_at(&self) -> Option<Timestamp> {
        self.expires_at
    }

    /// Since when it is `revoked`, `recalled` or `expired`; none under any other verdict.
    #[must_use]
    pub const fn since(&self) -> Option<Timestamp> {
        self.since
    }

    /// All of it to keep.
    #[must_use]
    pub fn to_holder(&self) -> Holder {
        Holder {
            tenant: Arc::clone(self.tenant()),
            key_id: self.key_id,
            owner: Arc::clone(self.owner()),
            scopes: Arc::clone(self.scopes()),
            environment: self.environment,
            expires_at: self.expires_at,
            since: self.since,
        }
    }
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
