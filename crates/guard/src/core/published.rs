//! What readers see beside the keys: positions, the lease's end and what holds for the whole tenant.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use domain::Position;
use verify::AsOf;

/// Written under the core's lock only.
#[derive(Default)]
pub(crate) struct Published {
    applied: AtomicU64,
    heard: AtomicU64,
    /// Boot milliseconds of the last moment of the lease, plus one; 0 = none.
    until: AtomicU64,
    bound_ms: AtomicU64,
    closed: AtomicBool,
    /// Boot milliseconds until which the tenant is taken for quarantined; 0 = it is not.
    quarantined_until: AtomicU64,
}

/// One reading of it all.
pub(crate) struct View {
    pub(crate) stale: bool,
    pub(crate) closed: bool,
    pub(crate) quarantined_until: u64,
    pub(crate) as_of: AsOf,
}

impl Published {
    /// Taken before a key is looked up. Acquire, so that whoever sees a lease also sees every notice applied before it.
    pub(crate) fn view(&self, boot_ms: u64) -> View {
        let until = self.until.load(Ordering::Acquire);
        let lag = lag_ms(until, self.bound_ms.load(Ordering::Relaxed), boot_ms);
        View {
            stale: until <= boot_ms,
            closed: self.closed.load(Ordering::Acquire),
            quarantined_until: self.quarantined_until.load(Ordering::Acquire),
            as_of: AsOf { position: self.heard(), lag: lag.map_or(Duration::MAX, Duration::from_millis) },
        }
    }

    pub(crate) fn lag_ms(&self, boot_ms: u64) -> Option<u64> {
        lag_ms(self.until.load(Ordering::Acquire), self.bound_ms(), boot_ms)
    }

    pub(crate) fn applied(&self) -> Position {
        Position::new(self.applied.load(Ordering::Acquire))
    }

    pub(crate) fn heard(&self) -> Position {
        Position::new(self.heard.load(Ordering::Acquire))
    }

    pub(crate) fn bound_ms(&self) -> u64 {
        self.bound_ms.load(Ordering::Relaxed)
    }

    /// A shorter bound shortens the lease that runs.
    pub(crate) fn set_bound(&self, bound_ms: u64) {
        let before = self.bound_ms.swap(bound_ms, Ordering::Relaxed);
        let until = self.until.load(Ordering::Acquire);
        self.until.store(until.saturating_sub(before.saturating_sub(bound_ms)), Ordering::Release);
    }

    /// Called after the notice's effect on the keys is there.
    pub(crate) fn apply(&self, position: Position) {
        self.applied.store(position.get(), Ordering::Release);
        self.hear(position);
    }

    pub(crate) fn hear(&self, position: Position) {
        self.heard.fetch_max(position.get(), Ordering::AcqRel);
    }

    /// Never earlier than it was: an older answer takes nothing back.
    pub(crate) fn extend_lease(&self, until: u64) {
        self.until.fetch_max(until.saturating_add(1), Ordering::AcqRel);
    }

    pub(crate) fn end_lease(&self) {
        self.until.store(0, Ordering::Release);
    }

    pub(crate) fn close_tenant(&self) {
        self.closed.store(true, Ordering::Release);
    }

    pub(crate) fn quarantine_until(&self, boot_ms: u64) {
        self.quarantined_until.store(boot_ms, Ordering::Release);
    }

    /// Of another history nothing is known yet.
    pub(crate) fn restart(&self) {
        self.applied.store(0, Ordering::Release);
        self.heard.store(0, Ordering::Release);
        self.closed.store(false, Ordering::Release);
        self.quarantined_until.store(0, Ordering::Release);
    }
}

fn lag_ms(until: u64, bound_ms: u64, boot_ms: u64) -> Option<u64> {
    (until > 0).then(|| (boot_ms + 1 + bound_ms).saturating_sub(until))
}
