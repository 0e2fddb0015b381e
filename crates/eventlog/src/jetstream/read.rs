//! Reads the log: single messages from the leader, many by direct get.

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::jetstream::message::StreamMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use async_nats::{Message, StatusCode};
use bytes::Bytes;
use domain::{EventId, Position};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::connect::ANSWER_LIMIT;
use super::log::Core;
use super::publish::{BATCH_ID, subject};
use super::streams::{ASK_AGAIN, EVENTS_PREFIX, LOG};
use crate::port::{ReadError, Recorded, StreamId};

/// What one direct get answers at most: what the server allows.
const DIRECT_BATCH: usize = 1000;

/// An event as the stream holds it.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) event: Recorded,
    /// The stream's last position that it was written after; absent on the later events of a unit.
    pub(super) expected: Option<Position>,
    /// Whether it was written in an atomic batch, so that others may be about to follow it.
    pub(super) batched: bool,
}

impl Core {
    /// Every event of a stream after a position. One replica: by direct get. Several: the leader says where the stream ends,
    /// direct get brings what the nearest member has, and the leader the rest.
    pub(super) async fn read_after(
        &self,
        stream: &StreamId,
        after: Position,
    ) -> Result<Vec<Recorded>, ReadError> {
        let end = if self.replicas > 1 { self.tail_at_leader(stream).await? } else { Position::NONE };
        if self.replicas > 1 && end <= after {
            return Ok(Vec::new());
        }
        let mut events: Vec<Recorded> = Vec::new();
        let reached = |events: &[Recorded]| events.last().map_or(after, |event| event.position);
        loop {
            let (page, more) = self.direct(&next_request(stream, reached(&events))).await?;
            events.extend(page.into_iter().map(|stored| stored.event));
            if !more {
                break;
            }
        }
        while reached(&events) < end {
            match self.first_at_leader(stream, reached(&events)).await? {
                Some(stored) => events.push(stored.event),
                None => break,
            }
        }
        if let Some(last) = events.last() {
            self.note(stream, last.position);
        }
        Ok(events)
    }

    /// The position of a stream's last event, from the leader.
    pub(super) async fn tail_at_leader(&self, stream: &StreamId) -> Result<Position, ReadError> {
        let last = self.log.raw_message_builder().last_by_subject(subject(stream)).send().await;
        let tail = found(last)?.map_or(Position::NONE, |message| Position::new(message.sequence));
        self.note(stream, tail);
        Ok(tail)
    }

    /// The first event of a stream after a position, from the leader.
    pub(super) async fn first_at_leader(
        &self,
        stream: &StreamId,
        after: Position,
    ) -> Result<Option<Stored>, ReadError> {
        let next = self
            .log
            .raw_message_builder()
            .sequence(after.next().get())
            .next_by_subject(subject(stream))
            .send()
            .await;
        let Some(message) = found(next)? else { return Ok(None) };
        stored(&message.subject, message.sequence, Some(&message.headers), message.payload).map(Some)
    }

    /// The event at a position, from the leader; none if the log has not come so far.
    pub(super) async fn at_leader(&self, position: Position) -> Result<Option<Stored>, ReadError> {
        let message = self.log.raw_message_builder().sequence(position.get()).send().await;
        let Some(message) = found(message)? else { return Ok(None) };
        stored(&message.subject, message.sequence, Some(&message.headers), message.payload).map(Some)
    }

    /// The last events of these streams, from whichever member answers: a hint on several replicas.
    pub(super) async fn tails_hint(&self, streams: &[&StreamId]) -> Result<(), ReadError> {
        for chunk in streams.chunks(DIRECT_BATCH) {
            let subjects: Vec<String> = chunk.iter().map(|stream| subject(stream)).collect();
            let (page, _) = self.direct(&json!({ "multi_last": subjects, "batch": DIRECT_BATCH })).await?;
            for stored in page {
                self.note(&stored.event.stream, stored.event.position);
            }
        }
        Ok(())
    }

    /// One batched direct get: its events, and whether there are more. Right after the stream was made a node that does not
    /// hold it may not know yet who does, and says that nobody answers: then it is asked again, for a while.
    async fn direct(&self, request: &Value) -> Result<(Vec<Stored>, bool), ReadError> {
        let deadline = Instant::now() + ANSWER_LIMIT;
        loop {
            if let Some(page) = self.direct_once(request).await? {
                return Ok(page);
            }
            if Instant::now() >= deadline {
                return Err(unavailable("no NATS server answers for the log"));
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// The same; none if nobody answers.
    async fn direct_once(&self, request: &Value) -> Result<Option<(Vec<Stored>, bool)>, ReadError> {
        let inbox = self.client.new_inbox();
        let mut answers = self.client.subscribe(inbox.clone()).await.map_err(|e| unavailable(&e))?;
        let ask = self.client.publish_with_reply(
            format!("$JS.API.DIRECT.GET.{LOG}"),
            inbox,
            Bytes::from(request.to_string()),
        );
        timeout(ANSWER_LIMIT, ask).await.map_err(|_| silent())?.map_err(|e| unavailable(&e))?;
        let mut page = Vec::new();
        loop {
            let answer = timeout(ANSWER_LIMIT, answers.next()).await.map_err(|_| silent())?;
            let answer = answer.ok_or_else(|| unavailable("the connection is closing"))?;
            match answer.status {
                None | Some(StatusCode::OK) => page.push(direct_answer(answer)?),
                Some(StatusCode::NOT_FOUND) => return Ok(Some((page, false))),
                Some(StatusCode::NO_RESPONDERS) if page.is_empty() => return Ok(None),
                // 204 "EOB": the end of the batch.
                Some(status) if status.as_u16() == 204 => {
                    let pending = number(answer.headers.as_ref(), "Nats-Num-Pending").unwrap_or(0);
                    let more = pending > 0 && !page.is_empty();
                    return Ok(Some((page, more)));
                }
                Some(status) => {
                    let said = answer.description.unwrap_or_default();
                    return Err(unavailable(&format!("NATS answered {status} {said}")));
                }
            }
        }
    }
}

fn next_request(stream: &StreamId, after: Position) -> Value {
    json!({ "batch": DIRECT_BATCH, "seq": after.next().get(), "next_by_subj": subject(stream) })
}

fn direct_answer(message: Message) -> Result<Stored, ReadError> {
    let headers = message.headers.as_ref();
    let sequence =
        number(headers, "Nats-Sequence").ok_or_else(|| unavailable("NATS answered without a sequence"))?;
    let subject = headers.and_then(|headers| headers.get("Nats-Subject")).map(ToString::to_string);
    stored(&subject.unwrap_or_default(), sequence, headers, message.payload)
}

fn found(
    answer: Result<StreamMessage, async_nats::jetstream::stream::LastRawMessageError>,
) -> Result<Option<StreamMessage>, ReadError> {
    match answer {
        Ok(message) => Ok(Some(message)),
        Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
        Err(error) => Err(unavailable(&error)),
    }
}

/// Reads an event out of a message; one that is none was written by somebody else.
pub(super) fn stored(
    subject: &str,
    sequence: u64,
    headers: Option<&HeaderMap>,
    payload: Bytes,
) -> Result<Stored, ReadError> {
    let position = Position::new(sequence);
    let damaged = |what: &str| ReadError::Damaged { position, reason: format!("{what} (subject {subject})") };
    let stream: StreamId = subject
        .strip_prefix(EVENTS_PREFIX)
        .and_then(|stream| stream.parse().ok())
        .ok_or_else(|| damaged("its subject names no stream"))?;
    let id = headers
        .and_then(|headers| headers.get(NATS_MESSAGE_ID))
        .and_then(|id| event_id(id.as_str()))
        .ok_or_else(|| damaged("it has no event id"))?;
    let expected = number(headers, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE.as_ref()).map(Position::new);
    let batched = headers.is_some_and(|headers| headers.get(BATCH_ID).is_some());
    Ok(Stored { event: Recorded { position, stream, id, payload }, expected, batched })
}

/// The event id in `<stream>:<event id>`.
fn event_id(message_id: &str) -> Option<EventId> {
    EventId::from_ascii(message_id.rsplit_once(':')?.1.as_bytes()).ok()
}

fn number(headers: Option<&HeaderMap>, name: &str) -> Option<u64> {
    headers?.get(name)?.as_str().parse().ok()
}

pub(super) fn unavailable(error: &(impl ToString + ?Sized)) -> ReadError {
    ReadError::Unavailable { reason: error.to_string() }
}

pub(super) fn silent() -> ReadError {
    unavailable(&format!("NATS did not answer within {} s", ANSWER_LIMIT.as_secs()))
}
