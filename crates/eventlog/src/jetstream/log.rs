//! The log's handle: what all its parts share, and the port's methods.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_nats::Client;
use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::stream::Stream;
use async_trait::async_trait;
use domain::{LogId, Position};
use tokio::sync::watch;

use super::connect::ConnectError;
use super::follow::JetStreamFollower;
use super::read::unavailable;
use super::streams::{self, LOG, Missing};
use super::tails::Tails;
use super::writer::Writer;
use crate::port::{
    AppendError, Durability, EventLog, Follower, Outcome, Pulse, ReadError, Recorded, StreamId, Unit,
};

/// What the parts of one handle share. Everything in it is either immutable or locked for an instant.
pub(super) struct Core {
    pub(super) client: Client,
    pub(super) js: Context,
    pub(super) log: Stream<()>,
    pub(super) log_id: LogId,
    /// How many servers hold the log.
    pub(super) replicas: usize,
    pub(super) durability: Durability,
    /// Drawn anew by every handle: names its pulse and its batches.
    pub(super) handle: Box<str>,
    /// Grows with every connection made.
    pub(super) connects: watch::Receiver<u64>,
    batches: AtomicU64,
    tails: Mutex<Tails>,
}

impl Core {
    pub(super) async fn new(
        client: Client,
        js: Context,
        log_id: LogId,
        replicas: usize,
        durability: Durability,
        connects: watch::Receiver<u64>,
    ) -> Result<Self, ConnectError> {
        let log = js
            .get_stream_no_info(LOG)
            .await
            .map_err(|error| ConnectError::Stream { stream: LOG.to_owned(), reason: error.to_string() })?;
        let inbox = client.new_inbox();
        let handle = inbox.rsplit('.').next().unwrap_or(&inbox).into();
        let (batches, tails) = (AtomicU64::new(0), Mutex::default());
        Ok(Self { client, js, log, log_id, replicas, durability, handle, connects, batches, tails })
    }

    /// Whether it is known that nothing sent now would arrive soon.
    pub(super) fn is_away(&self) -> bool {
        self.client.connection_state() != State::Connected
    }

    pub(super) fn next_batch_id(&self) -> String {
        format!("{}-{}", self.handle, self.batches.fetch_add(1, Ordering::Relaxed))
    }

    /// Remembers that a stream has reached at least this position.
    pub(super) fn note(&self, stream: &StreamId, position: Position) {
        self.tails.lock().unwrap_or_else(PoisonError::into_inner).note(stream, position);
    }

    /// Whether a unit is known to come too late. It may stand already all the same.
    pub(super) fn is_overtaken(&self, unit: &Unit) -> bool {
        let tails = self.tails.lock().unwrap_or_else(PoisonError::into_inner);
        unit.writes.iter().any(|write| tails.at_least(&write.stream) > write.expected)
    }

    /// Where the log ends, from its leader; unavailable too if another history stands in its place.
    pub(super) async fn head(&self) -> Result<Position, ReadError> {
        let info = streams::find(&self.js, LOG).await.map_err(|missing| match missing {
            Missing::NotThere => unavailable(&format!("stream {LOG} is gone")),
            Missing::NoJetStream(reason) | Missing::Unknown(reason) => unavailable(&reason),
        })?;
        match streams::log_id(&info) {
            Some(log_id) if log_id == self.log_id => Ok(Position::new(info.state.last_sequence)),
            _ => Err(unavailable(&format!("stream {LOG} holds another history now; start again"))),
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core")
            .field("log_id", &self.log_id)
            .field("replicas", &self.replicas)
            .finish_non_exhaustive()
    }
}

/// The log on NATS JetStream. See the module for how it keeps the contract.
#[derive(Debug)]
pub struct JetStreamLog {
    core: Arc<Core>,
    writer: Writer,
}

impl JetStreamLog {
    pub(super) fn start(core: Arc<Core>) -> Self {
        Self { writer: Writer::start(Arc::clone(&core)), core }
    }

    pub(super) fn core(&self) -> &Core {
        &self.core
    }

    pub(super) fn shared_core(&self) -> Arc<Core> {
        Arc::clone(&self.core)
    }

    pub(super) async fn shutdown(&self) {
        self.writer.close().await;
        if let Err(error) = self.core.client.drain().await {
            tracing::debug!(%error, "the connection to NATS was closed already");
        }
    }
}

#[async_trait]
impl EventLog for JetStreamLog {
    fn log_id(&self) -> LogId {
        self.core.log_id
    }

    fn durability(&self) -> Durability {
        self.core.durability.clone()
    }

    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError> {
        unit.check()?;
        self.writer.append(unit).await
    }

    async fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError> {
        self.core.read_after(stream, after).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.core.head().await
    }

    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        Ok(Box::new(JetStreamFollower::open(Arc::clone(&self.core), after).await?))
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        self.core.pulse().await
    }
}
