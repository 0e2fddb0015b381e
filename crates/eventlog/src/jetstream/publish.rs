//! Puts messages on the wire: one publish, or an atomic batch by hand, and reads what the server says to it.

use std::time::Duration;

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::jetstream::publish::PublishAck;
use async_nats::jetstream::response::Response;
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, Request};
use bytes::Bytes;
use domain::Position;
use tokio::time::timeout;

use super::connect::ANSWER_LIMIT;
use super::log::Core;
use super::streams::EVENTS_PREFIX;
use crate::port::{StreamId, Unit};

/// What the server takes in one atomic batch.
pub(super) const BATCH_MESSAGES: usize = 1000;
/// What one atomic batch may weigh: the server stages it, and 1000 events of the usual size are a third of it.
pub(super) const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// How long the client's own buffer may take the messages of one batch.
const BUFFER_LIMIT: Duration = ANSWER_LIMIT;

pub(super) const BATCH_ID: &str = "Nats-Batch-Id";
const BATCH_SEQUENCE: &str = "Nats-Batch-Sequence";
const BATCH_COMMIT: &str = "Nats-Batch-Commit";

/// "wrong last sequence: 7": the stream ends elsewhere.
const WRONG_LAST_SEQUENCE: ErrorCode = ErrorCode::STREAM_WRONG_LAST_SEQUENCE;
/// The same, from a server with replicas that has another write to this subject under way.
const WRONG_LAST_SEQUENCE_UNKNOWN: ErrorCode = ErrorCode(10_164);
/// The batch was incomplete, or never begun, or too many are under way: nothing of it is stored.
const BATCH_NOT_STORED: [ErrorCode; 2] =
    [ErrorCode::ATOMIC_PUBLISH_INCOMPLETE_BATCH, ErrorCode::ATOMIC_PUBLISH_TOO_MANY_INFLIGHT];

/// What became of messages that were sent together.
#[derive(Debug)]
pub(super) enum Sent {
    /// They are stored, the last of them at this position.
    Stored(Position),
    /// Nothing of it is stored: an expectation is stale, or an id is there already.
    Refused,
    /// Nothing of it is stored or will be, for a reason that may pass.
    Unsent(String),
    /// Not known.
    Doubt(String),
}

/// One message before it is on the wire.
#[derive(Debug)]
pub(super) struct Outgoing {
    pub(super) subject: String,
    pub(super) headers: HeaderMap,
    pub(super) payload: Bytes,
}

impl Core {
    /// Publishes whole units: a lone event plainly, everything else as one atomic batch.
    pub(super) async fn publish<'a>(&self, units: impl IntoIterator<Item = &'a Unit>) -> Sent {
        self.publish_messages(units.into_iter().flat_map(outgoing).collect()).await
    }

    /// Publishes messages as they are: one plainly, several as one atomic batch.
    pub(super) async fn publish_messages(&self, mut messages: Vec<Outgoing>) -> Sent {
        if messages.len() > 1 {
            return publish_batch(&self.client, &self.next_batch_id(), messages).await;
        }
        match messages.pop() {
            Some(message) => read_answer(request(&self.client, message).await),
            None => Sent::Unsent("there is nothing to send".to_owned()),
        }
    }
}

/// The messages of a unit. Only the first of a stream carries its expectation: later ones of the same batch would be
/// compared with a batch that is not stored yet. Their order is kept by the batch itself.
fn outgoing(unit: &Unit) -> impl Iterator<Item = Outgoing> {
    unit.writes.iter().flat_map(|write| {
        write.events.iter().enumerate().map(|(nth, event)| {
            let mut headers = HeaderMap::new();
            headers.insert(NATS_MESSAGE_ID, format!("{}:{}", write.stream, event.id));
            if nth == 0 {
                headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, write.expected.to_string());
            }
            Outgoing { subject: subject(&write.stream), headers, payload: event.payload.clone() }
        })
    })
}

/// The one literal subject of a stream.
pub(super) fn subject(stream: &StreamId) -> String {
    format!("{EVENTS_PREFIX}{stream}")
}

/// First and last are requests, so that a refusal at the start ends it and the commit is answered; nothing is stored
/// before the last one arrives, so until that is sent the outcome is certain.
pub(super) async fn publish_batch(client: &Client, batch_id: &str, mut messages: Vec<Outgoing>) -> Sent {
    for (nth, message) in messages.iter_mut().enumerate() {
        message.headers.insert(BATCH_ID, batch_id);
        message.headers.insert(BATCH_SEQUENCE, (nth + 1).to_string());
    }
    let Some(mut last) = messages.pop() else {
        return Sent::Unsent("there is nothing to send".to_owned());
    };
    last.headers.insert(BATCH_COMMIT, "1");
    let mut messages = messages.into_iter();
    if let Some(first) = messages.next() {
        match request(client, first).await {
            Ok(answer) if answer.is_empty() => {}
            Ok(answer) => match read_answer(Ok(answer)) {
                Sent::Refused => return Sent::Refused,
                Sent::Stored(_) => {
                    return Sent::Unsent("the server stored the start of a batch alone".to_owned());
                }
                Sent::Unsent(reason) | Sent::Doubt(reason) => return Sent::Unsent(reason),
            },
            Err(reason) => return Sent::Unsent(reason),
        }
    }
    let fill = async {
        for message in messages {
            client.publish_with_headers(message.subject, message.headers, message.payload).await?;
        }
        Ok::<(), async_nats::PublishError>(())
    };
    match timeout(BUFFER_LIMIT, fill).await {
        Ok(Ok(())) => read_answer(request(client, last).await),
        Ok(Err(error)) => Sent::Unsent(error.to_string()),
        Err(_) => Sent::Unsent("the connection takes no more".to_owned()),
    }
}

/// Sends one message and waits for what the server says; the limit covers the client's own buffer too, which stands still
/// while there is no connection.
async fn request(client: &Client, message: Outgoing) -> Result<Bytes, String> {
    let request =
        Request::new().headers(message.headers).payload(message.payload).timeout(Some(ANSWER_LIMIT));
    match timeout(ANSWER_LIMIT, client.send_request(message.subject, request)).await {
        Ok(Ok(answer)) => Ok(answer.payload),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("NATS did not answer within {} s", ANSWER_LIMIT.as_secs())),
    }
}

fn read_answer(answer: Result<Bytes, String>) -> Sent {
    let payload = match answer {
        Ok(payload) => payload,
        Err(reason) => return Sent::Doubt(reason),
    };
    match serde_json::from_slice::<Response<PublishAck>>(&payload) {
        Ok(Response::Ok(ack)) if ack.duplicate => Sent::Refused,
        Ok(Response::Ok(ack)) => Sent::Stored(Position::new(ack.sequence)),
        Ok(Response::Err { error }) => read_error(&error),
        Err(error) => Sent::Doubt(format!("NATS answered something else: {error}")),
    }
}

fn read_error(error: &jetstream::Error) -> Sent {
    let code = error.error_code();
    if is_stale(code) || code == ErrorCode::ATOMIC_PUBLISH_CONTAINS_DUPLICATE_MESSAGE {
        Sent::Refused
    } else if BATCH_NOT_STORED.contains(&code) {
        Sent::Unsent(error.to_string())
    } else {
        Sent::Doubt(error.to_string())
    }
}

/// Whether an error says that an expectation does not hold.
pub(super) fn is_stale(code: ErrorCode) -> bool {
    code == WRONG_LAST_SEQUENCE || code == WRONG_LAST_SEQUENCE_UNKNOWN
}
