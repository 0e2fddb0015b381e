//! Time and randomness: the one seam through which either enters the guard, so that tests can own both.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::Timestamp;
use verify::Moment;

/// Where a guard's time comes from.
pub trait Clock: Send + Sync + fmt::Debug {
    /// The wall clock: judges expiry, and nothing else. One that jumps moves expiry only.
    fn now(&self) -> Timestamp;

    /// Milliseconds since the machine started, suspended time included: leases are measured with it.
    fn boot_ms(&self) -> u64;

    /// Both.
    fn moment(&self) -> Moment {
        Moment { now: self.now(), boot_ms: self.boot_ms() }
    }
}

/// The machine's own clocks.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn now(&self) -> Timestamp {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    fn boot_ms(&self) -> u64 {
        let at = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let millis = at.tv_sec.saturating_mul(1000).saturating_add(at.tv_nsec / 1_000_000);
        u64::try_from(millis).unwrap_or(0)
    }
}

/// Random bits: for a guard's id, its first nonce, and pauses that no two guards share.
#[expect(clippy::disallowed_methods, reason = "this is the seam")]
pub(crate) fn random() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the system's random source never fails once the machine is up");
    u64::from_be_bytes(bytes)
}
