//! Time and randomness: the one seam through which either enters, so that a simulation can own both.

use std::fmt;
use std::time::{SystemTime, UNIX_EPOCH};

use domain::Timestamp;

/// Where `now`, the boot-time clock and random bytes come from.
pub trait Ambient: Send + Sync + fmt::Debug {
    /// The wall clock.
    fn now(&self) -> Timestamp;

    /// Milliseconds since the machine started, suspended time included: leases are measured with it, since a verifier that
    /// slept has not heard anything.
    fn boot_ms(&self) -> u64;

    /// Fills with random bytes fit for secrets.
    fn fill(&self, bytes: &mut [u8]);

    /// A new ULID: now and 80 random bits.
    fn draw_ulid(&self) -> u128 {
        let mut random = [0; 16];
        self.fill(&mut random[6..]);
        let time = u128::from(self.now().as_millis() & 0xffff_ffff_ffff) << 80;
        time | u128::from_be_bytes(random)
    }
}

/// The machine's own clocks and entropy.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemAmbient;

impl Ambient for SystemAmbient {
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

    #[expect(clippy::disallowed_methods, reason = "this is the seam")]
    fn fill(&self, bytes: &mut [u8]) {
        getrandom::fill(bytes).expect("the system's random source never fails once the machine is up");
    }
}
