//! Two ordered runs of rows side by side: what each of them is, and which rows differ.

use std::cmp::Ordering;
use std::collections::VecDeque;

use super::{Difference, Side};
use crate::tree::Pair;

/// Rows that differ which are looked for in the log; more of them are only counted. Each is held with its live value.
pub(super) const WATCHED_MAX: usize = 1_000;

/// A row that differs: its name, and what the live side has.
pub(super) type Differs<T> = (T, Option<Vec<u8>>);

/// What was seen so far.
pub(super) struct Differences<T> {
    pub(super) live: Side,
    pub(super) replayed: Side,
    pub(super) found: Difference,
    /// The first of the rows that differ.
    pub(super) rows: Vec<Differs<T>>,
}

impl<T> Differences<T> {
    pub(super) fn new() -> Self {
        let (live, replayed) = (Side::default(), Side::default());
        Self { live, replayed, found: Difference::default(), rows: Vec::new() }
    }

    /// Rows that differ, or none.
    pub(super) fn result(&self) -> Option<Difference> {
        let Difference { changed, missing, surplus, .. } = self.found;
        let all = changed + missing + surplus;
        let partly = all > self.rows.len() as u64;
        (all > 0).then(|| Difference { partly, ..self.found.clone() })
    }

    /// One row: what the live side has and what the log makes.
    pub(super) fn row(&mut self, name: &[u8], row: T, live: Option<&[u8]>, replayed: Option<&[u8]>) {
        for (side, value) in [(&mut self.live, live), (&mut self.replayed, replayed)] {
            if let Some(value) = value {
                side.rows += 1;
                side.digest.add(name, value);
            }
        }
        if live == replayed {
            return;
        }
        match (live, replayed) {
            (Some(_), Some(_)) => self.found.changed += 1,
            (Some(_), None) => self.found.surplus += 1,
            (None, _) => self.found.missing += 1,
        }
        if self.rows.len() < WATCHED_MAX {
            self.rows.push((row, live.map(<[u8]>::to_vec)));
        }
    }
}

impl Differences<Vec<u8>> {
    /// Takes in what both sides have as far as both were read. A side that has ended has no row behind its last.
    pub(super) fn merge(
        &mut self,
        live: &mut VecDeque<Pair>,
        replayed: &mut VecDeque<Pair>,
        (live_ended, replayed_ended): (bool, bool),
    ) {
        loop {
            let order = match (live.front(), replayed.front()) {
                (Some((live, _)), Some((replayed, _))) => live.cmp(replayed),
                (Some(_), None) if replayed_ended => Ordering::Less,
                (None, Some(_)) if live_ended => Ordering::Greater,
                _ => return,
            };
            let one = if order == Ordering::Greater { None } else { live.pop_front() };
            let other = if order == Ordering::Less { None } else { replayed.pop_front() };
            let Some(name) = one.as_ref().or(other.as_ref()).map(|(name, _)| name.clone()) else { return };
            let value = |pair: &Option<Pair>| pair.as_ref().map(|(_, value)| value.clone());
            self.row(&name, name.clone(), value(&one).as_deref(), value(&other).as_deref());
        }
    }
}
