//! What a guard knows and how that changes: without clock, network or tasks, so that a simulation can drive every order.
//!
//! Judging reads from any thread; everything else is a writer, one at a time under one lock. Three rules make it sound:
//!
//! 1. **Order.** A notice is applied only if the one before it was (`previous`). Whatever was skipped is heard first.
//! 2. **Fence.** A fill rests on at least everything that was heard when it was asked for, and what it says of a key counts
//!    only if no notice above its `as_of` touched that key meanwhile. So a slow answer never brings back what a notice took.
//! 3. **Lease.** Only an answer to a question of this guard extends the time in which it may say `valid`, only counted from
//!    when it asked, and only once the tenant's last notice at that answer's head was applied. Nothing that happens to arrive
//!    (a notice, a heartbeat, a fill) ever does.
//!
//! Beside them stand hints, which follow none of these rules and may only refuse: see `hints`.
//!
//! A reader takes the lease's end before it looks a key up. The end was put there after the notices below it were applied, so
//! what it finds is at least as new as what the lease is a proof of.

mod entry;
mod fills;
mod held;
mod hints;
mod judge;
mod leases;
mod loading;
mod notices;
mod planted;
mod published;
mod replica;
mod shared;

#[cfg(test)]
pub(crate) mod tests;

use domain::{LogId, Position, TenantId};
use parking_lot::Mutex;

pub use self::entry::{FillUnreadable, Holder};
pub use self::fills::{Arrived, FillTicket};
pub use self::held::Capacity;
pub use self::hints::HintOutcome;
pub(crate) use self::judge::{At, Knowing};
pub use self::judge::{Decision, Judged};
pub use self::leases::LeaseOutcome;
pub use self::loading::{Load, LoadTicket};
pub use self::notices::Outcome;
#[cfg(feature = "planted")]
pub use self::planted::GuardBug;

use self::fills::Fills;
use self::held::Held;
use self::hints::Hints;
use self::leases::Leases;
use self::loading::Loading;
use self::planted::Planted;
use self::published::Published;
use self::shared::Shared;

/// All that a guard knows of one tenant's keys.
pub struct Core {
    tenant: TenantId,
    held: Held,
    hints: Hints,
    said: Published,
    state: Mutex<State>,
    planted: Planted,
}

/// What only writers look at.
#[derive(Default)]
pub(crate) struct State {
    /// The history that everything held belongs to; none until the guard is registered.
    log_id: Option<LogId>,
    /// Nothing may rest on less: the head when the registration stood.
    at_least: Position,
    /// The last event that a server could not read, up to which everything held was asked for again.
    last_unread: Position,
    /// A feed said where it begins: from there on notices follow each other.
    is_following: bool,
    fills: Fills,
    leases: Leases,
    loading: Loading,
    shared: Shared,
    /// The fill that told last what holds for all keys.
    tenant_as_of: Position,
    is_closed: bool,
    /// The server has heard of this guard, at some time.
    was_registered: bool,
}

impl Core {
    /// Knows nothing yet, and refuses. Nonces of leases count up from `first_nonce`.
    #[must_use]
    pub fn new(tenant: TenantId, capacity: Capacity, first_nonce: u64) -> Self {
        let state = State { leases: Leases::from_nonce(first_nonce), ..State::default() };
        Self {
            tenant,
            held: Held::new(capacity),
            hints: Hints::default(),
            said: Published::default(),
            state: Mutex::new(state),
            planted: Planted::default(),
        }
    }

    /// Notes that the server knows this guard, since before the log had an event above `at_least`.
    ///
    /// A registration again keeps what is held, unless it is with another history or with one that has become shorter.
    pub fn on_registered(&self, log_id: LogId, at_least: Position, bound_ms: u64) {
        let mut state = self.state.lock();
        if state.log_id.is_some_and(|known| known != log_id) || at_least < self.said.heard() {
            self.forget(&mut state);
        }
        state.log_id = Some(log_id);
        state.was_registered = true;
        state.at_least = state.at_least.max(at_least);
        self.said.set_bound(bound_ms);
    }

    /// Drops everything: whatever is held belongs to a history that the server does not have. The guard registers anew and
    /// refuses until it has a lease on the new one.
    pub fn reset(&self) {
        self.forget(&mut self.state.lock());
    }

    fn forget(&self, state: &mut State) {
        // The lease first: nobody may pass on what is not held for its sake any more.
        self.said.end_lease();
        self.clear_held(state);
        self.hints.clear();
        self.said.restart();
        *state = State {
            leases: std::mem::take(&mut state.leases).forgetting(),
            fills: std::mem::take(&mut state.fills).forgetting(),
            // Its numbers go on: a load from before finds that it is over.
            loading: std::mem::take(&mut state.loading),
            is_closed: state.is_closed,
            was_registered: state.was_registered,
            ..State::default()
        };
    }

    /// Answers nobody any more: whatever is judged from now on is at best stale.
    pub fn close(&self) {
        let mut state = self.state.lock();
        state.is_closed = true;
        self.forget(&mut state);
    }

    /// Where a feed has to go on; none for one that begins now.
    #[must_use]
    pub fn resume_from(&self) -> Option<Position> {
        let state = self.state.lock();
        state.is_following.then(|| self.said.applied())
    }

    /// Whether a registration holds; not after a reset.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.state.lock().log_id.is_some()
    }

    pub(crate) fn was_registered(&self) -> bool {
        self.state.lock().was_registered
    }

    /// The tenant whose keys are judged.
    #[must_use]
    pub const fn tenant(&self) -> &TenantId {
        &self.tenant
    }

    /// The tenant's last notice that was applied.
    #[must_use]
    pub fn applied(&self) -> Position {
        self.said.applied()
    }

    /// Up to here everything was heard.
    #[must_use]
    pub fn heard(&self) -> Position {
        self.said.heard()
    }

    /// How many keys are held.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.len()
    }

    /// How long a lease lasts at most.
    #[must_use]
    pub fn bound_ms(&self) -> u64 {
        self.said.bound_ms()
    }

    /// Whether it may say `valid`.
    #[must_use]
    pub fn is_fresh(&self, boot_ms: u64) -> bool {
        !self.said.view(boot_ms).stale
    }

    /// Milliseconds for which nothing has proven that everything was heard; none if nothing ever did.
    #[must_use]
    pub fn lag_ms(&self, boot_ms: u64) -> Option<u64> {
        self.said.lag_ms(boot_ms)
    }
}
