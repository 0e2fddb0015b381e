//! Leases: asked for with a nonce, counted from the asking, waiting until the notices below them are applied.

use std::collections::VecDeque;

use domain::Position;
use wire::guard::{AskLease, LeaseGranted};

use crate::core::planted::GuardBug;
use crate::core::{Core, Outcome, State};

/// Questions and answers that are remembered at most: one question a second within a bound of a few seconds.
const MAX_OPEN: usize = 8;

/// What an answer did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LeaseOutcome {
    /// The lease runs, at least until then.
    Extended,
    /// It will, once the tenant's notices up to the answer's have been applied.
    Waiting,
    /// Not an answer to an open question of this guard, or of a server that knows less than this guard must.
    Refused,
    /// The server's own proof is older than the bound.
    ServerStale,
    /// Another history: everything was dropped.
    Reset,
}

#[derive(Clone, Copy, Debug)]
struct Asked {
    nonce: u64,
    boot_ms: u64,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    last_notice: Position,
    until: u64,
}

#[derive(Default)]
pub(crate) struct Leases {
    next_nonce: u64,
    asked: VecDeque<Asked>,
    waiting: VecDeque<Waiting>,
}

impl Leases {
    pub(crate) fn from_nonce(next_nonce: u64) -> Self {
        Self { next_nonce, ..Self::default() }
    }

    /// Nothing is open any more, and no nonce comes again.
    pub(crate) fn forgetting(self) -> Self {
        Self::from_nonce(self.next_nonce)
    }

    fn ask(&mut self, boot_ms: u64) -> u64 {
        let nonce = self.next_nonce;
        self.next_nonce = nonce.wrapping_add(1);
        if self.asked.len() == MAX_OPEN {
            self.asked.pop_front();
        }
        self.asked.push_back(Asked { nonce, boot_ms });
        nonce
    }

    /// An answer counts once.
    fn answered(&mut self, nonce: u64) -> Option<u64> {
        let at = self.asked.iter().position(|asked| asked.nonce == nonce)?;
        self.asked.remove(at).map(|asked| asked.boot_ms)
    }

    /// The oldest keep their places: under a steady stream of notices the newest would never come to be true.
    fn wait(&mut self, waiting: Waiting) {
        if self.waiting.len() == MAX_OPEN {
            self.waiting.pop_back();
        }
        self.waiting.push_back(waiting);
    }

    /// The end of the longest lease that has become true.
    fn become_true(&mut self, applied: Position) -> Option<u64> {
        let longest = self.waiting.iter().filter(|lease| lease.last_notice <= applied);
        let longest = longest.map(|lease| lease.until).max();
        self.waiting.retain(|lease| lease.last_notice > applied);
        longest
    }
}

impl Core {
    /// A question to send now. The lease it brings is counted from `boot_ms`, so it is taken before anything is sent.
    #[must_use]
    pub fn ask_lease(&self, guard_id: &str, boot_ms: u64) -> AskLease {
        let mut state = self.state.lock();
        self.hints.expire(boot_ms);
        AskLease {
            guard_id: guard_id.to_owned(),
            nonce: state.leases.ask(boot_ms),
            applied: self.said.applied().get(),
            held: self.held.len() as u64,
            stale: !self.is_fresh(boot_ms),
        }
    }

    /// Takes an answer. Which question it is for is told by its nonce alone.
    pub fn on_lease(&self, granted: &LeaseGranted) -> LeaseOutcome {
        let mut state = self.state.lock();
        let Some(asked_boot_ms) = state.leases.answered(granted.nonce).filter(|_| !state.is_closed) else {
            return LeaseOutcome::Refused;
        };
        if self.is_other_log(&mut state, &granted.log_id) == Outcome::Reset {
            return LeaseOutcome::Reset;
        }
        if Position::new(granted.head) < state.at_least || !state.is_following {
            return LeaseOutcome::Refused;
        }
        let bound_ms = self.said.bound_ms();
        let staleness_ms = if self.planted.is(GuardBug::StalenessIgnored) { 0 } else { granted.staleness_ms };
        let Some(good_for) = bound_ms.checked_sub(staleness_ms).filter(|ms| *ms > 0) else {
            return LeaseOutcome::ServerStale;
        };
        self.ask_above_unread(&mut state, Position::new(granted.last_unread));
        let until = asked_boot_ms.saturating_add(good_for);
        state.leases.wait(Waiting { last_notice: Position::new(granted.last_notice), until });
        if self.settle_leases(&mut state) { LeaseOutcome::Extended } else { LeaseOutcome::Waiting }
    }

    /// An event that the server cannot read has no notice, so a lease tells of it: whatever is held from before may be what it
    /// changed. Such an event is rare, so nothing is kept of which key it is about. Before the lease runs, so that nobody
    /// passes by what it is a proof of on what is older.
    fn ask_above_unread(&self, state: &mut State, last_unread: Position) {
        if last_unread > state.last_unread {
            state.last_unread = last_unread;
            state.at_least = state.at_least.max(last_unread);
            self.drop_held(state, last_unread);
        }
    }

    /// Lets the leases run that the notices applied so far have made true.
    pub(crate) fn settle_leases(&self, state: &mut State) -> bool {
        let applied = if self.planted.is(GuardBug::LeaseAheadOfNotices) {
            Position::new(u64::MAX)
        } else {
            self.said.applied()
        };
        let until = state.leases.become_true(applied);
        if let Some(until) = until {
            self.said.extend_lease(until);
        }
        until.is_some()
    }
}
