//! Bugs around recalls for the simulation to find; without the feature `planted` there are none.

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(feature = "planted"), expect(unreachable_pub, reason = "told to the simulation alone"))]
pub enum RecallBug {
    /// A key issued after a recall is hit by it.
    HitsLater,
    /// A change is applied before earlier recalls are settled against what was.
    SettlesLate,
    /// A recall that this server appended waits for the log to tell of it.
    NotPending,
}

/// The bug that an index has.
#[derive(Default)]
pub(crate) struct Planted {
    #[cfg(feature = "planted")]
    bug: std::sync::OnceLock<RecallBug>,
}

impl Planted {
    #[cfg(feature = "planted")]
    pub(crate) fn plant(&self, bug: RecallBug) {
        let _ = self.bug.set(bug);
    }

    #[cfg(feature = "planted")]
    pub(crate) fn is(&self, bug: RecallBug) -> bool {
        self.bug.get() == Some(&bug)
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the planted twin reads a field")]
    pub(crate) const fn is(&self, _bug: RecallBug) -> bool {
        false
    }
}
