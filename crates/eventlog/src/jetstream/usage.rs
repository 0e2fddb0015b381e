//! The stream of usage reports: bytes that every server adds and every server follows, kept as long as their details matter.

use std::sync::Arc;

use async_nats::header::{HeaderMap, NATS_MESSAGE_ID, NATS_ROLLUP};
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use thiserror::Error;
use tokio::time::timeout;

use super::connect::ANSWER_LIMIT;
use super::log::Core;
use super::reader::Reader;
use super::streams::{self, Missing, USAGE, USAGE_PREFIX};

/// One pull of reports: each may be near a megabyte, and there is one a second and server.
const PULL_BATCH: usize = 200;

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
    /// The same, of what somebody else says of the run: what the run itself said stays.
    Beside,
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
            Keeping::Beside => {
                headers.insert(NATS_ROLLUP, "sub");
                format!("{USAGE_PREFIX}{run}.said")
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
        let policy = DeliverPolicy::ByStartSequence { start_sequence: after + 1 };
        let reader = Reader::open(&self.core, USAGE, (policy, None), PULL_BATCH).await;
        Ok(UsageFollower { reader: reader.map_err(|error| failed(&error))? })
    }
}

/// One reader of the stream. After an error it is of no more use: follow again from the last report that was taken in.
pub struct UsageFollower {
    reader: Reader,
}

impl UsageFollower {
    /// Waits for the next reports, in order. Dropping the wait loses nothing.
    ///
    /// # Errors
    /// [`UsageStreamError`] when the consumer has ended or something was lost on the way.
    pub async fn next(&mut self) -> Result<Vec<StoredReport>, UsageStreamError> {
        let messages = self.reader.next().await.map_err(|error| failed(&error))?;
        let reports = messages.into_iter();
        Ok(reports.map(|one| StoredReport { sequence: one.sequence, payload: one.message.payload }).collect())
    }
}

fn failed(error: &(impl ToString + ?Sized)) -> UsageStreamError {
    UsageStreamError { reason: error.to_string() }
}
