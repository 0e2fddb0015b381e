//! The record of receipts on disk: each complete one as it was shown, so that it is read again after a restart.

use std::sync::Arc;

use domain::{LogId, Position};
use parking_lot::Mutex;
use projection::RecordPlace;
use projection::tree::{Tree, TreeError};
use serde_json::Value;
use tokio::task::spawn_blocking;
use tracing::error;

use crate::record::{self, damaged, read};

/// Bytes of receipts that are kept; beyond them the oldest go. One with two verifiers is some 400 bytes.
const MAX_BYTES: usize = 128 << 20;
/// Rows looked at in one step.
const STEP: usize = 256;
const RECEIPT: u8 = b'r';

/// See the module. A clone is the same.
#[derive(Clone)]
pub(crate) struct ReceiptRecord {
    inner: Arc<Inner>,
}

struct Inner {
    place: RecordPlace,
    log_id: LogId,
    max_bytes: usize,
    store: Mutex<Store>,
}

enum Store {
    /// Not asked for yet, or it did not open: tried again when somebody asks.
    NotYet,
    Open {
        tree: Box<dyn Tree>,
        bytes: usize,
    },
    /// The server stops.
    Closed,
}

impl ReceiptRecord {
    /// A record that is opened when it is first needed.
    pub(crate) fn new(place: RecordPlace, log_id: LogId) -> Self {
        Self::holding(place, log_id, MAX_BYTES)
    }

    fn holding(place: RecordPlace, log_id: LogId, max_bytes: usize) -> Self {
        let store = Mutex::new(Store::NotYet);
        Self { inner: Arc::new(Inner { place, log_id, max_bytes, store }) }
    }

    /// Keeps receipts, durable on return. What cannot be written is only told in the server's log: whoever asks for it later
    /// is told who refuses then.
    pub(crate) async fn keep(&self, receipts: Vec<(Position, Vec<u8>)>) {
        let count = receipts.len();
        let inner = Arc::clone(&self.inner);
        let kept = spawn_blocking(move || inner.store.lock().keep(&inner, receipts)).await;
        if let Err(error) = kept.unwrap_or_else(|_| Err(closed())) {
            error!(%error, count, "receipts were not kept: later it can be told who refuses, but not since when");
        }
    }

    /// The receipt as it was shown when it was complete.
    pub(crate) async fn find(&self, position: Position) -> Result<Option<Value>, TreeError> {
        let inner = Arc::clone(&self.inner);
        let find = move || {
            let mut store = inner.store.lock();
            let (tree, _) = store.open(&inner)?;
            tree.get(&name(position))?.map(|row| read(&row)).transpose()
        };
        spawn_blocking(find).await.unwrap_or_else(|_| Err(closed()))
    }

    /// Closes the record.
    pub(crate) fn close(&self) {
        *self.inner.store.lock() = Store::Closed;
    }
}

impl Store {
    fn open(&mut self, inner: &Inner) -> Result<(&dyn Tree, &mut usize), TreeError> {
        if matches!(self, Self::NotYet) {
            let lost = "it cannot be told any more since when what was ended before is enforced";
            let (tree, bytes) = record::open(&inner.place, inner.log_id, lost, count)?;
            *self = Self::Open { tree, bytes };
        }
        match self {
            Self::Open { tree, bytes } => Ok((&**tree, bytes)),
            Self::NotYet | Self::Closed => Err(closed()),
        }
    }

    fn keep(&mut self, inner: &Inner, receipts: Vec<(Position, Vec<u8>)>) -> Result<(), TreeError> {
        let (tree, bytes) = self.open(inner)?;
        let mut batch = Vec::with_capacity(receipts.len());
        for (position, row) in receipts {
            let name = name(position);
            *bytes += row.len();
            *bytes -= tree.get(&name)?.map_or(0, |before| before.len());
            batch.push((name, Some(row)));
        }
        tree.apply(batch)?;
        while *bytes > inner.max_bytes {
            let oldest = tree.scan(&[RECEIPT], None, STEP)?;
            let mut gone = Vec::new();
            for (name, row) in oldest {
                if *bytes > inner.max_bytes {
                    *bytes -= row.len();
                    gone.push((name, None));
                }
            }
            tree.apply(gone)?;
        }
        tree.flush()
    }
}

/// Counts the bytes, and with that reads every row once.
fn count(tree: &dyn Tree) -> Result<usize, TreeError> {
    let (mut bytes, mut after) = (0, Vec::new());
    loop {
        let from = (!after.is_empty()).then_some(after.as_slice());
        let rows = tree.scan(&[RECEIPT], from, STEP)?;
        bytes += rows.iter().map(|(_, row)| row.len()).sum::<usize>();
        match rows.into_iter().last() {
            Some((name, _)) if name.len() == 9 => after = name,
            Some(_) => return Err(damaged("a receipt's row has no position")),
            None => return Ok(bytes),
        }
    }
}

fn name(position: Position) -> Vec<u8> {
    [&[RECEIPT][..], &position.get().to_be_bytes()].concat()
}

fn closed() -> TreeError {
    TreeError::Io { reason: "the server stops".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u64) -> Position {
        Position::new(n)
    }

    fn row(text: &str) -> Vec<u8> {
        record::write(&text)
    }

    #[tokio::test]
    async fn what_is_kept_is_there_after_a_restart_and_of_another_log_it_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let place = RecordPlace::receipts(dir.path().to_owned());
        let record = ReceiptRecord::new(place.clone(), LogId::from_u128(1));
        record.keep(vec![(at(7), row("seven")), (at(9), row("nine"))]).await;
        record.close();
        assert!(record.find(at(7)).await.is_err(), "it is closed");
        let again = ReceiptRecord::new(place.clone(), LogId::from_u128(1));
        assert_eq!(again.find(at(7)).await.unwrap(), Some(Value::from("seven")));
        assert_eq!(again.find(at(8)).await.unwrap(), None);
        again.close();
        let other = ReceiptRecord::new(place, LogId::from_u128(2));
        assert_eq!(other.find(at(7)).await.unwrap(), None);
        assert!(dir.path().join("receipts.set-aside-1").is_dir(), "what was kept is still on disk");
    }

    #[tokio::test]
    async fn the_oldest_go_when_there_is_no_more_room() {
        let dir = tempfile::tempdir().unwrap();
        let place = RecordPlace::receipts(dir.path().to_owned());
        let record = ReceiptRecord::holding(place.clone(), LogId::from_u128(1), 4 * row("0000").len());
        for n in 1..=6 {
            record.keep(vec![(at(n), row(&format!("{n:04}")))]).await;
            record.keep(vec![(at(n), row(&format!("{n:04}")))]).await;
        }
        record.close();
        let again = ReceiptRecord::holding(place, LogId::from_u128(1), 4 * row("0000").len());
        again.keep(vec![(at(7), row("0007"))]).await;
        for n in 1..=7 {
            assert_eq!(again.find(at(n)).await.unwrap().is_some(), n > 3, "{n}");
        }
    }
}
