//! The simulation: from a seed to commands, faults and crashes against the product's own code, held to its promises.
//!
//! One thread, one paused clock: whatever is random, down to the moment at which a task goes on, follows from the seed, so a
//! failure can be repeated. The log is the one in memory; between it and each server stand the faults.

mod ambient;
mod asked;
mod cable;
mod disk;
mod door;
mod end;
mod guard;
mod guarded;
mod hindsight;
mod judge;
mod many;
mod model;
mod node;
mod operators;
mod plants;
mod refusals;
mod rng;
mod seen;
mod sent;
mod steps;
mod trace;
mod truth;
mod world;

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

pub use many::{Summary, run_many};
pub use plants::{Plants, StartProjection, WrapLog};
pub(crate) use rng::Rng;
pub use seen::Seen;

use world::World;

/// Where the views of a simulated node are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Views {
    /// In memory, where a crash drops what was not flushed.
    #[default]
    Memory,
    /// In real sled folders.
    Sled,
}

/// How long a run is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Length {
    /// Up to three servers and thirty keys, all faults, hundreds of steps.
    #[default]
    Long,
    /// Two servers, a handful of keys, a few dozen commands.
    Short,
    /// Two or three servers and the guards that rest on them, a dozen keys, and all that can go wrong between the three.
    Guarded,
}

/// What is simulated.
#[derive(Clone, Copy, Debug, Default)]
pub struct Setup {
    /// Where views are kept.
    pub views: Views,
    /// How long a run is.
    pub length: Length,
    /// The bugs that are planted.
    pub plants: Plants,
}

/// What a run came to that kept every promise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Equal for equal runs.
    pub trace_hash: u64,
    /// How many steps it took.
    pub steps: u64,
    /// How many events stood in the log at its end.
    pub events: u64,
    /// What it met: answers and faults by their names, verdicts by theirs. Of the verdicts equal runs may ask for more or less.
    pub seen: Seen,
}

/// A broken promise.
#[derive(Clone, Debug)]
pub struct Failure {
    /// The seed that shows it.
    pub seed: u64,
    /// In a run of this length.
    pub length: Length,
    /// Which promise.
    pub what: String,
    /// The last steps before.
    pub steps: Vec<String>,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "seed {}: {}", self.seed, self.what)?;
        for step in &self.steps {
            writeln!(f, "  {step}")?;
        }
        let length = match self.length {
            Length::Long => "",
            Length::Short => "--short ",
            Length::Guarded => "--guards ",
        };
        write!(f, "repeat it with: cargo run --release -p tests --bin sim -- {length}--seed {}", self.seed)
    }
}

/// Simulates one seed from its begin to its end.
///
/// # Errors
/// The first promise that was broken; a panic breaks one.
pub fn run(seed: u64, setup: Setup) -> Result<Report, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime without I/O needs nothing from the system");
    let ran = catch_unwind(AssertUnwindSafe(|| runtime.block_on(World::live(seed, setup))));
    ran.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without words");
        Err(Failure { seed, length: setup.length, what: format!("panicked: {text}"), steps: Vec::new() })
    })
}
