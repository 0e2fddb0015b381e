//! The bug around sealing for the tests to find; without the feature `planted` there is none.

use eventlog::Queue;

/// Whether what goes into the log first goes there as it was written.
#[derive(Debug, Default)]
pub(crate) struct Planted {
    #[cfg(feature = "planted")]
    unsealed: bool,
}

impl Planted {
    #[cfg(feature = "planted")]
    pub(crate) const UNSEALED: Self = Self { unsealed: true };

    #[cfg(feature = "planted")]
    pub(crate) fn leaves_unsealed(&self, queue: Queue) -> bool {
        self.unsealed && queue == Queue::Urgent
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the planted twin reads a field")]
    pub(crate) const fn leaves_unsealed(&self, _queue: Queue) -> bool {
        false
    }
}
