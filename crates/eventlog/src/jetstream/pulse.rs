//! The proof that this process still reaches a quorum: a message of its own, acknowledged, and the head read after that.

use async_nats::jetstream::message::PublishMessage;
use domain::Timestamp;
use tokio::time::{Instant, timeout};

use super::connect::ANSWER_LIMIT;
use super::log::Core;
use super::read::{silent, unavailable};
use super::streams::{PULSE, PULSE_PREFIX};
use crate::port::{Pulse, ReadError};

impl Core {
    /// The stream has the log's replicas, so its acknowledgement needs the same quorum. The stamp is the one that the server
    /// stored with the message.
    pub(super) async fn pulse(&self) -> Result<Pulse, ReadError> {
        if self.is_away() {
            return Err(unavailable("there is no connection to NATS"));
        }
        timeout(ANSWER_LIMIT, self.pulse_in_time()).await.map_err(|_| silent())?
    }

    async fn pulse_in_time(&self) -> Result<Pulse, ReadError> {
        let began = Instant::now();
        let subject = format!("{PULSE_PREFIX}{}", self.handle);
        let sent = self
            .js
            .send_publish(subject.clone(), PublishMessage::build())
            .await
            .map_err(|e| unavailable(&e))?;
        sent.await.map_err(|error| unavailable(&error))?;
        let stream = self.js.get_stream_no_info(PULSE).await.map_err(|error| unavailable(&error))?;
        // Ours, or that of a pulse of this handle right behind it, which is as good.
        let stored = stream.raw_message_builder().last_by_subject(subject).send();
        let (head, stored) = tokio::join!(self.head(), stored);
        let stored_at = stored.map_err(|error| unavailable(&error))?.time;
        let millis = u64::try_from(stored_at.unix_timestamp_nanos() / 1_000_000)
            .map_err(|_| unavailable("the NATS server's clock is before 1970"))?;
        Ok(Pulse { head: head?, stamp: Some(Timestamp::from_millis(millis)), took: began.elapsed() })
    }
}
