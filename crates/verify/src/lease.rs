//! Until when this verifier may answer: the proof that it had heard everything, and how long the proof lasts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// When it was last asked, successfully, whether all has been heard. Boot time, since suspended time counts.
#[derive(Debug)]
pub(crate) struct Lease {
    /// Boot milliseconds of the asking, plus one; 0 = never proven.
    asked: AtomicU64,
    max_staleness_ms: u64,
}

impl Lease {
    pub(crate) fn new(max_staleness: Duration) -> Self {
        let max_staleness_ms = u64::try_from(max_staleness.as_millis()).unwrap_or(u64::MAX);
        Self { asked: AtomicU64::new(0), max_staleness_ms }
    }

    /// Monotone: an answer that overtakes a later one takes nothing back.
    pub(crate) fn prove(&self, asked_boot_ms: u64) {
        // Release, so that whoever reads this proof also sees the rows that were applied before it.
        self.asked.fetch_max(asked_boot_ms.saturating_add(1), Ordering::AcqRel);
    }

    pub(crate) fn proven_at(&self) -> Option<u64> {
        self.asked.load(Ordering::Acquire).checked_sub(1)
    }

    /// Whether a proof from `proven_at` has run out.
    pub(crate) fn has_run_out(&self, proven_at: Option<u64>, boot_ms: u64) -> bool {
        proven_at.is_none_or(|at| boot_ms > at.saturating_add(self.max_staleness_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_runs_out_after_its_time_and_never_moves_back() {
        let lease = Lease::new(Duration::from_secs(5));
        assert!(lease.has_run_out(lease.proven_at(), 0), "never proven");
        lease.prove(0);
        assert_eq!(lease.proven_at(), Some(0));
        assert!(!lease.has_run_out(lease.proven_at(), 5_000));
        assert!(lease.has_run_out(lease.proven_at(), 5_001));
        lease.prove(1_000);
        lease.prove(500);
        assert_eq!(lease.proven_at(), Some(1_000));
    }
}
