//! The stream of usage reports: bytes that every server adds and every server follows, kept as long as their details matter.

use std::sync::Arc;
use std::time::Duration;

use async_nats::header::{HeaderMap, NATS_MESSAGE_ID, NATS_ROLLUP};
use async_nats::jetstream::consumer::pull::{self, Config};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use thiserror::Error;
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::timeout;

use super::connect::ANSWER_LIMIT;
use super::log::Core;
use super::streams::{self, Missing, USAGE, USAGE_PREFIX};

/// One pull of reports: each may be near a megabyte, and there is one a second and server.
const PULL_BATCH: usize = 200;
/// How long one pull waits on the server.
const PULL_EXPIRES: Duration = Duration::from_secs(5);
/// The server speaks so often while there is nothing; two missed beats end a consumer.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The server forgets a consumer whose follower is gone after so long.
const CONSUMER_IDLE: Duration = Duration::from_secs(30);

/// The largest report, in bytes: below what every server takes as one message that can hold our events.
pub const REPORT_MAX: usize = 512 * 1024;

/// The stream of usage reports. A clone is the same handle.
///
/// **Kept.** Reports for 91 days or up to 1 GiB, the oldest go first; of reports that replace, only each run's last.
///
/// **Order.** The stream's own sequence, which has holes where reports were replaced.
#[derive(Clone, Debug)]
pub struct UsageStream {
    core: Arc<Core>,
}

/// Whether a report stays beside the next one of its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeping {
    /// It adds something.
    Stays,
    /// The next of its kind says all that it says.
    Replaces,
}

/// A report in the stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReport {
    /// Its place.
    pub sequence: u64,
    /// Its bytes.
    pub payload: Bytes,
}

/// Why the stream could not be read or written now. Publishing the same again is safe.
#[derive(Clone, Debug, Error)]
#[error("the stream of usage cannot be used now: {reason}")]
pub struct UsageStreamError {
    /// What went wrong, one lower-case clause.
    pub reason: String,
}

impl UsageStream {
    pub(super) fn new(core: Arc<Core>) -> Self {
        Self { core }
    }

    /// Which stream this is: another one under the same name has another identity, and its sequences mean nothing here.
    ///
    /// # Errors
    /// [`UsageStreamError`].
    pub async fn identity(&self) -> Result<String, UsageStreamError> {
        match streams::find(&self.core.js, USAGE).await {
            Ok(info) => Ok(format!("{USAGE}@{}", info.created.unix_timestamp_nanos())),
            Err(Missing::NotThere) => Err(failed("it is gone")),
            Err(Missing::NoJetStream(reason) | Missing::Unknown(reason)) => Err(failed(&reason)),
        }
    }

    /// Adds a report of a run. Acknowledged by as many servers as hold the log; with the same `id` it is added once as long
    /// as the stream remembers, and perhaps again later.
    ///
    /// # Errors
    /// [`UsageStreamError`]: it may be in the stream all the same.
    pub async fn publish(
        &self,
        run: &str,
        id: &str,
        keeping: Keeping,
        payload: Vec<u8>,
    ) -> Result<(), UsageStreamError> {
        if self.core.is_away() {
            return Err(failed("there is no connection to NATS"));
        }
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_ID, id);
        let subject = match keeping {
            Keeping::Stays => format!("{USAGE_PREFIX}{run}.sums"),
            Keeping::Replaces => {
                headers.insert(NATS_ROLLUP, "sub");
                format!("{USAGE_PREFIX}{run}.idle")
            }
        };
        let message = PublishMessage::build().headers(headers).payload(payload.into());
        let publish = async {
            let sent = self.core.js.send_publish(subject, message).await.map_err(|error| failed(&error))?;
            sent.await.map_err(|error| failed(&error))
        };
        timeout(ANSWER_LIMIT, publish).await.map_err(|_| failed("NATS did not answer in time"))??;
        Ok(())
    }

    /// Follows the stream behind a place: what is there, then what comes.
    ///
    /// # Errors
    /// [`UsageStreamError`].
    pub async fn follow(&self, after: u64) -> Result<UsageFollower, UsageStreamError> {
        let mut connects = self.core.connects.clone();
        connects.mark_unchanged();
        let config = Config {
            deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after + 1 },
            ack_policy: AckPolicy::None,
            memory_storage: true,
            inactive_threshold: CONSUMER_IDLE,
            ..Config::default()
        };
        let stream = self.core.js.get_stream_no_info(USAGE).await.map_err(|error| failed(&error))?;
        let consumer = stream.create_consumer(config).await.map_err(|error| failed(&error))?;
        let pull =
            consumer.stream().max_messages_per_batch(PULL_BATCH).expires(PULL_EXPIRES).heartbeat(HEARTBEAT);
        let messages = pull.messages().await.map_err(|error| failed(&error))?;
        Ok(UsageFollower { messages, connects, delivered: 0 })
    }
}

/// One reader of the stream. After an error it is of no more use: follow again from the last report that was taken in.
pub struct UsageFollower {
    messages: pull::Stream,
    /// A new connection may have lost what the old one carried, so a follower never outlives its connection.
    connects: watch::Receiver<u64>,
    /// The consumer's own count, which has no holes: one that is missing was lost on the way.
    delivered: u64,
}

impl UsageFollower {
    /// Waits for the next reports, in order. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// [`UsageStreamError`] when the consumer has ended or something was lost on the way.
    pub async fn next(&mut self) -> Result<Vec<StoredReport>, UsageStreamError> {
        let mut reports = vec![self.receive().await?];
        while reports.len() < PULL_BATCH {
            match unconstrained(self.receive()).now_or_never() {
                Some(Ok(report)) => reports.push(report),
                // Trouble is met again by the next call, after what has come is taken in.
                Some(Err(error)) => {
                    tracing::debug!(%error, "reports of usage broke off");
                    self.delivered = u64::MAX;
                    break;
                }
                None => break,
            }
        }
        Ok(reports)
    }

    async fn receive(&mut self) -> Result<StoredReport, UsageStreamError> {
        let message = tokio::select! {
            biased;
            _ = self.connects.changed() => return Err(failed("the connection to NATS was made anew")),
            message = self.messages.next() => message,
        };
        let message = message.ok_or_else(|| failed("its consumer has ended"))?;
        let message = message.map_err(|error| failed(&error))?;
        let info = message.info().map_err(|error| failed(&error))?;
        let (sequence, nth) = (info.stream_sequence, info.consumer_sequence);
        if nth != self.delivered.wrapping_add(1) {
            return Err(failed("a report was lost on the way"));
        }
        self.delivered = nth;
        Ok(StoredReport { sequence, payload: message.message.payload.clone() })
    }
}

fn failed(error: &(impl ToString + ?Sized)) -> UsageStreamError {
    UsageStreamError { reason: error.to_string() }
}
