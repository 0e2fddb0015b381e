//! What is wrong at the place that was found: changed, missing, added or out of order.
//!
//! That something is wrong there is proven by signed hashes. What to call it is told by comparing with the level file, which
//! an attacker may have changed as well: that may earn a wrong name, never a wrong place.

use domain::Position;
use tlog_tiles::Hash;

use crate::archive::{Archive, ArchiveError};
use crate::checkpoint::Checkpoint;
use crate::leaf::{LogEvent, leaf_hash};
use crate::levels::Levels;
use crate::verification::locate::{Suspect, read};
use crate::verification::report::{Finding, Wrong};
use crate::verification::walk::{Placed, Places, Walk};

/// So many missing events in a row are recognised as a gap, also where the numbers behind it were changed.
const WINDOW: u64 = 256;

/// Events behind the last that is signed.
pub(super) fn beyond(walk: &Walk, size: u64) -> Option<Finding> {
    (walk.events() > size).then(|| {
        let seen =
            format!("the last checkpoint covers {size} events, and nothing signed covers those behind");
        Finding::between(Wrong::Added, Position::new(size + 1), Position::new(size + 1), seen)
    })
}

/// The finding at a suspect place.
pub(super) fn name(
    archive: &Archive,
    walk: &Walk,
    checkpoint: &Checkpoint,
    suspect: Suspect,
) -> Result<Vec<Finding>, ArchiveError> {
    let size = checkpoint.size();
    match suspect {
        Suspect::Between { first, last } => Ok(vec![name_range(walk, first, last)]),
        Suspect::Leaves { first, signed } => {
            let mut places = Places::from(archive, walk, first + 1);
            for (place, signed) in (first + 1..).zip(signed) {
                let placed = places.next().transpose()?;
                let same = |placed: &Placed| {
                    let leaf =
                        placed.event.as_ref().map(|event| leaf_hash(Position::new(place), &event.payload));
                    leaf.is_ok_and(|leaf| leaf == signed)
                };
                if !placed.as_ref().is_some_and(same) {
                    let at = Differing { archive, walk, levels: archive.levels(), size, place, signed };
                    return Ok(vec![at.name(placed)?]);
                }
            }
            // Every leaf is as it was signed: it is the files of higher levels that were damaged between two readings.
            Ok(vec![name_range(walk, first + 1, size)])
        }
    }
}

fn name_range(walk: &Walk, first: u64, last: u64) -> Finding {
    let at = Position::new;
    match &walk.broken {
        Some((place, reason)) if (first..=last).contains(place) => {
            return Finding::between(
                Wrong::Changed,
                at(first),
                at(*place),
                format!("the event at {place}: {reason}"),
            );
        }
        _ => {}
    }
    if walk.events() < last {
        let seen = format!("the archive ends with event {}, and {last} were signed", walk.events());
        let ends = walk.events() + 1;
        return Finding::between(Wrong::Missing, at(first.min(ends)), at(ends), seen);
    }
    let seen = "the events give another root than the signed one; the archive's tree does not lead up to it either, so that \
                nothing closer can be told";
    Finding::between(Wrong::Changed, at(first), at(last), seen.to_owned())
}

/// The first place whose event is not the signed one.
struct Differing<'a> {
    archive: &'a Archive,
    walk: &'a Walk,
    levels: Levels,
    /// Events of the tree that was signed.
    size: u64,
    place: u64,
    /// The leaf's hash as it was signed.
    signed: Hash,
}

impl Differing<'_> {
    fn name(&self, placed: Option<Placed>) -> Result<Finding, ArchiveError> {
        let Some(placed) = placed else {
            return Ok(self.found(
                Wrong::Missing,
                format!("the archive ends before it; {} events were signed", self.size),
            ));
        };
        let event = match placed.event {
            Ok(event) => event,
            Err(reason) => {
                return Ok(self.found(Wrong::Changed, format!("it is not as it was written: {reason}")));
            }
        };
        let next = Places::from(self.archive, self.walk, self.place + 1).next().transpose()?;
        let next = next.and_then(|placed| placed.event.ok());
        if let Some(own) = self.own_place(&event) {
            let shifted = next.as_ref().is_none_or(|next| self.is_signed_at(own + 1, next));
            let seen = format!("event {own} stands in its place");
            if shifted {
                return Ok(self.found(Wrong::Missing, seen));
            }
            return Ok(match self.elsewhere()? {
                Some(stands) => self.found(Wrong::OutOfOrder, format!("{seen}, and it stands at {stands}")),
                None => self.found(Wrong::Missing, seen),
            });
        }
        Ok(match self.elsewhere()? {
            Some(stands) if self.is_signed_at(stands, &event) => self.found(
                Wrong::OutOfOrder,
                format!("event {stands} stands in its place, and it stands at {stands}"),
            ),
            Some(stands) => self.found(
                Wrong::Added,
                format!("what stands here was never signed; the signed event stands at {stands}"),
            ),
            None => self.found(Wrong::Changed, "what stands here was never signed".to_owned()),
        })
    }

    fn found(&self, wrong: Wrong, seen: String) -> Finding {
        Finding::at(wrong, Position::new(self.place), seen)
    }

    /// Which later event this is, if it is one.
    fn own_place(&self, event: &LogEvent) -> Option<u64> {
        let said = event.position.get();
        let near = self.place + 1..=self.place + WINDOW;
        std::iter::once(said)
            .filter(|said| *said > self.place)
            .chain(near)
            .find(|place| self.is_signed_at(*place, event))
    }

    /// Whether the level file has it there. That reaches beyond the checkpoint: to name what was found, not to find it.
    fn is_signed_at(&self, place: u64, event: &LogEvent) -> bool {
        let signed = place.checked_sub(1).and_then(|index| read(&self.levels, 0, index, 1));
        signed.is_some_and(|signed| signed == [leaf_hash(Position::new(place), &event.payload)])
    }

    /// At which later place the event stands that should be here.
    fn elsewhere(&self) -> Result<Option<u64>, ArchiveError> {
        for placed in Places::from(self.archive, self.walk, self.place + 1) {
            let placed = placed?;
            let is_it =
                |event: &LogEvent| leaf_hash(Position::new(self.place), &event.payload) == self.signed;
            if placed.event.is_ok_and(|event| is_it(&event)) {
                return Ok(Some(placed.place));
            }
        }
        Ok(None)
    }
}
