//! Raw JetStream: the same bytes published to as many subjects, and pulled.

use std::time::Duration;

use async_nats::HeaderMap;
use async_nats::jetstream::Context;
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, pull};
use async_nats::jetstream::stream::{Config, StorageType};
use bytes::Bytes;
use futures_util::StreamExt;
use serde_json::Value;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use crate::rush::Failure;

/// The floor's own stream.
pub(crate) const STREAM: &str = "BARE";
/// As quick as a pull becomes: measured beside smaller batches.
const PULL_BATCH: usize = 5_000;
const PULL_WITHIN: Duration = Duration::from_secs(60);

/// How messages are published.
#[derive(Clone, Copy)]
pub(crate) enum Publishing {
    /// So many at once, each acknowledged by itself.
    Singles(usize),
    /// Atomic batches of so many, one after the other.
    Batches(usize),
}

/// A stream of messages of one size, each with a subject of its own, as keys have.
pub(crate) struct RawStream {
    js: Context,
    payload: Bytes,
    sent: usize,
}

impl RawStream {
    pub(crate) async fn create(js: Context, replicas: usize, payload_bytes: usize) -> Result<Self, Failure> {
        let config = Config {
            name: STREAM.to_owned(),
            subjects: vec!["bare.*".to_owned()],
            storage: StorageType::File,
            num_replicas: replicas,
            allow_atomic_publish: true,
            ..Config::default()
        };
        js.create_stream(config).await?;
        Ok(Self { js, payload: vec![b'x'; payload_bytes].into(), sent: 0 })
    }

    /// Messages a second, all acknowledged.
    pub(crate) async fn publish(&mut self, messages: usize, how: Publishing) -> Result<f64, Failure> {
        let (first, began) = (self.sent, Instant::now());
        self.sent += messages;
        match how {
            Publishing::Singles(width) => {
                let mut callers = JoinSet::new();
                for caller in 0..width.min(messages) {
                    let (js, payload) = (self.js.clone(), self.payload.clone());
                    callers.spawn(async move {
                        for n in (first + caller..first + messages).step_by(width) {
                            js.publish(format!("bare.{n}"), payload.clone()).await?.await?;
                        }
                        Ok::<_, Failure>(())
                    });
                }
                while let Some(ended) = callers.join_next().await {
                    ended??;
                }
            }
            Publishing::Batches(size) => {
                for from in (first..first + messages).step_by(size) {
                    self.batch(from, size.min(first + messages - from)).await?;
                }
            }
        }
        Ok(messages as f64 / began.elapsed().as_secs_f64())
    }

    /// The first and the last message are requests: a refusal at the start ends it, and the last answer is for all.
    async fn batch(&self, from: usize, size: usize) -> Result<(), Failure> {
        let client = self.js.client();
        for nth in 1..=size {
            let mut headers = HeaderMap::new();
            headers.insert("Nats-Batch-Id", format!("batch-{from}"));
            headers.insert("Nats-Batch-Sequence", nth.to_string());
            if nth == size {
                headers.insert("Nats-Batch-Commit", "1");
            }
            let (subject, payload) = (format!("bare.{}", from + nth - 1), self.payload.clone());
            if nth > 1 && nth < size {
                client.publish_with_headers(subject, headers, payload).await?;
                continue;
            }
            let answer = client.request_with_headers(subject, headers, payload).await?.payload;
            if nth == size {
                let answer: Value = serde_json::from_slice(&answer)?;
                if answer["count"].as_u64() != Some(size as u64) {
                    return Err(format!("a batch was not stored: {answer}").into());
                }
            }
        }
        Ok(())
    }

    /// Messages a second, all of them, in order.
    pub(crate) async fn pull(&self) -> Result<f64, Failure> {
        let config = pull::Config {
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::None,
            memory_storage: true,
            ..pull::Config::default()
        };
        let began = Instant::now();
        let consumer = self.js.get_stream(STREAM).await?.create_consumer(config).await?;
        let mut messages = consumer.stream().max_messages_per_batch(PULL_BATCH).messages().await?;
        for n in 0..self.sent {
            let message = timeout(PULL_WITHIN, messages.next()).await?.ok_or("the pull ended")??;
            if message.payload.len() != self.payload.len() {
                return Err(format!("message {n} is not what was published").into());
            }
        }
        Ok(self.sent as f64 / began.elapsed().as_secs_f64())
    }
}
