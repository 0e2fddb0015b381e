//! The view `history`: every event of a key or tenant, as stored, in order.

use std::sync::Arc;

use domain::{Envelope, Position, StreamName};
use serde_json::{Value, json};
use tokio::sync::watch;
use wire::Unreadable;

use super::{MAX_PAGE, RowName, position_at_end};
use crate::changes::Changes;
use crate::shelf::{QueryError, Shelf, Status};
use crate::tree::TreeError;
use crate::view::{Entry, View};

const EVENT: u8 = b'h';

/// Keeps the events by stream.
#[derive(Default)]
pub(crate) struct HistoryView;

impl View for HistoryView {
    const NAME: &'static str = "history";
    const SCHEMA: u32 = 1;

    fn apply(&mut self, entry: &Entry<'_>, changes: &mut Changes<'_>) -> Result<(), TreeError> {
        let name = prefix(&entry.stream).position(entry.position()).done();
        changes.put(name, entry.recorded.payload.to_vec());
        Ok(())
    }
}

/// The marks keep a key's rows apart from the tenant's own, whatever the bytes of its id.
fn prefix(stream: &StreamName) -> RowName {
    let row = RowName::of(EVENT).tenant(stream.tenant());
    match stream.key_id() {
        Some(key_id) => row.bytes(b"k").key_id(key_id),
        None => row.bytes(b"t"),
    }
}

/// An event of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Its place in the log.
    pub position: Position,
    /// Whose history.
    pub stream: StreamName,
    /// Its bytes, exactly as in the log.
    pub payload: Vec<u8>,
}

impl StoredEvent {
    /// The event, if this build can read it.
    ///
    /// # Errors
    /// [`Unreadable`].
    pub fn read(&self) -> Result<Envelope, Unreadable> {
        wire::decode(&self.stream, &self.payload)
    }

    /// The event as auditors read it; one that cannot be read says so and why.
    #[must_use]
    pub fn export(&self) -> Value {
        match self.read() {
            Ok(envelope) => wire::export(&envelope, self.position),
            Err(unreadable) => json!({
                "position": self.position.get(),
                "stream": self.stream.to_string(),
                "unreadable": unreadable.to_string(),
            }),
        }
    }
}

/// A part of a history.
#[derive(Clone, Debug)]
pub struct HistoryPage {
    /// The events, oldest first.
    pub events: Vec<StoredEvent>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<Position>,
}

/// Answers from the view `history`.
#[derive(Clone, Debug)]
pub struct History {
    pub(crate) shelf: Arc<Shelf>,
}

impl History {
    /// How far the view has come; for waiting until it shows a position.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shelf.status.subscribe()
    }

    /// The events of a stream behind a position, at most `limit` and at most [`MAX_PAGE`].
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn events(
        &self,
        stream: &StreamName,
        after: Position,
        limit: usize,
    ) -> Result<HistoryPage, QueryError> {
        let (stream, limit) = (stream.clone(), limit.clamp(1, MAX_PAGE));
        self.shelf
            .query(move |tree| {
                let prefix = prefix(&stream);
                let after = prefix.clone().position(after).done();
                let mut rows = tree.scan(&prefix.done(), Some(&after), limit + 1)?;
                let more = rows.len() > limit;
                rows.truncate(limit);
                let events = rows
                    .into_iter()
                    .map(|(name, payload)| {
                        Ok(StoredEvent { position: position_at_end(&name)?, stream: stream.clone(), payload })
                    })
                    .collect::<Result<Vec<_>, TreeError>>()?;
                let next = events.last().map(|event| event.position).filter(|_| more);
                Ok(HistoryPage { events, next })
            })
            .await
    }
}
