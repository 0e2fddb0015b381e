//! A history copied into the stream `RESCIND_LOG`: batches that each stand exactly where they stood, or not at all.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::header::{
    HeaderMap, NATS_EXPECTED_LAST_SEQUENCE, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_ID,
};
use async_nats::jetstream::Context;
use async_nats::jetstream::response::Response;
use async_trait::async_trait;
use domain::{LogId, Position};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::connect::{ConnectError, JetStream, JetStreamConfig};
use super::follow::JetStreamFollower;
use super::log::Core;
use super::publish::{BATCH_BYTES, BATCH_MESSAGES, Outgoing, Sent, subject};
use super::streams::{self, LOG, STAGE, STAGE_COPYING};
use crate::copying::{CopyError, LogCopy, follow_on};
use crate::embedded::heads::{ByName, Names};
use crate::port::{Follower, ReadError, Recorded};

/// How long one batch may take with everything that is tried again: an election is over by then.
const BATCH_LIMIT: Duration = Duration::from_secs(20);
/// The wait between two attempts within that.
const TRY_AGAIN: Duration = Duration::from_millis(100);

/// The log's stream while a history is copied into it.
#[derive(Debug)]
pub struct JetStreamCopy {
    /// What lies beside the log, seals among it.
    pub beside: JetStream,
    log_id: LogId,
    head: Position,
    /// The last position of every stream that was written to.
    ends: Ends,
    is_marked: bool,
    reader: Option<Reader>,
}

/// One reading of the target that goes on where the last call ended.
struct Reader {
    at: Position,
    follower: JetStreamFollower,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("at", &self.at).finish_non_exhaustive()
    }
}

struct Ends {
    names: Names,
    last: ByName,
}

impl std::fmt::Debug for Ends {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ends").field("streams", &self.last.len()).finish_non_exhaustive()
    }
}

impl JetStreamCopy {
    /// Connects, and finds or makes the streams for a copy of this log, whose head is known. Reads what is there already.
    ///
    /// # Errors
    /// [`CopyError`].
    pub async fn open(config: JetStreamConfig, log_id: LogId, until: Position) -> Result<Self, CopyError> {
        let config = JetStreamConfig { new_log_id: log_id, ..config };
        let (beside, is_marked) = JetStream::connect_copying(config).await?;
        let core = beside.log.core();
        if core.log_id != log_id {
            return Err(CopyError::OtherLog { found: core.log_id, wanted: log_id });
        }
        check_feed(&beside, log_id, until).await?;
        let head = core.head().await?;
        let ends = Ends { names: Names::new(), last: ByName::default() };
        let mut copy = Self { log_id, head, ends, is_marked, reader: None, beside };
        let mut read = Position::NONE;
        while read < head {
            let events = copy.read_after(read).await?;
            for event in &events {
                copy.ends.note(event);
            }
            read = events.last().map_or(head, |event| event.position);
        }
        Ok(copy)
    }

    fn core(&self) -> &Core {
        self.beside.log.core()
    }

    /// Writes one batch, and finds out what became of it: it stands whole right behind the head, or nothing of it does.
    async fn write_batch(&mut self, batch: &[Recorded]) -> Result<(), CopyError> {
        let reached = batch.last().map_or(self.head, |event| event.position);
        let deadline = Instant::now() + BATCH_LIMIT;
        loop {
            let sent = self.core().publish_messages(self.messages(batch)).await;
            let reason = match sent {
                Sent::Stored(last) if last == reached => break,
                Sent::Stored(last) => {
                    return Err(not_alone(format!("event {reached} was stored at {last}")));
                }
                // It stands since an attempt that was not answered, or somebody else was quicker.
                Sent::Refused => "the target ends elsewhere".to_owned(),
                Sent::Unsent(reason) | Sent::Doubt(reason) => reason,
            };
            match self.core().head().await {
                Ok(head) if head == reached => {
                    self.check_last(batch).await?;
                    break;
                }
                Ok(head) if head == self.head && Instant::now() < deadline => {}
                Ok(head) if head != self.head => {
                    return Err(not_alone(format!(
                        "it ends at {head}, where {} was written last",
                        self.head
                    )));
                }
                Err(_) if Instant::now() < deadline => {}
                Ok(_) | Err(_) => return Err(CopyError::NotWritten { reason }),
            }
            sleep(TRY_AGAIN).await;
        }
        for event in batch {
            self.ends.note(event);
        }
        self.head = reached;
        Ok(())
    }

    /// Whether the batch's last event is what stands at the head: batches are whole, so then all of it is.
    async fn check_last(&self, batch: &[Recorded]) -> Result<(), CopyError> {
        let Some(last) = batch.last() else { return Ok(()) };
        match self.core().at_leader(last.position).await? {
            Some(found) if found.event == *last => Ok(()),
            _ => Err(not_alone(format!("another event stands at {}", last.position))),
        }
    }

    /// Every message names the end of its own stream, also where several were one unit: a later repeat of any unit is then
    /// known as on the log that it comes from. The first names the end of the whole log, so that positions stay.
    fn messages(&self, batch: &[Recorded]) -> Vec<Outgoing> {
        let outgoing = |(nth, event): (usize, &Recorded)| {
            let mut headers = HeaderMap::new();
            headers.insert(NATS_MESSAGE_ID, format!("{}:{}", event.stream, event.id));
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, self.ends.last(event).to_string());
            if nth == 0 {
                headers.insert(NATS_EXPECTED_LAST_SEQUENCE, self.head.to_string());
            }
            Outgoing { subject: subject(&event.stream), headers, payload: event.payload.clone() }
        };
        batch.iter().enumerate().map(outgoing).collect()
    }

    /// How many of these events make the next batch. A stream's second event begins another one: within a batch its
    /// expectation would be compared with what is not stored yet.
    fn batch_len(&self, events: &[Recorded]) -> usize {
        let mut streams = BTreeMap::new();
        let mut bytes = 0;
        for (nth, event) in events.iter().enumerate() {
            bytes += event.payload.len();
            let full = nth == BATCH_MESSAGES || (nth > 0 && bytes > BATCH_BYTES);
            if full || streams.insert(&event.stream, ()).is_some() {
                return nth;
            }
        }
        events.len()
    }
}

impl Ends {
    fn last(&self, event: &Recorded) -> Position {
        self.last.get(&self.names.name(event.stream.as_str())).copied().unwrap_or(Position::NONE)
    }

    fn note(&mut self, event: &Recorded) {
        self.last.insert(self.names.name(event.stream.as_str()), event.position);
    }
}

#[async_trait]
impl LogCopy for JetStreamCopy {
    fn log_id(&self) -> LogId {
        self.log_id
    }

    fn head(&self) -> Position {
        self.head
    }

    async fn read_after(&mut self, after: Position) -> Result<Vec<Recorded>, ReadError> {
        let mut reader = match self.reader.take() {
            Some(reader) if reader.at == after => reader,
            _ => Reader {
                at: after,
                follower: JetStreamFollower::open(self.beside.log.shared_core(), after).await?,
            },
        };
        let mut events = reader.follower.next().await?;
        events.retain(|event| event.position <= self.head);
        reader.at = events.last().map_or(after, |event| event.position);
        self.reader = Some(reader);
        Ok(events)
    }

    async fn write(&mut self, events: &[Recorded]) -> Result<(), CopyError> {
        follow_on(self.head, events)?;
        if !self.is_marked {
            mark(&self.core().js, Some(STAGE_COPYING)).await?;
            self.is_marked = true;
        }
        let mut rest = events;
        while !rest.is_empty() {
            let (batch, others) = rest.split_at(self.batch_len(rest));
            self.write_batch(batch).await?;
            rest = others;
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), CopyError> {
        if self.is_marked {
            mark(&self.core().js, None).await?;
            self.is_marked = false;
        }
        Ok(())
    }
}

fn not_alone(reason: String) -> CopyError {
    CopyError::NotAlone { reason }
}

/// What was announced cannot be taken back: a feed of another history, or of more than is copied, is not for this log.
async fn check_feed(beside: &JetStream, log_id: LogId, until: Position) -> Result<(), CopyError> {
    let last =
        beside.feed.last().await.map_err(|error| CopyError::NotWritten { reason: error.to_string() })?;
    let Some(last) = last else { return Ok(()) };
    let notice: Value = serde_json::from_slice(&last.payload).unwrap_or_default();
    let reason = if notice["source"] != format!("/logs/{log_id}") {
        format!("its last notice is of {}", notice["source"])
    } else if last.id.parse::<u64>().is_ok_and(|position| position <= until.get()) {
        return Ok(());
    } else {
        format!("it has announced event {}, and the history ends at {until}", last.id)
    };
    Err(CopyError::OtherFeed { reason })
}

/// Says durably in the stream's own metadata whether it may be used as a log. All else of it stays as it is, also what this
/// client does not know.
async fn mark(js: &Context, stage: Option<&str>) -> Result<(), ConnectError> {
    let failed = |reason: String| ConnectError::Stream { stream: LOG.to_owned(), reason };
    let info: Result<Response<Value>, _> = js.request(format!("STREAM.INFO.{LOG}"), &json!({})).await;
    let mut info = match info.map_err(|error| failed(error.to_string()))? {
        Response::Ok(info) => info,
        Response::Err { error } => return Err(failed(error.to_string())),
    };
    let mut config = info["config"].take();
    match stage {
        Some(stage) => config["metadata"][STAGE] = json!(stage),
        None => {
            if let Some(metadata) = config["metadata"].as_object_mut() {
                metadata.remove(STAGE);
            }
        }
    }
    let updated: Result<Response<Value>, _> = js.request(format!("STREAM.UPDATE.{LOG}"), &config).await;
    match updated.map_err(|error| failed(error.to_string()))? {
        Response::Ok(info) if streams::stage(&info["config"]) == stage => Ok(()),
        Response::Ok(_) => Err(failed("its metadata was not changed".to_owned())),
        Response::Err { error } => Err(failed(error.to_string())),
    }
}
