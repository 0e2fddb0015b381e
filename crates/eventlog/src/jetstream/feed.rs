//! The stream of public notices: appended exactly once by any number of racing writers, never emptied.

use std::sync::Arc;

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SEQUENCE, NATS_MESSAGE_ID};
use async_nats::jetstream::context::PublishError;
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::{LastRawMessageErrorKind, RawMessageBuilder};
use async_nats::jetstream::{self, ErrorCode};
use bytes::Bytes;
use domain::TenantId;
use thiserror::Error;
use tokio::time::timeout;

use super::connect::ANSWER_LIMIT;
use super::log::Core;
use super::publish::{BATCH_BYTES, BATCH_MESSAGES, Outgoing, Sent, is_stale, publish_batch};
use super::streams::{self, FEED, Missing, NOTICES_PREFIX};

/// From so many notices, one atomic batch is quicker than publishes one by one.
const BATCH_FROM: usize = 12;
/// How consumers that know CloudEvents tell the structured form.
const CONTENT_TYPE: (&str, &str) = ("Content-Type", "application/cloudevents+json");

/// The writer's end of the feed. A clone is the same handle.
#[derive(Clone, Debug)]
pub struct NoticeFeed {
    core: Arc<Core>,
}

/// A notice to be announced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whose it is: the first token of its subject.
    pub tenant: TenantId,
    /// The second token: `revoked`, `recalled` …
    pub kind: String,
    /// The last token: a key id or `_tenant`.
    pub key: String,
    /// Its id, the same from every writer: the position it announces.
    pub id: String,
    /// The CloudEvents JSON.
    pub payload: Bytes,
}

/// A notice that stands in the feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredNotice {
    /// Its place in the feed, from 1.
    pub sequence: u64,
    /// The subject it was announced on.
    pub subject: String,
    /// The id it was written with.
    pub id: String,
    /// The CloudEvents JSON.
    pub payload: Bytes,
}

/// How an append to the feed ended, when that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum FeedOutcome {
    /// All notices stand in the feed, the last one at this sequence.
    Appended {
        /// The feed's last sequence right after it.
        last: u64,
    },
    /// The feed has gone on; some of the first notices may stand in it. Read [`NoticeFeed::last`] and go on from there.
    LostRace,
}

/// Why the feed could not be read or written now. After a failed append read [`NoticeFeed::last`] and go on from there:
/// the expectation on every notice keeps whatever lands late from being doubled or out of order.
#[derive(Clone, Debug, Error)]
#[error("the feed of notices cannot be used now: {reason}")]
pub struct FeedError {
    /// What went wrong, one lower-case clause.
    pub reason: String,
}

impl NoticeFeed {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// The feed's last notice, if there is any: what a writer resumes from.
    ///
    /// # Errors
    /// [`FeedError`] when the feed cannot be read.
    pub async fn last(&self) -> Result<Option<StoredNotice>, FeedError> {
        self.last_by(format!("{NOTICES_PREFIX}>")).await
    }

    /// The last notice of one tenant, if there is any.
    ///
    /// # Errors
    /// [`FeedError`] when the feed cannot be read.
    pub async fn last_of_tenant(&self, tenant: &TenantId) -> Result<Option<StoredNotice>, FeedError> {
        self.last_by(format!("{NOTICES_PREFIX}{tenant}.>")).await
    }

    async fn last_by(&self, subjects: String) -> Result<Option<StoredNotice>, FeedError> {
        let stream = self.core.js.get_stream_no_info(FEED).await.map_err(|error| failed(&error))?;
        let ask: RawMessageBuilder = stream.raw_message_builder();
        match timeout(ANSWER_LIMIT, ask.last_by_subject(subjects).send()).await.map_err(|_| no_answer())? {
            Ok(message) => Ok(Some(stored(message))),
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => {
                self.empty_or_gone().await
            }
            Err(error) => Err(failed(&error)),
        }
    }

    /// A feed without a message is new; it must not be taken for one when its stream is missing.
    async fn empty_or_gone(&self) -> Result<Option<StoredNotice>, FeedError> {
        match streams::find(&self.core.js, FEED).await {
            Ok(_) => Ok(None),
            Err(Missing::NotThere) => Err(failed("its stream is gone")),
            Err(Missing::NoJetStream(reason) | Missing::Unknown(reason)) => Err(failed(&reason)),
        }
    }

    /// Announces notices in this order right behind the feed's last sequence, or finds that another writer was quicker.
    ///
    /// # Errors
    /// [`FeedError`] when it is not known which of them were announced: some of the first, in order, and later perhaps more.
    pub async fn append(&self, expected_last: u64, notices: Vec<Notice>) -> Result<FeedOutcome, FeedError> {
        if self.core.is_away() {
            return Err(failed("there is no connection to NATS"));
        }
        if notices.len() < BATCH_FROM {
            return self.one_by_one(expected_last, notices).await;
        }
        let (mut last, mut batch, mut weight) = (expected_last, Vec::new(), 0);
        for notice in notices {
            if batch.len() == BATCH_MESSAGES || weight + notice.payload.len() > BATCH_BYTES {
                match self.as_batch(last, std::mem::take(&mut batch)).await? {
                    FeedOutcome::Appended { last: reached } => (last, weight) = (reached, 0),
                    FeedOutcome::LostRace => return Ok(FeedOutcome::LostRace),
                }
            }
            weight += notice.payload.len();
            batch.push(notice);
        }
        self.as_batch(last, batch).await
    }

    /// All are sent before the first answer is awaited; each expects the one before it, so a lost one stops those behind it.
    async fn one_by_one(&self, expected_last: u64, notices: Vec<Notice>) -> Result<FeedOutcome, FeedError> {
        let mut answers = Vec::with_capacity(notices.len());
        let mut last = expected_last;
        for notice in notices {
            let Outgoing { subject, headers, payload } = outgoing(notice, Some(last));
            let message = PublishMessage::build().headers(headers).payload(payload);
            answers.push(self.core.js.send_publish(subject, message).await.map_err(|error| failed(&error))?);
            last += 1;
        }
        let mut wanted = expected_last;
        for answer in answers {
            wanted += 1;
            match answer.await {
                // Somebody else wrote the same notice: in the same place it is as good as ours.
                Ok(ack) if ack.sequence == wanted => {}
                Ok(_) => return Ok(FeedOutcome::LostRace),
                Err(error) if lost(&error) => return Ok(FeedOutcome::LostRace),
                Err(error) => return Err(failed(&error)),
            }
        }
        Ok(FeedOutcome::Appended { last })
    }

    async fn as_batch(&self, expected_last: u64, notices: Vec<Notice>) -> Result<FeedOutcome, FeedError> {
        let messages = notices.into_iter().enumerate();
        let messages: Vec<Outgoing> =
            messages.map(|(nth, notice)| outgoing(notice, (nth == 0).then_some(expected_last))).collect();
        match publish_batch(&self.core.client, &self.core.next_batch_id(), messages).await {
            Sent::Stored(last) => Ok(FeedOutcome::Appended { last: last.get() }),
            Sent::Refused => Ok(FeedOutcome::LostRace),
            Sent::Unsent(reason) | Sent::Doubt(reason) => Err(failed(&reason)),
        }
    }
}

fn outgoing(notice: Notice, expected_last: Option<u64>) -> Outgoing {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE.0, CONTENT_TYPE.1);
    headers.insert(NATS_MESSAGE_ID, notice.id);
    if let Some(last) = expected_last {
        headers.insert(NATS_EXPECTED_LAST_SEQUENCE, last.to_string());
    }
    let subject = format!("{NOTICES_PREFIX}{}.{}.{}", notice.tenant, notice.kind, notice.key);
    Outgoing { subject, headers, payload: notice.payload }
}

fn stored(message: StreamMessage) -> StoredNotice {
    let id = message.headers.get(NATS_MESSAGE_ID).map(ToString::to_string).unwrap_or_default();
    StoredNotice {
        sequence: message.sequence,
        subject: message.subject.to_string(),
        id,
        payload: message.payload,
    }
}

/// Whether a publish was refused because the feed ends elsewhere. The client knows only one of the codes by name.
fn lost(error: &PublishError) -> bool {
    let refusal =
        std::error::Error::source(error).and_then(|source| source.downcast_ref::<jetstream::Error>());
    refusal.is_some_and(|refusal| is_stale(refusal.error_code()))
        || refusal.is_some_and(|refusal| refusal.error_code() == ErrorCode(10_158))
}

fn failed(error: &(impl ToString + ?Sized)) -> FeedError {
    FeedError { reason: error.to_string() }
}

fn no_answer() -> FeedError {
    failed(&format!("NATS did not answer within {} s", ANSWER_LIMIT.as_secs()))
}
