//! How far long work has come, for whoever draws it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Events done, of so many. A clone is the same count.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    done: AtomicU64,
    total: AtomicU64,
}

impl Progress {
    /// Events done, and how many there are; both 0 before that is known.
    #[must_use]
    pub fn now(&self) -> (u64, u64) {
        (self.shared.done.load(Ordering::Relaxed), self.shared.total.load(Ordering::Relaxed))
    }

    pub(crate) fn begin(&self, total: u64) {
        self.shared.done.store(0, Ordering::Relaxed);
        self.shared.total.store(total, Ordering::Relaxed);
    }

    pub(crate) fn reach(&self, done: u64) {
        self.shared.done.store(done, Ordering::Relaxed);
    }
}
