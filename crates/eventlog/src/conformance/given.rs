//! What the cases speak in: streams, events and units that read as one line.

use std::time::Duration;

use bytes::Bytes;
use domain::{EventId, Position};

use crate::port::{EventLog, Follower, NewEvent, Outcome, Queue, Recorded, StreamId, StreamWrite, Unit};

/// How long a case waits for anything before it fails: far above what a slow machine with a cluster on it needs.
const PATIENCE: Duration = Duration::from_secs(60);

pub(super) const NONE: Position = Position::NONE;

pub(super) fn at(n: u64) -> Position {
    Position::new(n)
}

pub(super) fn stream(name: &str) -> StreamId {
    name.parse().expect("cases name streams that parse")
}

/// The event with this id; its payload tells the id, so that a mix-up shows.
pub(super) fn event(id: u128) -> NewEvent {
    NewEvent { id: EventId::from_u128(id), payload: Bytes::from(format!("event {id}")) }
}

pub(super) fn write(name: &str, expected: Position, ids: &[u128]) -> StreamWrite {
    StreamWrite { stream: stream(name), expected, events: ids.iter().map(|&id| event(id)).collect() }
}

pub(super) fn unit<const N: usize>(writes: [StreamWrite; N]) -> Unit {
    Unit { writes: writes.into(), queue: Queue::Normal }
}

pub(super) fn one(name: &str, expected: Position, id: u128) -> Unit {
    Unit::single(stream(name), expected, event(id), Queue::Normal)
}

pub(super) async fn send(log: &dyn EventLog, unit: Unit) -> Outcome {
    bounded("an append", log.append(unit)).await.expect("the log can be written")
}

/// Appends what must be appended and answers its positions as numbers.
#[track_caller]
pub(super) fn appended(outcome: Outcome) -> Vec<u64> {
    match outcome {
        Outcome::Appended { positions } => positions.into_iter().map(Position::get).collect(),
        Outcome::Conflict { stream, actual } => panic!("not appended: stream {stream} is at {actual}"),
    }
}

pub(super) fn conflict(name: &str, actual: u64) -> Outcome {
    Outcome::Conflict { stream: stream(name), actual: at(actual) }
}

pub(super) async fn read(log: &dyn EventLog, name: &str, after: Position) -> Vec<Recorded> {
    bounded("a read", log.read_stream(&stream(name), after)).await.expect("the log can be read")
}

pub(super) async fn head(log: &dyn EventLog) -> u64 {
    bounded("the head", log.head()).await.expect("the log can be read").get()
}

pub(super) async fn follow(log: &dyn EventLog, after: Position) -> Box<dyn Follower> {
    bounded("a follow", log.follow(after)).await.expect("the log can be followed")
}

/// The next events up to and with position `until`, checked to be without a hole.
pub(super) async fn take_until(follower: &mut dyn Follower, after: Position, until: u64) -> Vec<Recorded> {
    let mut taken: Vec<Recorded> = Vec::new();
    while taken.last().map_or(after, |event| event.position).get() < until {
        let batch = bounded("the follower", follower.next()).await.expect("the log can be followed");
        assert!(!batch.is_empty(), "a follower answers at least one event");
        for event in batch {
            let before = taken.last().map_or(after, |event| event.position);
            assert_eq!(event.position, before.next(), "a follower leaves no hole");
            taken.push(event);
        }
    }
    taken
}

/// The whole log as a follower sees it.
pub(super) async fn everything(log: &dyn EventLog) -> Vec<Recorded> {
    let head = head(log).await;
    take_until(&mut *follow(log, NONE).await, NONE, head).await
}

pub(super) fn ids(events: &[Recorded]) -> Vec<u128> {
    events.iter().map(|event| event.id.to_u128()).collect()
}

pub(super) fn positions(events: &[Recorded]) -> Vec<u64> {
    events.iter().map(|event| event.position.get()).collect()
}

/// A case that hangs fails.
pub(super) async fn bounded<T>(what: &str, wait: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, wait).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {PATIENCE:?}"),
    }
}
