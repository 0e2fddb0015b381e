//! One guard as the fleet knows it.

use std::fmt;
use std::str::FromStr;

use domain::{EventId, IdError, KeyId, Position, TenantId};

use crate::fleet::DRIFT_MS;
use crate::fleet::receipt::{By, Target, TargetState, Who};

/// A guard that has said nothing for so long, in milliseconds, is behind: it reports each second.
const SILENT_MS: u64 = 2_500;

/// One run of a guard: a ULID that its process drew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct GuardId(EventId);

impl From<GuardId> for EventId {
    fn from(guard: GuardId) -> Self {
        guard.0
    }
}

impl fmt::Display for GuardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for GuardId {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        text.parse().map(Self)
    }
}

/// What a guard says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Introduction {
    pub(crate) guard_id: GuardId,
    /// The operator key that it came with: no other speaks for it.
    pub(crate) operator: KeyId,
    pub(crate) tenant: TenantId,
    pub(crate) name: Box<str>,
    pub(crate) version: Box<str>,
    pub(crate) feed: Box<str>,
    /// How long it goes on after a proof, never more than the server's own bound.
    pub(crate) max_staleness_ms: u64,
}

/// What a guard tells of itself when it asks for a lease.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Told {
    /// How many keys it holds.
    pub(crate) held: u64,
    /// It refuses.
    pub(crate) stale: bool,
    /// It has applied the tenant's last notice.
    pub(crate) whole: bool,
}

/// How a guard does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// It has applied everything, and said so just now.
    Current,
    /// It may answer, and has not said that it has applied everything.
    Lagging,
    /// It says that it refuses, or has never had a lease.
    Stale,
    /// It can accept nothing any more: it left, or its bound has passed.
    Gone,
}

impl MemberState {
    pub(crate) const ALL: [Self; 4] = [Self::Current, Self::Lagging, Self::Stale, Self::Gone];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Lagging => "lagging",
            Self::Stale => "stale",
            Self::Gone => "gone",
        }
    }
}

/// One guard. Times are boot milliseconds of this server.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) introduction: Introduction,
    pub(crate) applied: Position,
    pub(crate) held: u64,
    /// As it said itself.
    pub(crate) stale: bool,
    pub(crate) left: bool,
    pub(crate) last_heard: u64,
    /// When it last said that it had applied everything.
    pub(crate) whole_at: Option<u64>,
    /// The server that it belongs to says that it can accept nothing by what it has.
    pub(crate) over: bool,
    /// When it last got a lease.
    granted: Option<u64>,
}

impl Member {
    pub(crate) const fn new(introduction: Introduction, boot_ms: u64) -> Self {
        Self {
            introduction,
            applied: Position::NONE,
            held: 0,
            stale: true,
            left: false,
            last_heard: boot_ms,
            whole_at: None,
            over: false,
            granted: None,
        }
    }

    /// The same guard, after it heard that it was not known, or with another server's answer in doubt.
    pub(crate) fn introduce_again(&mut self, introduction: Introduction, boot_ms: u64) {
        // A lease under the longer bound may still be running.
        let bound = self.introduction.max_staleness_ms.max(introduction.max_staleness_ms);
        self.introduction = Introduction { max_staleness_ms: bound, ..introduction };
        self.left = false;
        self.last_heard = boot_ms;
    }

    pub(crate) fn granted(&mut self, boot_ms: u64) {
        self.granted = self.granted.max(Some(boot_ms));
    }

    pub(crate) fn heard(&mut self, applied: Position, told: Option<Told>, boot_ms: u64) {
        self.applied = self.applied.max(applied);
        self.last_heard = boot_ms;
        if let Some(Told { held, stale, whole }) = told {
            (self.held, self.stale) = (held, stale);
            self.whole_at = if whole { Some(boot_ms) } else { self.whole_at };
        }
    }

    /// Until when it can go on with what it has, drift included; none if it never got a lease.
    pub(crate) fn accepts_until(&self) -> Option<u64> {
        Some(self.granted?.saturating_add(self.bound()))
    }

    /// How long it goes on after a proof at the most, drift included.
    fn bound(&self) -> u64 {
        self.introduction.max_staleness_ms.saturating_add(DRIFT_MS)
    }

    /// Whether who was last heard then is behind.
    pub(crate) const fn is_silent(last_heard: u64, boot_ms: u64) -> bool {
        boot_ms > last_heard.saturating_add(SILENT_MS)
    }

    /// Whether it can accept nothing any more.
    pub(crate) fn is_over(&self, boot_ms: u64) -> bool {
        let silent = Self::is_silent(self.last_heard, boot_ms);
        self.left || self.over || self.accepts_until().map_or(silent, |until| boot_ms > until)
    }

    /// How it does, where the tenant's last notice is `last_notice`.
    pub(crate) fn state(&self, last_notice: Position, boot_ms: u64) -> MemberState {
        if self.is_over(boot_ms) {
            MemberState::Gone
        } else if self.stale || self.granted.is_none() {
            MemberState::Stale
        } else if self.applied < last_notice || Self::is_silent(self.last_heard, boot_ms) {
            MemberState::Lagging
        } else {
            MemberState::Current
        }
    }

    /// Its place in a receipt for `position` that was begun then; none for one that has accepted nothing yet: whatever it gets
    /// from now on includes that position.
    pub(crate) fn target(&self, position: Position, boot_ms: u64, begun: u64) -> Option<Target> {
        // A lease that was given later asks for the notice.
        let until = self.accepts_until()?.min(begun.saturating_add(self.bound()));
        let state = if self.applied >= position {
            TargetState::Enforced { by: By::Report, after_ms: boot_ms.saturating_sub(begun) }
        } else if self.over || boot_ms > until {
            TargetState::Enforced { by: By::Bound, after_ms: until.min(boot_ms).saturating_sub(begun) }
        } else {
            TargetState::Outstanding { until }
        };
        let Introduction { guard_id, name, .. } = &self.introduction;
        Some(Target { who: Who::Guard(*guard_id), name: name.clone(), state })
    }

    /// By tenant, name and id.
    pub(crate) fn order(&self) -> (&TenantId, &str, GuardId) {
        (&self.introduction.tenant, &self.introduction.name, self.introduction.guard_id)
    }
}
