//! A node's clocks and entropy: they follow the runtime's paused time, and are wrong within the bounds that are promised.

use application::Ambient;
use domain::Timestamp;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::rng::Rng;

/// What a wall clock shows when a simulation begins.
const EPOCH_MS: u64 = 1_790_000_000_000;
/// Wall clocks differ by this much at most from the true time: two of them by 500 ms.
const WALL_WRONG_MS: u64 = 250;
/// A boot clock loses or gains this much in a thousand: 250 ms over a lease of 5 s, half of what is allowed for.
const BOOT_WRONG_PER_MILLE: u64 = 50;

/// One machine's clocks. They go on while its server is down.
#[derive(Debug)]
pub(crate) struct SimAmbient {
    began: Instant,
    wall_began_ms: u64,
    boot_began_ms: u64,
    boot_per_mille: u64,
    random: Mutex<Rng>,
}

impl SimAmbient {
    pub(crate) fn draw(rng: &mut Rng, began: Instant) -> Self {
        Self {
            began,
            wall_began_ms: EPOCH_MS - WALL_WRONG_MS + rng.below(2 * WALL_WRONG_MS + 1),
            boot_began_ms: rng.below(1_000_000),
            boot_per_mille: 1000 - BOOT_WRONG_PER_MILLE + rng.below(2 * BOOT_WRONG_PER_MILLE + 1),
            random: Mutex::new(rng.fork()),
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Ambient for SimAmbient {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.wall_began_ms + self.elapsed_ms())
    }

    fn boot_ms(&self) -> u64 {
        self.boot_began_ms + self.elapsed_ms() * self.boot_per_mille / 1000
    }

    fn fill(&self, bytes: &mut [u8]) {
        self.random.lock().fill(bytes);
    }
}
