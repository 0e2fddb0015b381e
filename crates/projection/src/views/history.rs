//! The view `history`: every event of a key or tenant, as stored, in order.

use std::sync::Arc;

use domain::{Envelope, Position, StreamName};
use eventlog::Recorded;
use serde_json::{Value, json};
use tokio::sync::watch;
use wire::Unreadable;

use super::keys::Keys;
use super::{MAX_PAGE, RowName, position_at_end};
use crate::changes::Changes;
use crate::shelf::{QueryError, Shelf, Status};
use crate::tree::{Tree, TreeError};
use crate::view::{Entry, Taken, View};

const EVENT: u8 = b'h';

/// Keeps the events by stream.
#[derive(Default)]
pub(crate) struct HistoryView;

impl View for HistoryView {
    const NAME: &'static str = "history";
    const SCHEMA: u32 = 1;

    fn apply(&mut self, entry: &Entry<'_>, changes: &mut Changes<'_>) -> Result<Taken, TreeError> {
        let name = prefix(&entry.stream).position(entry.position()).done();
        changes.put(name, entry.recorded.payload.to_vec());
        Ok(Taken::Whole)
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
    /// Whose history; in a key's, a recall is the tenant's.
    pub stream: StreamName,
    /// Its bytes, exactly as in the log.
    pub payload: Vec<u8>,
}

impl StoredEvent {
    /// The event as it was read from the log; none if its stream is neither a key's nor a tenant's.
    pub(crate) fn of(recorded: &Recorded) -> Option<Self> {
        let stream = recorded.stream.as_str().parse().ok()?;
        Some(Self { position: recorded.position, stream, payload: recorded.payload.to_vec() })
    }

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
    pub(crate) keys: Keys,
}

impl History {
    /// How far the view has come; for waiting until it shows a position.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shelf.status.subscribe()
    }

    /// The events of a stream behind a position, at most `limit` and at most [`MAX_PAGE`]. Among a key's own events stands
    /// the recall that hit it, which is an event of its tenant; so this answers only when the view of keys does too, and
    /// shows a recall once both views show its position.
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
        let recall = match &stream {
            StreamName::Key(tenant, key_id) => {
                self.keys.one(tenant, *key_id).await?.and_then(|key| key.recalled_by)
            }
            StreamName::Tenant(_) => None,
        };
        self.shelf.query(move |tree| page(tree, &stream, recall, after, limit)).await
    }
}

fn page(
    tree: &dyn Tree,
    stream: &StreamName,
    recall: Option<Position>,
    after: Position,
    limit: usize,
) -> Result<HistoryPage, TreeError> {
    let names = prefix(stream);
    let begin = names.clone().position(after).done();
    let rows = tree.scan(&names.done(), Some(&begin), limit + 1)?;
    let mut events = rows
        .into_iter()
        .map(|(name, payload)| {
            Ok(StoredEvent { position: position_at_end(&name)?, stream: stream.clone(), payload })
        })
        .collect::<Result<Vec<_>, TreeError>>()?;
    if let Some(recall) = recall.filter(|recall| *recall > after) {
        let tenant = StreamName::Tenant(stream.tenant().clone());
        let name = prefix(&tenant).position(recall).done();
        let payload = tree.get(&name)?;
        let place = events.partition_point(|event| event.position < recall);
        if let Some(payload) = payload {
            events.insert(place, StoredEvent { position: recall, stream: tenant, payload });
        }
    }
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().map(|event| event.position).filter(|_| more);
    Ok(HistoryPage { events, next })
}
