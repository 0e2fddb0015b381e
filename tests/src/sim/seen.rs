//! What a run met: a simulation that never meets a fault proves nothing about it.

use std::collections::BTreeMap;

/// How often each kind of thing was met, by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen(BTreeMap<String, u64>);

impl Seen {
    /// How often this was met.
    #[must_use]
    pub fn times(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    pub(crate) fn note(&mut self, what: &str) {
        self.note_times(what, 1);
    }

    pub(crate) fn note_times(&mut self, what: &str, times: u64) {
        match self.0.get_mut(what) {
            Some(before) => *before += times,
            None => drop(self.0.insert(what.to_owned(), times)),
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (what, times) in &other.0 {
            self.note_times(what, *times);
        }
    }
}
