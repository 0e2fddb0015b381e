//! Many seeds at once, one a thread.

use std::num::NonZero;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use parking_lot::Mutex;

use super::{Failure, Report, Seen, Setup, run};

/// What many runs came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Seeds that kept every promise.
    pub seeds: u64,
    /// Their steps.
    pub steps: u64,
    /// The events that stood in their logs.
    pub events: u64,
    /// What they met.
    pub seen: Seen,
}

impl Summary {
    fn add(&mut self, report: &Report) {
        self.seeds += 1;
        self.steps += report.steps;
        self.events += report.events;
        self.seen.add(&report.seen);
    }
}

/// Simulates a range of seeds on all processors and tells after each how many are done.
///
/// # Errors
/// A failure, once one is found; the seeds that other threads are at are finished.
pub fn run_many(seeds: Range<u64>, setup: Setup, done: impl Fn(u64) + Sync) -> Result<Summary, Box<Failure>> {
    let next = AtomicU64::new(seeds.start);
    let failed = AtomicBool::new(false);
    let found = Mutex::new((Summary::default(), None::<Failure>));
    let work = || {
        while !failed.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds.end {
                return;
            }
            let ran = run(seed, setup);
            let mut found = found.lock();
            match ran {
                Ok(report) => {
                    found.0.add(&report);
                    done(found.0.seeds);
                }
                Err(failure) => {
                    failed.store(true, Ordering::Relaxed);
                    found.1.get_or_insert(failure);
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(work);
        }
    });
    match found.into_inner() {
        (_, Some(failure)) => Err(Box::new(failure)),
        (summary, None) => Ok(summary),
    }
}
