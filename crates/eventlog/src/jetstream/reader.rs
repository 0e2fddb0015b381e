//! Reads a stream with a consumer that keeps nothing on the server. What is lost on the way is noticed, and ends the reader.

use std::time::Duration;

use async_nats::Message;
use async_nats::jetstream::consumer::pull::{self, Config, MessagesErrorKind};
use async_nats::jetstream::consumer::{AckPolicy, Consumer, DeliverPolicy};
use futures_util::{FutureExt, StreamExt};
use tokio::sync::watch;
use tokio::task::unconstrained;
use tokio::time::{Instant, sleep};

use super::log::Core;

/// How long one pull waits on the server.
const PULL_EXPIRES: Duration = Duration::from_secs(5);
/// The server speaks so often while there is nothing; two missed beats end a consumer.
const HEARTBEAT: Duration = Duration::from_secs(1);
/// The server forgets a consumer whose reader is gone after so long.
const CONSUMER_IDLE: Duration = Duration::from_secs(30);
/// A consumer that one server of a cluster has just made is not at once known at the others: so long its pulls are repeated.
const FOUND_WITHIN: Duration = Duration::from_secs(5);
/// The wait between two of these pulls.
const PULL_AGAIN: Duration = Duration::from_millis(20);

/// One reader. After an error it is of no more use.
pub(super) struct Reader {
    consumer: Consumer<Config>,
    messages: pull::Stream,
    opened: Instant,
    /// A new connection may have lost what the old one carried, so a reader never outlives its connection.
    connects: watch::Receiver<u64>,
    /// The consumer's own count, which has no holes: one that is missing was lost on the way.
    delivered: u64,
    /// The most that one call hands out.
    batch: usize,
    /// How many messages there were when it was opened.
    pub(super) pending: u64,
}

/// A message of the stream.
pub(super) struct Delivered {
    /// Its place.
    pub(super) sequence: u64,
    /// How many were behind it when it was sent.
    pub(super) pending: u64,
    pub(super) message: Message,
}

impl Reader {
    /// A subject where the policy is by subject. A batch is what one pull asks for: many small messages, or few large ones.
    pub(super) async fn open(
        core: &Core,
        stream: &str,
        (deliver_policy, subject): (DeliverPolicy, Option<&str>),
        batch: usize,
    ) -> Result<Self, String> {
        let mut connects = core.connects.clone();
        connects.mark_unchanged();
        let config = Config {
            deliver_policy,
            filter_subject: subject.unwrap_or_default().to_owned(),
            ack_policy: AckPolicy::None,
            memory_storage: true,
            inactive_threshold: CONSUMER_IDLE,
            ..Config::default()
        };
        let stream = core.js.get_stream_no_info(stream).await.map_err(|error| error.to_string())?;
        let consumer = stream.create_consumer(config).await.map_err(|error| error.to_string())?;
        let pending = consumer.cached_info().num_pending;
        let messages = pull(&consumer, batch).await?;
        Ok(Self { consumer, messages, opened: Instant::now(), connects, delivered: 0, batch, pending })
    }

    /// Waits for the next messages, in order. Dropping the wait loses nothing.
    pub(super) async fn next(&mut self) -> Result<Vec<Delivered>, String> {
        let mut messages = vec![self.receive().await?];
        while messages.len() < self.batch {
            match unconstrained(self.receive()).now_or_never() {
                Some(Ok(message)) => messages.push(message),
                // Trouble is met again by the next call, after what has come is taken in.
                Some(Err(error)) => {
                    tracing::debug!(%error, "a reader broke off");
                    self.delivered = u64::MAX;
                    break;
                }
                None => break,
            }
        }
        Ok(messages)
    }

    async fn receive(&mut self) -> Result<Delivered, String> {
        let message = loop {
            let message = tokio::select! {
                biased;
                _ = self.connects.changed() => return Err("the connection to NATS was made anew".to_owned()),
                message = self.messages.next() => message,
            };
            match message.ok_or("its consumer has ended")? {
                Ok(message) => break message,
                Err(error) if error.kind() == MessagesErrorKind::NoResponders && self.is_new() => {
                    sleep(PULL_AGAIN).await;
                    self.messages = pull(&self.consumer, self.batch).await?;
                }
                Err(error) => return Err(error.to_string()),
            }
        };
        let info = message.info().map_err(|error| error.to_string())?;
        let (sequence, pending, nth) = (info.stream_sequence, info.pending, info.consumer_sequence);
        if nth != self.delivered.wrapping_add(1) {
            return Err("a message was lost on the way".to_owned());
        }
        self.delivered = nth;
        Ok(Delivered { sequence, pending, message: message.message })
    }

    fn is_new(&self) -> bool {
        self.delivered == 0 && self.opened.elapsed() < FOUND_WITHIN
    }
}

async fn pull(consumer: &Consumer<Config>, batch: usize) -> Result<pull::Stream, String> {
    let pull = consumer.stream().max_messages_per_batch(batch).expires(PULL_EXPIRES).heartbeat(HEARTBEAT);
    pull.messages().await.map_err(|error| error.to_string())
}
