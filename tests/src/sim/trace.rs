//! What a run did: the last lines for whoever reads a failure, and a hash of all for whoever repeats it.

use std::collections::VecDeque;
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};

use tokio::time::Instant;

/// So many lines are told with a failure.
const TOLD: usize = 25;

#[derive(Debug)]
pub(crate) struct Trace {
    began: Instant,
    last: VecDeque<String>,
    hash: u64,
}

impl Trace {
    pub(crate) fn begin(began: Instant) -> Self {
        Self { began, last: VecDeque::with_capacity(TOLD), hash: 0 }
    }

    /// Notes what is done or found.
    pub(crate) fn line(&mut self, text: &str) {
        let line = format!("{:>8} ms  {text}", self.began.elapsed().as_millis());
        // The default hasher's keys are fixed: the same line has the same hash in every process. A sum, since tasks that wait
        // for one thing may be woken in any order: the lines of one moment are a set.
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        self.hash = self.hash.wrapping_add(hasher.finish());
        if self.last.len() == TOLD {
            self.last.pop_front();
        }
        self.last.push_back(line);
    }

    pub(crate) const fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn told(&self) -> Vec<String> {
        self.last.iter().cloned().collect()
    }
}
