//! The view `times`: the log time of some positions, so that a time is found in a long log without reading all of it.
//!
//! The log time of a position is the highest `occurred_at` up to it of the events that this build can read. It never goes
//! back, whatever the servers' clocks do, and a copy of the log has the same.

use std::sync::Arc;

use domain::{Position, Timestamp};

use super::{RowName, position_at_end};
use crate::changes::Changes;
use crate::shelf::{QueryError, Shelf};
use crate::tree::{Tree, TreeError};
use crate::view::{Entry, Taken, View, decode_row, encode_row};

/// A row a position that is a multiple of this: what lies between is read from the log, well within a millisecond, and ten
/// million events have 20,000 rows.
const EVERY: u64 = 512;
const MARK: u8 = b'm';
/// The log time of the bookmark.
const LATEST: &[u8] = b"l";

/// Follows the log's time.
#[derive(Default)]
pub(crate) struct TimesView {
    /// What the row [`LATEST`] says.
    latest: Option<u64>,
}

impl View for TimesView {
    const NAME: &'static str = "times";
    const SCHEMA: u32 = 1;

    fn apply(&mut self, entry: &Entry<'_>, changes: &mut Changes<'_>) -> Result<Taken, TreeError> {
        let before = match self.latest {
            Some(latest) => latest,
            None => match changes.get(LATEST)? {
                Some(bytes) => decode_row(&bytes)?,
                None => 0,
            },
        };
        let happened = entry.read().map_or(0, |envelope| envelope.occurred_at.as_millis());
        let latest = before.max(happened);
        if latest != before {
            changes.put(LATEST.to_vec(), encode_row(&latest));
        }
        if entry.position().get().is_multiple_of(EVERY) {
            changes.put(RowName::of(MARK).position(entry.position()).done(), encode_row(&latest));
        }
        self.latest = Some(latest);
        Ok(Taken::Whole)
    }
}

/// A position and its log time; the default stands before the first event.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) position: Position,
    pub(crate) log_time: Timestamp,
}

/// Answers from the view `times`.
#[derive(Clone, Debug)]
pub(crate) struct Times {
    pub(crate) shelf: Arc<Shelf>,
}

impl Times {
    /// The last mark at or before a position.
    pub(crate) async fn at(&self, position: Position) -> Result<Mark, QueryError> {
        self.shelf.query(move |tree| last_where(tree, position, |mark| mark.position <= position)).await
    }

    /// The last mark whose log time is below an instant.
    pub(crate) async fn below(&self, at: Timestamp) -> Result<Mark, QueryError> {
        let applied = self.shelf.status.borrow().applied;
        self.shelf.query(move |tree| last_where(tree, applied, |mark| mark.log_time < at)).await
    }
}

/// The last mark of which something holds that holds of all marks before it too, by halving what lies up to `end`.
fn last_where(tree: &dyn Tree, end: Position, holds: impl Fn(&Mark) -> bool) -> Result<Mark, TreeError> {
    // Of the mark `low` it holds; it does not of the first one behind `high`, if there is one up to the end.
    let (mut low, mut high) = (Mark::default(), end.get() / EVERY * EVERY);
    while low.position.get() < high {
        // Rounded up, so that it moves; on a multiple, where the marks are.
        let middle = (low.position.get() + high) / 2 / EVERY * EVERY;
        let middle = if middle == low.position.get() { middle + EVERY } else { middle };
        match first_from(tree, Position::new(middle))? {
            Some(mark) if mark.position.get() <= high && holds(&mark) => low = mark,
            // There may be no mark at a multiple: an event that no view takes in stands there.
            Some(_) | None => high = middle - EVERY,
        }
    }
    Ok(low)
}

fn first_from(tree: &dyn Tree, position: Position) -> Result<Option<Mark>, TreeError> {
    let before = RowName::of(MARK).number(position.get().saturating_sub(1)).done();
    let rows = tree.scan(&[MARK], Some(&before), 1)?;
    let Some((name, value)) = rows.into_iter().next() else { return Ok(None) };
    let log_time = Timestamp::from_millis(decode_row(&value)?);
    Ok(Some(Mark { position: position_at_end(&name)?, log_time }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{MemoryDisk, MemoryTree};

    /// Marks at these multiples, each a second after the one before.
    fn tree(multiples: &[u64]) -> MemoryTree {
        let tree = MemoryDisk::default().open();
        let row = |n: &u64| {
            let name = RowName::of(MARK).number(n * EVERY).done();
            (name, Some(encode_row(&(n * 1_000))))
        };
        tree.apply(multiples.iter().map(row).collect()).unwrap();
        tree
    }

    #[test]
    fn the_last_mark_is_found_wherever_it_is_and_whichever_are_missing() {
        for present in 0_u32..1 << 9 {
            let multiples: Vec<u64> = (1..=9).filter(|n| present >> (n - 1) & 1 == 1).collect();
            let tree = tree(&multiples);
            for wanted in 0..=10 {
                let end = Position::new(9 * EVERY + 100);
                let found = last_where(&tree, end, |mark| mark.log_time.as_millis() <= wanted * 1_000);
                let expected = multiples.iter().rev().find(|n| **n <= wanted).copied().unwrap_or(0);
                assert_eq!(found.unwrap().position.get(), expected * EVERY, "{multiples:?} {wanted}");
                let at = Position::new(wanted * EVERY + 5);
                let found = last_where(&tree, at, |mark| mark.position <= at).unwrap();
                assert_eq!(found.position.get(), expected * EVERY, "{multiples:?} at {at}");
            }
        }
    }
}
