//! Where two parted: the log is replayed once more, and of each row that differs it is noted which event it follows and which
//! it does not.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use domain::{Position, StreamName};
use eventlog::EventLog;

use super::difference::Differs;
use super::replay::Replay;
use super::{CompareError, How, Parting};

/// Rows that differ, and how far each of them follows the log.
pub(super) struct Watch<T>(HashMap<T, Row>);

/// A row as it stands on the live side, and what the log has made of it so far.
struct Row {
    live: Option<Vec<u8>>,
    made: Option<Vec<u8>>,
    /// The log has it as the live side has it. True at first for a row that the live side has not.
    same: bool,
    /// The event after which it was no longer the same.
    parted: Option<Position>,
    /// The last event that changed it.
    written: Option<Position>,
}

impl<T: Eq + Hash> Watch<T> {
    pub(super) fn new(rows: Vec<Differs<T>>) -> Self {
        let row = |live: Option<Vec<u8>>| Row {
            same: live.is_none(),
            live,
            made: None,
            parted: None,
            written: None,
        };
        Self(rows.into_iter().map(|(name, live)| (name, row(live))).collect())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &T> {
        self.0.keys()
    }

    pub(super) fn has(&self, name: &T) -> bool {
        self.0.contains_key(name)
    }

    /// The event at a position made this of a row, or left it so.
    pub(super) fn written<Q: Eq + Hash + ?Sized>(
        &mut self,
        name: &Q,
        value: Option<&[u8]>,
        position: Position,
    ) where
        T: std::borrow::Borrow<Q>,
    {
        let Some(row) = self.0.get_mut(name).filter(|row| row.made.as_deref() != value) else { return };
        row.made = value.map(<[u8]>::to_vec);
        let same = row.live.as_deref() == value;
        match (row.same, same) {
            (true, false) => row.parted = Some(position),
            (_, true) => row.parted = None,
            (false, false) => {}
        }
        (row.same, row.written) = (same, Some(position));
    }

    /// The first event after which any of the rows was not as the log has it. A row that was as the log had it at some time
    /// parted at the event after that; one that never was, at the last event that changed it.
    pub(super) fn first(&self) -> Option<(Position, How)> {
        let parted = self.0.values().filter_map(|row| match (row.parted, row.written) {
            (Some(position), _) => Some((position, How::NotShown)),
            (None, Some(position)) if !row.same => Some((position, How::Altered)),
            (None, _) => None,
        });
        parted.min_by_key(|(position, _)| *position)
    }
}

/// The event at a position, by name.
pub(super) async fn named(
    log: &Arc<dyn EventLog>,
    (position, how): (Position, How),
) -> Result<Parting, CompareError> {
    let before = Position::new(position.get().saturating_sub(1));
    let mut replay = Replay::after(log, before).await?;
    let event = replay.next(position).await?.and_then(|events| events.into_iter().next());
    let stream = event.as_ref().and_then(|event| event.stream.as_str().parse::<StreamName>().ok());
    let read = stream.as_ref().zip(event.as_ref());
    let read = read.and_then(|(stream, event)| wire::decode(stream, &event.payload).ok());
    Ok(Parting {
        position,
        event: read.map(|envelope| envelope.event.name()),
        tenant: stream.as_ref().map(|stream| stream.tenant().clone()),
        key_id: stream.as_ref().and_then(StreamName::key_id),
        how,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_parts_where_it_was_last_as_the_log_has_it() {
        let at = Position::new;
        let watch = |live: Option<&str>| Watch::new(vec![("row", live.map(|text| text.as_bytes().to_vec()))]);
        let after = |live: Option<&str>, history: &[(u64, Option<&str>)]| {
            let mut watch = watch(live);
            for (position, value) in history {
                watch.written("row", value.map(str::as_bytes), at(*position));
            }
            watch.first()
        };
        let history = [(3, Some("a")), (5, Some("b")), (8, Some("c"))];
        assert_eq!(after(Some("a"), &history), Some((at(5), How::NotShown)), "the event at 5 is missing");
        assert_eq!(after(Some("b"), &history), Some((at(8), How::NotShown)));
        assert_eq!(after(None, &history), Some((at(3), How::NotShown)), "it was never made, or removed");
        assert_eq!(after(Some("x"), &history), Some((at(8), How::Altered)), "no event left it so");
        // It came back to what it was, and went on.
        let back = [(3, Some("a")), (5, Some("b")), (6, Some("a")), (8, Some("c"))];
        assert_eq!(after(Some("a"), &back), Some((at(8), How::NotShown)));
        assert_eq!(after(Some("x"), &[]), None, "no event is about it");
        assert_eq!(after(Some("a"), &[(3, Some("a")), (5, None)]), Some((at(5), How::NotShown)));
    }
}
