//! What a guard says about itself.

use std::fmt;

use domain::Position;
use parking_lot::Mutex;
use tokio::sync::watch;

/// Whether a guard can do its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It has not had a lease yet on this history, and refuses.
    Starting,
    /// It hears everything and answers.
    Current,
    /// It answers, for what is left of its lease: the feed is being repaired, or has notices that are not applied yet.
    Lagging,
    /// Its lease has run out: it refuses.
    Stale,
    /// The server refuses its credential: it refuses once its lease has run out, and goes on asking.
    CredentialRefused,
    /// The server does not want this guard: it refuses once its lease has run out, and goes on asking.
    GuardRefused,
    /// One of its tasks broke. It refuses once its lease has run out, and does not recover: build another guard.
    Broken,
    /// It was closed, and refuses.
    Closed,
}

impl State {
    /// The word in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Current => "current",
            Self::Lagging => "lagging",
            Self::Stale => "stale",
            Self::CredentialRefused => "credential_refused",
            Self::GuardRefused => "guard_refused",
            Self::Broken => "broken",
            Self::Closed => "closed",
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A guard's own account.
#[derive(Clone, Debug)]
pub struct Status {
    /// Its id in the fleet.
    pub guard_id: String,
    /// Whether it can do its work.
    pub state: State,
    /// The last notice that it has applied.
    pub applied: Position,
    /// Up to here it has heard everything.
    pub heard: Position,
    /// Milliseconds since everything was proven to have been heard; none if it never was.
    pub lag_ms: Option<u64>,
    /// How long it goes on without such a proof; 0 until the server has said so.
    pub bound_ms: u64,
    /// How many keys it holds.
    pub held: usize,
    /// It is a replica, and holds all keys of its tenant.
    pub whole: bool,
    /// What went wrong last, until it works again.
    pub last_error: Option<String>,
}

/// What the tasks note for [`Status`].
#[derive(Debug, Default)]
pub(crate) struct Notes {
    noted: Mutex<Noted>,
    changed: watch::Sender<u64>,
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Noted {
    pub(crate) feed_error: Option<String>,
    pub(crate) call_error: Option<String>,
    pub(crate) feed_is_whole: bool,
    pub(crate) credential_refused: bool,
    /// The server does not want this guard, whatever its credential.
    pub(crate) guard_refused: bool,
    pub(crate) broken: bool,
    pub(crate) closed: bool,
}

impl Notes {
    pub(crate) fn note(&self, change: impl FnOnce(&mut Noted)) {
        change(&mut self.noted.lock());
        self.changed.send_modify(|times| *times = times.wrapping_add(1));
    }

    /// Something that [`Status`] tells has changed elsewhere.
    pub(crate) fn touch(&self) {
        self.changed.send_modify(|times| *times = times.wrapping_add(1));
    }

    pub(crate) fn noted(&self) -> Noted {
        self.noted.lock().clone()
    }

    /// Tells of every later change.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }
}

/// How it stands with the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lease {
    Never,
    RunOut,
    Runs,
}

impl Noted {
    pub(crate) fn state(&self, lease: Lease) -> State {
        match self {
            Self { closed: true, .. } => State::Closed,
            Self { broken: true, .. } => State::Broken,
            Self { credential_refused: true, .. } => State::CredentialRefused,
            Self { guard_refused: true, .. } => State::GuardRefused,
            _ if lease == Lease::Never => State::Starting,
            _ if lease == Lease::RunOut => State::Stale,
            Self { feed_is_whole: false, .. } => State::Lagging,
            _ => State::Current,
        }
    }
}
