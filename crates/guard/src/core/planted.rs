//! Bugs in a guard for tests to find; without the feature `planted` there are none.

/// What is done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(any(test, feature = "planted")), expect(unreachable_pub, reason = "told to tests alone"))]
pub enum GuardBug {
    /// A heartbeat is taken for a lease.
    HeartbeatIsLease,
    /// A fill is held whatever was heard since it was asked for.
    FillWithoutFence,
    /// A revocation is counted as applied and not applied.
    NoticeDropped,
    /// A lease runs before the notices below it are applied.
    LeaseAheadOfNotices,
    /// A notice is applied although one before it was missed.
    GapOverlooked,
    /// A lease does not count how old the server's own proof is.
    StalenessIgnored,
    /// A hint counts as the notices up to its position.
    HintIsNotice,
}

/// The bug that a core has.
#[derive(Default)]
pub(crate) struct Planted {
    #[cfg(any(test, feature = "planted"))]
    bug: std::sync::OnceLock<GuardBug>,
}

impl Planted {
    #[cfg(any(test, feature = "planted"))]
    pub(crate) fn is(&self, bug: GuardBug) -> bool {
        self.bug.get() == Some(&bug)
    }

    #[cfg(not(any(test, feature = "planted")))]
    #[expect(clippy::unused_self, reason = "the planted twin reads a field")]
    pub(crate) const fn is(&self, _bug: GuardBug) -> bool {
        false
    }
}

#[cfg(any(test, feature = "planted"))]
impl crate::core::Core {
    /// Does one thing wrong from now on.
    pub fn plant(&self, bug: GuardBug) {
        let _ = self.planted.bug.set(bug);
    }
}
