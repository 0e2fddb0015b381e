//! Whether each stream goes on by one revision an event, in bounded memory whatever number of streams there is.
//!
//! What was signed is what the log's server wrote; this tells whether it wrote every stream whole. The last revision of each
//! stream is held, for as many streams as fit. If there are more, those that hash into one part of two, four, eight … are
//! held, and the events are read again for each of the other parts.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use domain::Position;
use wire::{Addressed, addressed};

use crate::archive::{Archive, ArchiveError};
use crate::leaf::LogEvent;
use crate::verification::report::{Finding, Wrong};
use crate::verification::walk::Places;

/// Streams held at once: some 100 MB.
const HELD_AT_ONCE: usize = 1 << 22;
/// Broken streams are told so often; who broke more broke a pattern.
const MAX_TOLD: usize = 10;

/// The streams of one part.
pub(super) struct Streams {
    /// Another one in each run. Two streams of ten million share a hash in one of some hundred thousand runs, which then names
    /// a stream that is whole; the next run does not.
    hasher: RandomState,
    held: HashMap<u64, u32>,
    /// A stream is of this part if these bits of its hash are `part`.
    mask: u64,
    part: u64,
    at_once: usize,
    pub(super) broken: Vec<Finding>,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self::holding(HELD_AT_ONCE)
    }

    pub(super) fn holding(at_once: usize) -> Self {
        Self {
            hasher: RandomState::new(),
            held: HashMap::new(),
            mask: 0,
            part: 0,
            at_once,
            broken: Vec::new(),
        }
    }

    /// An event where it belongs; without a revision if this build cannot read one, which is believed.
    pub(super) fn take(&mut self, position: Position, stream: &str, revision: Option<u32>) {
        let hash = self.hasher.hash_one(stream);
        if hash & self.mask != self.part {
            return;
        }
        let last = self.held.entry(hash).or_insert(0);
        let next = last.saturating_add(1);
        *last = revision.unwrap_or(next);
        if let Some(revision) = revision.filter(|revision| *revision != next)
            && self.broken.len() < MAX_TOLD
        {
            let seen = format!(
                "it is revision {revision} of stream {stream}, whose events before it make it revision {next}"
            );
            self.broken.push(Finding::at(Wrong::StreamBroken, position, seen));
        }
        // Only the first part grows beyond that: it decides how many there are.
        while self.held.len() > self.at_once && self.part == 0 && self.mask < u64::MAX >> 1 {
            self.mask = (self.mask << 1) | 1;
            let mask = self.mask;
            self.held.retain(|hash, _| hash & mask == 0);
        }
    }

    /// Reads the events again for the parts that were not held, and answers how many streams there are. The first part has
    /// taken all events.
    pub(super) fn rest(&mut self, archive: &Archive) -> Result<u64, ArchiveError> {
        let mut streams = self.held.len() as u64;
        for part in 1..=self.mask {
            self.part = part;
            self.held.clear();
            for placed in Places::of(archive) {
                let placed = placed?;
                if let Ok(event) = &placed.event {
                    self.take_event(Position::new(placed.place), event);
                }
            }
            streams += self.held.len() as u64;
        }
        Ok(streams)
    }

    fn take_event(&mut self, position: Position, event: &LogEvent) {
        match addressed(&event.stream, event.id, &event.payload) {
            Addressed::Here { revision } => self.take(position, &event.stream, Some(revision)),
            Addressed::Unreadable => self.take(position, &event.stream, None),
            Addressed::Elsewhere => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Streams of three events each, in turns.
    fn events(streams: u32) -> impl Iterator<Item = (String, u32)> {
        (1..=3).flat_map(move |revision| (0..streams).map(move |n| (format!("acme.list-{n}"), revision)))
    }

    #[test]
    fn a_gap_a_repeat_and_a_late_beginning_are_named() {
        let mut streams = Streams::new();
        let written =
            [(1, Some(1)), (2, Some(2)), (1, Some(3)), (2, Some(2)), (2, None), (2, Some(4)), (3, Some(2))];
        for ((stream, revision), at) in written.into_iter().zip(1..) {
            streams.take(Position::new(at), &format!("acme.list-{stream}"), revision);
        }
        let told: Vec<_> = streams.broken.iter().map(|broken| broken.first.get()).collect();
        // The second stream begins late, then repeats its revision; the event that cannot be read counts as its next.
        assert_eq!(told, [2, 3, 4, 7]);
        assert!(
            streams.broken[1].seen.contains("revision 3 of stream acme.list-1"),
            "{:?}",
            streams.broken[1]
        );
    }

    #[test]
    fn more_streams_than_are_held_take_more_parts_and_none_is_left_out() {
        let mut first = Streams::holding(100);
        for ((stream, revision), at) in events(1_000).zip(1..) {
            first.take(Position::new(at), &stream, Some(revision));
        }
        assert!(
            first.held.len() <= 100 && first.mask >= 7,
            "{} held of mask {}",
            first.held.len(),
            first.mask
        );
        let mut seen = first.held.len();
        for part in 1..=first.mask {
            (first.part, first.held) = (part, HashMap::new());
            for ((stream, revision), at) in events(1_000).zip(1..) {
                // One gap, in whichever part its stream is.
                let revision = if at == 2_500 { revision + 1 } else { revision };
                first.take(Position::new(at), &stream, Some(revision));
            }
            seen += first.held.len();
        }
        assert_eq!(seen, 1_000);
        let of_first = first.hasher.hash_one("acme.list-499") & first.mask == 0;
        let told: Vec<_> = first.broken.iter().map(|broken| broken.first.get()).collect();
        assert!(told == [2_500] || of_first && told.is_empty(), "{told:?}");
    }
}
