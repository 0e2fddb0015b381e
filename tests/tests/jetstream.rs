//! The log on real NATS servers: the contract on one node and on three, and what only a server can do to us.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{EventId, LogId, Position};
use eventlog::jetstream::{
    ConnectError, FeedOutcome, JetStream, JetStreamConfig, JetStreamLog, Notice, NoticeFeed,
};
use eventlog::{
    AppendError, Durability, EventLog, Follower, LogPlace, NewEvent, Outcome, Queue, ReadError, Recorded,
    SealStore, StreamId, StreamWrite, Unit, conformance, conformance_of_seals,
};
use futures_util::future::join_all;
use tests::nats::{NatsCluster, NatsServer, NatsSetup};
use tokio::time::{Instant, timeout};

/// Longer than anything here may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(60);

fn config(url: String, replicas: usize, log_id: u128) -> JetStreamConfig {
    let new_log_id = LogId::from_u128(log_id);
    JetStreamConfig { url, creds: None, ca: None, replicas, new_log_id, monitor_url: None }
}

async fn connect(server: &NatsServer) -> JetStream {
    JetStream::connect(config(server.url(), 1, 1)).await.unwrap()
}

fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

fn event(id: u128) -> NewEvent {
    NewEvent { id: EventId::from_u128(id), payload: Bytes::from(format!("event {id}")) }
}

fn one(name: &str, expected: u64, id: u128) -> Unit {
    Unit::single(stream(name), Position::new(expected), event(id), Queue::Normal)
}

async fn append(log: &JetStreamLog, unit: Unit) -> Outcome {
    timeout(PATIENCE, log.append(unit)).await.expect("an append ends").unwrap()
}

fn appended(positions: &[u64]) -> Outcome {
    Outcome::Appended { positions: positions.iter().copied().map(Position::new).collect() }
}

fn conflict(name: &str, actual: u64) -> Outcome {
    Outcome::Conflict { stream: stream(name), actual: Position::new(actual) }
}

async fn take(follower: &mut dyn Follower, until: u64) -> Vec<Recorded> {
    let mut events: Vec<Recorded> = Vec::new();
    while events.last().is_none_or(|event| event.position.get() < until) {
        events.extend(timeout(PATIENCE, follower.next()).await.expect("events come").unwrap());
    }
    events
}

/// The whole log, checked to be without a hole.
async fn everything(log: &JetStreamLog) -> Vec<Recorded> {
    let head = log.head().await.unwrap().get();
    if head == 0 {
        return Vec::new();
    }
    let events = take(&mut *log.follow(Position::NONE).await.unwrap(), head).await;
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position, Position::new(position));
    }
    events
}

/// A case's log on a server that all cases share: its streams go when the case is done.
struct Place {
    config: JetStreamConfig,
    open: Vec<JetStream>,
}

impl Place {
    async fn fresh(url: String, replicas: usize) -> Self {
        wipe(&url).await;
        Self { config: config(url, replicas, 7), open: Vec::new() }
    }
}

async fn wipe(url: &str) {
    let servers: Vec<&str> = url.split(',').collect();
    let client = async_nats::ConnectOptions::new().connect(&servers[..]).await.unwrap();
    let js = async_nats::jetstream::new(client);
    for stream in ["RESCIND_LOG", "RESCIND_PULSE", "RESCIND_FEED", "KV_RESCIND_SEALS"] {
        let _ = js.delete_stream(stream).await;
    }
}

#[async_trait]
impl LogPlace for Place {
    async fn open(&mut self) -> Arc<dyn EventLog> {
        let opened = JetStream::connect(self.config.clone()).await.unwrap();
        self.open.push(opened.clone());
        opened.log
    }

    async fn close(&mut self) {
        for opened in self.open.drain(..) {
            opened.shutdown().await;
        }
    }
}

async fn two_seal_stores(config: JetStreamConfig) -> [Arc<dyn SealStore>; 2] {
    wipe(&config.url).await;
    let first = JetStream::connect(config.clone()).await.unwrap();
    let second = JetStream::connect(config).await.unwrap();
    [Arc::new(first.seals), Arc::new(second.seals)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_on_one_server() {
    let server = NatsServer::start().await;
    conformance(async || Place::fresh(server.url(), 1).await).await;
    conformance_of_seals(async || two_seal_stores(config(server.url(), 1, 7)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_on_three_servers() {
    let cluster = NatsCluster::start(3).await;
    conformance(async || Place::fresh(cluster.url(), 3).await).await;
    conformance_of_seals(async || two_seal_stores(config(cluster.url(), 3, 7)).await).await;
}
