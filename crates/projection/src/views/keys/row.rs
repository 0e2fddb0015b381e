//! A key's row as it is shown.

use std::fmt;
use std::str::FromStr;

use domain::{
    Environment, KeyId, Labels, LeakSource, Networks, Owner, Personal, Position, Prefix, Revision,
    RevokeReason, RotationRule, ScopeSet, Standing, SuspendReason, TenantId, Timestamp,
};
use thiserror::Error;

/// Everything that is shown of a key, as it is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRow {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// What it is.
    pub standing: Standing,
    /// How many events its history has.
    pub revision: Revision,
    /// The position of the last of them.
    pub position: Position,
    /// How it came to be and what comes with it; none only for a quarantined key whose issue cannot be read here.
    pub grant: Option<KeyGrant>,
    /// When it was first found valid, if it is a successor and that was recorded.
    pub first_used_at: Option<Timestamp>,
    /// Why it is suspended; none for a key that a reported leak has suspended.
    pub suspended: Option<SuspendReason>,
    /// When its suspension ends by itself.
    pub suspended_until: Option<Timestamp>,
    /// The last report of a leak.
    pub leaked: Option<KeyLeak>,
    /// The last rotation in which it is the predecessor.
    pub rotation: Option<RotationRow>,
    /// When it was revoked or recalled, or expired.
    pub ended_at: Option<Timestamp>,
    /// Why it was revoked or recalled.
    pub reason: Option<RevokeReason>,
    /// In somebody's words, why it was suspended, revoked or recalled.
    pub note: Option<Personal>,
    /// The recall that hit it: its place in the tenant's history. While a recall of many keys is on its way through the
    /// rows, a key is shown as recalled before it can say by which, when and why.
    pub recalled_by: Option<Position>,
}

/// How a key came to be, and what comes with it now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyGrant {
    /// When it was issued or imported.
    pub issued_at: Timestamp,
    /// By which key.
    pub issued_by: Option<KeyId>,
    /// Whether it came from another system.
    pub imported: bool,
    /// The key that it was issued to replace.
    pub predecessor: Option<KeyId>,
    /// What its text begins with; none for one of another system.
    pub prefix: Option<Prefix>,
    /// Live or test.
    pub environment: Environment,
    /// What people call it.
    pub name: Option<Personal>,
    /// Whom it belongs to.
    pub owner: Owner,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Its labels.
    pub labels: Labels,
    /// Where it may be used from.
    pub networks: Networks,
    /// When its time is up.
    pub expires_at: Option<Timestamp>,
}

/// A report that a key was found where it should not be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyLeak {
    /// When it came.
    pub reported_at: Timestamp,
    /// Who sent it.
    pub source: LeakSource,
    /// Where the key was found.
    pub url: Option<Personal>,
}

/// A rotation, as its predecessor shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotationRow {
    /// The key that is to take over.
    pub successor: KeyId,
    /// When the predecessor goes.
    pub rule: RotationRule,
    /// When it began.
    pub started_at: Timestamp,
    /// When the successor was first found valid.
    pub adopted_at: Option<Timestamp>,
    /// What became of it.
    pub state: RotationState,
}

/// What became of a rotation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationState {
    /// Both keys are valid.
    Running,
    /// The successor took over.
    Finished {
        /// When.
        at: Timestamp,
        /// Whether somebody insisted although the successor had not been used.
        forced: bool,
    },
    /// It was called off, and the successor retired.
    Cancelled {
        /// When.
        at: Timestamp,
    },
    /// The predecessor ended by other means.
    Overtaken,
}

/// A [`RotationState`] without what belongs to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationPhase {
    /// Both keys are valid.
    Running,
    /// The successor took over.
    Finished,
    /// It was called off.
    Cancelled,
    /// The predecessor ended by other means.
    Overtaken,
}

impl RotationState {
    /// The state's name.
    #[must_use]
    pub const fn phase(self) -> RotationPhase {
        match self {
            Self::Running => RotationPhase::Running,
            Self::Finished { .. } => RotationPhase::Finished,
            Self::Cancelled { .. } => RotationPhase::Cancelled,
            Self::Overtaken => RotationPhase::Overtaken,
        }
    }
}

impl RotationPhase {
    /// All of them, in the order in which rotations are listed.
    pub const ALL: [Self; 4] = [Self::Running, Self::Finished, Self::Cancelled, Self::Overtaken];

    /// The word in API and CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Finished => "finished",
            Self::Cancelled => "cancelled",
            Self::Overtaken => "overtaken",
        }
    }
}

impl fmt::Display for RotationPhase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that names no state of a rotation.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a rotation is one of running, finished, cancelled, overtaken")]
pub struct RotationPhaseError;

impl FromStr for RotationPhase {
    type Err = RotationPhaseError;

    fn from_str(text: &str) -> Result<Self, RotationPhaseError> {
        Self::ALL.into_iter().find(|phase| phase.as_str() == text).ok_or(RotationPhaseError)
    }
}

/// Whether nothing can follow that lets a key pass again.
pub(super) const fn has_ended(standing: Standing) -> bool {
    match standing {
        Standing::Revoked | Standing::Recalled | Standing::Expired => true,
        Standing::Active | Standing::Suspended | Standing::Quarantined => false,
    }
}

/// Whether a key's time can still run out: whatever ended or cannot be read does not expire any more.
pub(super) const fn may_expire(standing: Standing) -> bool {
    matches!(standing, Standing::Active | Standing::Suspended)
}

impl KeyRow {
    /// The row of a key that a recall has hit which is still on its way to the row.
    pub(super) fn hit(mut self) -> Self {
        self.standing = Standing::Recalled;
        (self.suspended, self.suspended_until, self.note) = (None, None, None);
        if let Some(rotation) = &mut self.rotation
            && rotation.state == RotationState::Running
        {
            rotation.state = RotationState::Overtaken;
        }
        self
    }
}
