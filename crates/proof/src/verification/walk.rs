//! The archive's events, hashed as they stand: the tree as it is, to be compared with the tree as it was signed.

use std::collections::{HashMap, VecDeque};

use domain::Position;
use tlog_tiles::Hash;
use wire::{Addressed, addressed};

use crate::archive::{Archive, ArchiveError, Broken, Segment, SegmentReader};
use crate::frontier::Frontier;
use crate::leaf::{LogEvent, leaf_hash};
use crate::verification::report::{Finding, Wrong};
use crate::verification::streams::Streams;

/// How often progress is told.
const TELL_EVERY: u64 = 1 << 14;
/// Streams and numbers that are wrong beside the leaves are told so often; who changed more changed a pattern.
const MAX_BESIDE: usize = 10;

/// The hash that stands for an event that cannot be read. No input is known that hashes to it.
const NOTHING: Hash = Hash([0; 32]);

/// What stands at a place, counted from 1 whatever the record says.
pub(super) struct Placed {
    pub(super) place: u64,
    pub(super) event: Result<LogEvent, String>,
}

/// All that one pass over the events tells.
pub(super) struct Walk {
    frontier: Frontier,
    /// The roots at the sizes that were asked for.
    roots: HashMap<u64, Hash>,
    /// Every hash of tile levels 1 and above. Those of level 0 are as many as events; they are read again where needed.
    upper: Vec<Vec<Hash>>,
    /// The first place whose event cannot be read.
    pub(super) broken: Option<(u64, String)>,
    /// What the leaves do not cover and is wrong: numbers, streams, ids.
    pub(super) beside: Vec<Finding>,
    pub(super) unreadable: u64,
    pub(super) streams: Streams,
    /// The place of each file's first event.
    starts: Vec<u64>,
}

impl Walk {
    pub(super) fn through(
        archive: &Archive,
        sizes: &[u64],
        progress: &mut dyn FnMut(Position),
    ) -> Result<Self, ArchiveError> {
        let mut walk = Self {
            frontier: Frontier::default(),
            roots: HashMap::new(),
            upper: Vec::new(),
            broken: None,
            beside: Vec::new(),
            unreadable: 0,
            streams: Streams::new(),
            starts: Vec::new(),
        };
        let mut sizes: VecDeque<u64> = sizes.iter().copied().collect();
        walk.take_roots(&mut sizes);
        let mut places = Places::of(archive);
        loop {
            let (left, place) = (places.segments.len(), places.next);
            let Some(placed) = places.next() else { break };
            let placed = placed?;
            // Files were opened for this one: all but the last of them are empty.
            walk.starts.extend(std::iter::repeat_n(place, left - places.segments.len()));
            walk.take(&placed);
            walk.take_roots(&mut sizes);
            if placed.place.is_multiple_of(TELL_EVERY) {
                progress(Position::new(placed.place));
            }
        }
        progress(Position::new(walk.events()));
        Ok(walk)
    }

    /// How many events there are.
    pub(super) const fn events(&self) -> u64 {
        self.frontier.size()
    }

    /// The root of the first so many events, if it was asked for beforehand and there are so many.
    pub(super) fn root_at(&self, size: u64) -> Option<Hash> {
        self.roots.get(&size).copied()
    }

    /// A hash of a tile level above 0, if its subtree is whole.
    pub(super) fn upper(&self, level: u8, n: u64) -> Option<Hash> {
        let level = self.upper.get(usize::from(level).checked_sub(1)?)?;
        level.get(usize::try_from(n).ok()?).copied()
    }

    fn take(&mut self, placed: &Placed) {
        let position = Position::new(placed.place);
        let leaf = match &placed.event {
            Ok(event) => {
                self.look_beside(position, event);
                leaf_hash(position, &event.payload)
            }
            Err(reason) => {
                self.broken.get_or_insert_with(|| (placed.place, reason.clone()));
                NOTHING
            }
        };
        let upper = &mut self.upper;
        self.frontier.push(leaf, |level, hash| {
            if level > 0 {
                let level = usize::from(level) - 1;
                if upper.len() <= level {
                    upper.push(Vec::new());
                }
                upper[level].push(hash);
            }
        });
    }

    /// What stands beside the stored bytes has to be what they say.
    fn look_beside(&mut self, position: Position, event: &LogEvent) {
        let seen = match addressed(&event.stream, event.id, &event.payload) {
            _ if event.position != position => {
                format!("the event here is numbered {}", event.position)
            }
            Addressed::Here { revision } => {
                return self.streams.take(position, &event.stream, Some(revision));
            }
            Addressed::Unreadable => {
                self.unreadable += 1;
                return self.streams.take(position, &event.stream, None);
            }
            Addressed::Elsewhere => {
                format!("it is filed in stream {} and its bytes are of another event or stream", event.stream)
            }
        };
        if self.beside.len() < MAX_BESIDE {
            self.beside.push(Finding::at(Wrong::Changed, position, seen));
        }
    }

    fn take_roots(&mut self, sizes: &mut VecDeque<u64>) {
        while sizes.front().is_some_and(|size| *size <= self.frontier.size()) {
            let Some(size) = sizes.pop_front() else { return };
            if size == self.frontier.size() {
                self.roots.insert(size, self.frontier.root());
            }
        }
    }
}

/// What stands at each place, counted on over the files whatever their names and the records say. Where a file is so damaged
/// that the next event in it cannot be found, the next file goes on. Only the disk's own errors end it.
pub(super) struct Places<'a> {
    segments: &'a [Segment],
    open: Option<(&'a Segment, SegmentReader)>,
    next: u64,
}

impl<'a> Places<'a> {
    /// From the first event on.
    pub(super) fn of(archive: &'a Archive) -> Self {
        Self { segments: archive.segments(), open: None, next: 1 }
    }

    /// From some place on, as an earlier walk has counted.
    pub(super) fn from(
        archive: &'a Archive,
        walk: &Walk,
        place: u64,
    ) -> impl Iterator<Item = Result<Placed, ArchiveError>> {
        let before = walk.starts.partition_point(|start| *start <= place).saturating_sub(1);
        let next = walk.starts.get(before).copied().unwrap_or(1);
        let places = Self { segments: &archive.segments()[before..], open: None, next };
        places.skip_while(move |placed| placed.as_ref().is_ok_and(|placed| placed.place < place))
    }

    fn place(&mut self, event: Result<LogEvent, String>) -> Placed {
        let place = self.next;
        self.next += 1;
        Placed { place, event }
    }
}

impl Iterator for Places<'_> {
    type Item = Result<Placed, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let (segment, read) = match self.open.take() {
                None => {
                    let (segment, rest) = self.segments.split_first()?;
                    self.segments = rest;
                    match segment.read() {
                        Ok(reader) => {
                            self.open = Some((segment, reader));
                            continue;
                        }
                        Err(broken) => (segment, Err(broken)),
                    }
                }
                Some((segment, mut reader)) => {
                    let read = reader.next();
                    if !matches!(read, None | Some(Err(Broken::Lost(_)))) {
                        self.open = Some((segment, reader));
                    }
                    let Some(read) = read else { continue };
                    (segment, read)
                }
            };
            return Some(match read {
                Ok(event) => Ok(self.place(Ok(event))),
                Err(Broken::Io(source)) => Err(ArchiveError::io(&segment.path, source)),
                Err(Broken::Altered(reason) | Broken::Lost(reason)) => Ok(self.place(Err(reason))),
            });
        }
    }
}
