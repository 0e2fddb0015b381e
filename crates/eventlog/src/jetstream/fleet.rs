//! Who is in the fleet: bytes under a name that every server puts and every server follows, and a channel between servers.

use std::sync::Arc;
use std::time::Duration;

use async_nats::Subscriber;
use async_nats::header::HeaderMap;
use async_nats::jetstream;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::PublishMessage;
use async_nats::jetstream::stream::LastRawMessageErrorKind;
use bytes::Bytes;
use futures_util::StreamExt;
use thiserror::Error;
use tokio::time::timeout;

use super::connect::ANSWER_LIMIT;
use super::log::Core;
use super::publish::is_stale;
use super::reader::{Delivered, Reader};
use super::streams::{self, FLEET, FLEET_PREFIX, FLEET_TELLS_PREFIX, Missing};

/// One pull of entries: each is some hundred bytes.
const PULL_BATCH: usize = 1_000;
/// How long the mark of a deletion stays for those who follow; who begins to follow later needs none.
const MARK_KEPT: Duration = Duration::from_secs(3_600);
/// What tells a deletion from an entry, as in every key-value bucket.
const OPERATION: (&str, &str) = ("KV-Operation", "DEL");

/// The bucket `RESCIND_FLEET`. A clone is the same handle.
///
/// **Kept.** The last entry of each name, on as many servers as the log, until it is deleted.
///
/// **Order.** All entries have one order, their revisions: whoever has heard revision *r* has heard of every entry put before
/// it, or of what replaced that.
#[derive(Clone, Debug)]
pub struct FleetRegistry {
    core: Arc<Core>,
}

/// What stands under a name, or stood there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetEntry {
    /// The name that it was put under.
    pub name: String,
    /// Its place among all entries.
    pub revision: u64,
    /// What was put; none where it was deleted.
    pub payload: Option<Bytes>,
}

/// What a follower heard.
#[derive(Debug)]
pub struct FleetEntries {
    /// In order.
    pub entries: Vec<FleetEntry>,
    /// Everything that was there when the follower began has been handed out.
    pub loaded: bool,
}

/// Why the bucket could not be read or written now. What was written may be there all the same.
#[derive(Clone, Debug, Error)]
#[error("the registry of the fleet cannot be used now: {reason}")]
pub struct FleetError {
    /// What went wrong, one lower-case clause.
    pub reason: String,
}

impl FleetRegistry {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// What stands under a name, from the bucket's leader; none if nothing ever did, or its mark is gone.
    ///
    /// # Errors
    /// [`FleetError`].
    pub async fn read(&self, name: &str) -> Result<Option<FleetEntry>, FleetError> {
        let stream = self.core.js.get_stream_no_info(FLEET).await.map_err(|error| failed(&error))?;
        let last = stream.raw_message_builder().last_by_subject(format!("{FLEET_PREFIX}{name}")).send();
        match timeout(ANSWER_LIMIT, last).await.map_err(|_| no_answer())? {
            Ok(found) => {
                let payload = payload(&found.headers, found.payload);
                Ok(Some(FleetEntry { name: name.to_owned(), revision: found.sequence, payload }))
            }
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Puts an entry, whatever stands there, and returns its revision once a quorum has it.
    ///
    /// # Errors
    /// [`FleetError`]: it may be there all the same, or come later.
    pub async fn put(&self, name: &str, payload: Vec<u8>) -> Result<u64, FleetError> {
        let message = PublishMessage::build().payload(payload.into());
        self.publish(name, message).await?.ok_or_else(|| failed("it was refused without an expectation"))
    }

    /// Puts an entry if the name's last revision is this one, 0 for none. None if it is another.
    ///
    /// # Errors
    /// [`FleetError`]: it may be there all the same, or come later.
    pub async fn replace(
        &self,
        name: &str,
        revision: u64,
        payload: Vec<u8>,
    ) -> Result<Option<u64>, FleetError> {
        let message =
            PublishMessage::build().payload(payload.into()).expected_last_subject_sequence(revision);
        self.publish(name, message).await
    }

    /// Deletes an entry if its revision is still this one; whether it was.
    ///
    /// # Errors
    /// [`FleetError`]: it may be deleted all the same, or later, if it is unchanged by then.
    pub async fn delete(&self, name: &str, revision: u64) -> Result<bool, FleetError> {
        let mut headers = HeaderMap::new();
        headers.insert(OPERATION.0, OPERATION.1);
        let message = PublishMessage::build().headers(headers).expected_last_subject_sequence(revision);
        Ok(self.publish(name, message.ttl(MARK_KEPT)).await?.is_some())
    }

    async fn publish(&self, name: &str, message: PublishMessage) -> Result<Option<u64>, FleetError> {
        if self.core.is_away() {
            return Err(failed("there is no connection to NATS"));
        }
        let publish =
            async { self.core.js.send_publish(format!("{FLEET_PREFIX}{name}"), message).await?.await };
        match timeout(ANSWER_LIMIT, publish).await.map_err(|_| no_answer())? {
            Ok(ack) => Ok(Some(ack.sequence)),
            Err(error) if refused(&error) => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    /// Follows all entries: those that stand, in the order of their revisions, then what comes.
    ///
    /// # Errors
    /// [`FleetError`].
    pub async fn follow(&self) -> Result<FleetFollower, FleetError> {
        let identity = match streams::find(&self.core.js, FLEET).await {
            Ok(info) => info.created.unix_timestamp_nanos(),
            Err(Missing::NotThere) => return Err(failed("it is gone")),
            Err(Missing::NoJetStream(reason) | Missing::Unknown(reason)) => return Err(failed(&reason)),
        };
        let all = format!("{FLEET_PREFIX}>");
        let policy = (DeliverPolicy::LastPerSubject, Some(all.as_str()));
        let reader = Reader::open(&self.core, FLEET, policy, PULL_BATCH).await;
        let reader = reader.map_err(|error| failed(&error))?;
        let loaded = reader.pending == 0;
        Ok(FleetFollower { reader, loaded, told: false, identity })
    }

    /// Tells the other servers what is worth nothing later. It may be lost.
    pub async fn say(&self, speaker: &str, bytes: Vec<u8>) {
        // What would wait for a connection is old when it comes.
        if self.core.is_away() {
            return;
        }
        let subject = format!("{FLEET_TELLS_PREFIX}{speaker}");
        if let Err(error) = self.core.client.publish(subject, bytes.into()).await {
            tracing::debug!(%error, "the other servers were not told");
        }
    }

    /// Listens to what servers say, this one included.
    ///
    /// # Errors
    /// [`FleetError`].
    pub async fn listen(&self) -> Result<FleetListener, FleetError> {
        let subject = format!("{FLEET_TELLS_PREFIX}*");
        let heard = self.core.client.subscribe(subject).await.map_err(|error| failed(&error))?;
        Ok(FleetListener { heard })
    }
}

/// One reader of the bucket. After an error it is of no more use, and another one begins from the start.
pub struct FleetFollower {
    reader: Reader,
    loaded: bool,
    /// The caller knows that it is loaded.
    told: bool,
    identity: i128,
}

impl FleetFollower {
    /// Which bucket this is: another one under the same name has another identity, and its revisions begin anew.
    #[must_use]
    pub const fn identity(&self) -> i128 {
        self.identity
    }

    /// Waits for the next entries. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// [`FleetError`] when the consumer has ended or something was lost on the way.
    pub async fn next(&mut self) -> Result<FleetEntries, FleetError> {
        if self.loaded && !self.told {
            self.told = true;
            return Ok(FleetEntries { entries: Vec::new(), loaded: true });
        }
        let entries = self.reader.next().await.map_err(|error| failed(&error))?;
        self.loaded |= entries.iter().any(|entry| entry.pending == 0);
        self.told = self.loaded;
        Ok(FleetEntries { entries: entries.into_iter().map(entry).collect(), loaded: self.loaded })
    }
}

/// Hears what servers say, over every new connection too.
pub struct FleetListener {
    heard: Subscriber,
}

impl FleetListener {
    /// Waits for what a server says. None when the connection is closed for good.
    pub async fn hear(&mut self) -> Option<Bytes> {
        Some(self.heard.next().await?.payload)
    }
}

fn entry(Delivered { sequence, message, .. }: Delivered) -> FleetEntry {
    let name = message.subject.strip_prefix(FLEET_PREFIX).unwrap_or_default().to_owned();
    let payload = payload(&message.headers.unwrap_or_default(), message.payload);
    FleetEntry { name, revision: sequence, payload }
}

/// None for the mark of a deletion, by us or by hand.
fn payload(headers: &HeaderMap, payload: Bytes) -> Option<Bytes> {
    headers.get(OPERATION.0).is_none().then_some(payload)
}

/// Whether a write was refused because another revision stands there.
fn refused(error: &PublishError) -> bool {
    let refusal =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    refusal.is_some_and(|refusal| is_stale(refusal.error_code()))
}

fn failed(error: &(impl ToString + ?Sized)) -> FleetError {
    FleetError { reason: error.to_string() }
}

fn no_answer() -> FleetError {
    failed(&format!("NATS did not answer within {} s", ANSWER_LIMIT.as_secs()))
}
