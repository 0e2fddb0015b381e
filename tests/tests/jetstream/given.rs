//! What the cases speak in: handles, units and outcomes that read as one line.

use std::time::Duration;

use bytes::Bytes;
use domain::{EventId, LogId, Position};
use eventlog::jetstream::{JetStream, JetStreamConfig, JetStreamLog};
use eventlog::{
    AppendError, EventLog, Follower, NewEvent, Outcome, Queue, Recorded, StreamId, StreamWrite, Unit,
};
use tests::nats::NatsServer;
use tokio::time::{sleep, timeout};

/// Longer than anything here may take on a loaded machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn config(url: String, replicas: usize, log_id: u128) -> JetStreamConfig {
    let new_log_id = LogId::from_u128(log_id);
    JetStreamConfig { url, creds: None, nkey: None, ca: None, replicas, new_log_id, monitor_url: None }
}

pub(crate) async fn connect(server: &NatsServer) -> JetStream {
    JetStream::connect(config(server.url(), 1, 1)).await.unwrap()
}

pub(crate) fn stream(name: &str) -> StreamId {
    name.parse().unwrap()
}

pub(crate) fn event(id: u128) -> NewEvent {
    NewEvent { id: EventId::from_u128(id), payload: Bytes::from(format!("event {id}")) }
}

pub(crate) fn one(name: &str, expected: u64, id: u128) -> Unit {
    Unit::single(stream(name), Position::new(expected), event(id), Queue::Normal)
}

pub(crate) fn several<const N: usize>(name: &str, expected: u64, ids: [u128; N]) -> Unit {
    let events = ids.into_iter().map(event).collect();
    let write = StreamWrite { stream: stream(name), expected: Position::new(expected), events };
    Unit { writes: vec![write], queue: Queue::Normal }
}

pub(crate) async fn append(log: &JetStreamLog, unit: Unit) -> Outcome {
    timeout(PATIENCE, log.append(unit)).await.expect("an append ends").unwrap()
}

/// Sends the identical unit until its outcome is known, as whoever is left in doubt must.
pub(crate) async fn append_at_last(log: &JetStreamLog, unit: Unit) -> Outcome {
    let until_known = async {
        loop {
            match log.append(unit.clone()).await {
                Ok(outcome) => return outcome,
                Err(AppendError::DidNotHappen { .. } | AppendError::MayHaveHappened { .. }) => {
                    sleep(Duration::from_millis(5)).await;
                }
            }
        }
    };
    timeout(PATIENCE, until_known).await.expect("the log comes back")
}

pub(crate) fn appended(positions: &[u64]) -> Outcome {
    Outcome::Appended { positions: positions.iter().copied().map(Position::new).collect() }
}

#[track_caller]
pub(crate) fn written(outcome: Outcome) {
    assert!(matches!(outcome, Outcome::Appended { .. }), "not written: {outcome:?}");
}

pub(crate) fn conflict(name: &str, actual: u64) -> Outcome {
    Outcome::Conflict { stream: stream(name), actual: Position::new(actual) }
}

pub(crate) async fn take(follower: &mut dyn Follower, until: u64) -> Vec<Recorded> {
    let mut events: Vec<Recorded> = Vec::new();
    while events.last().is_none_or(|event| event.position.get() < until) {
        events.extend(timeout(PATIENCE, follower.next()).await.expect("events come").unwrap());
    }
    events
}

/// The whole log, checked to be without a hole.
pub(crate) async fn everything(log: &JetStreamLog) -> Vec<Recorded> {
    let mut head = 0;
    eventually("the log tells its head", async || match log.head().await {
        Ok(found) => {
            head = found.get();
            true
        }
        Err(_) => false,
    })
    .await;
    if head == 0 {
        return Vec::new();
    }
    let events = take(&mut *log.follow(Position::NONE).await.unwrap(), head).await;
    for (event, position) in events.iter().zip(1..) {
        assert_eq!(event.position, Position::new(position));
    }
    events
}

pub(crate) fn ids(events: &[Recorded]) -> Vec<u128> {
    events.iter().map(|event| event.id.to_u128()).collect()
}

/// Looks again and again until something holds.
pub(crate) async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !holds().await {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(PATIENCE, wait).await.unwrap_or_else(|_| panic!("{what} never happened"));
}

/// A client that is not ours, to look from outside.
pub(crate) async fn outsider(url: &str) -> async_nats::jetstream::Context {
    let servers: Vec<&str> = url.split(',').collect();
    let client = async_nats::ConnectOptions::new().connect(&servers[..]).await.unwrap();
    async_nats::jetstream::new(client)
}

/// How many messages of a stream were written in atomic batches, and in how many.
pub(crate) async fn batched(url: &str, name: &str) -> (usize, usize) {
    let stream = outsider(url).await.get_stream(name).await.unwrap();
    let last = stream.cached_info().state.last_sequence;
    let (mut messages, mut batches) = (0, std::collections::HashSet::new());
    for sequence in 1..=last {
        let message = stream.get_raw_message(sequence).await.unwrap();
        if let Some(batch) = message.headers.get("Nats-Batch-Id") {
            messages += 1;
            batches.insert(batch.to_string());
        }
    }
    (messages, batches.len())
}
