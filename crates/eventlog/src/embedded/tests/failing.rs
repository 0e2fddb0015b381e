//! Disks that fill up and disks that fail to sync, under a running log.

use std::time::Duration;

use bytes::Bytes;
use domain::EventId;
use futures_util::FutureExt;

use super::disk::Disk;
use super::*;
use crate::port::{NewEvent, Queue};

const PATIENCE: Duration = Duration::from_secs(30);

fn stream() -> StreamId {
    "acme.list".parse().unwrap()
}

fn unit(number: u64) -> Unit {
    let event = NewEvent { id: EventId::from_u128(u128::from(number)), payload: Bytes::from(vec![7; 2000]) };
    Unit::single(stream(), Position::new(number - 1), event, Queue::Normal)
}

fn open(disk: &Disk) -> EmbeddedLog {
    EmbeddedLog::open_with_backend(Path::new("disk"), disk.storage(), LogId::from_u128(7)).unwrap()
}

/// Asks again until it is so.
async fn until<T, E: fmt::Display>(what: &str, ask: impl AsyncFn() -> Result<T, E>) -> T {
    let asking = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        loop {
            ticks.tick().await;
            if let Ok(value) = ask().await {
                return value;
            }
        }
    };
    tokio::time::timeout(PATIENCE, asking).await.unwrap_or_else(|_| panic!("{what} never came"))
}

#[tokio::test]
async fn a_full_disk_is_said_and_heals() {
    let disk = Disk::default();
    let log = open(&disk);
    let mut follower = log.follow(Position::NONE).await.unwrap();
    disk.leave_blocks(Some(60));
    let mut number = 0;
    let error = loop {
        number += 1;
        match log.append(unit(number)).await {
            Ok(_) => assert_eq!(follower.next().await.unwrap().len(), 1),
            Err(error) => break error,
        }
    };
    assert!(number > 5, "the disk was full at once");
    assert!(matches!(error, AppendError::MayHaveHappened { .. }), "{error}");

    let events = until("a read", async || log.read_stream(&stream(), Position::NONE).await).await;
    assert!((events.len() as u64) + 1 >= number, "an acknowledged event is gone");
    until("a pulse", async || log.pulse().await).await;
    let error = log.append(unit(number)).await.unwrap_err();
    assert!(matches!(&error, AppendError::DidNotHappen { reason } if reason.contains("disk")), "{error}");

    disk.leave_blocks(None);
    let outcome = until("an append", async || log.append(unit(number)).await).await;
    assert_eq!(outcome, Outcome::Appended { positions: vec![Position::new(number)] });
    assert_eq!(follower.next().await.unwrap()[0].position, Position::new(number), "a follower goes on");
    drop(log);
    assert_eq!(open(&disk).head().await.unwrap(), Position::new(number));
}

#[tokio::test]
async fn after_a_failed_sync_nothing_is_believed_until_a_restart() {
    let disk = Disk::default();
    let log = open(&disk);
    let _ = log.append(unit(1)).await.unwrap();
    disk.fail_syncs(true);
    let error = log.append(unit(2)).await.unwrap_err();
    assert!(matches!(error, AppendError::MayHaveHappened { .. }), "{error}");
    disk.fail_syncs(false);
    // From the moment the answer is told the log is shut or about to be.
    until("the log is shut", async || match log.append(unit(2)).await {
        Err(AppendError::DidNotHappen { reason }) if reason.contains("restart") => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    log.pulse().await.unwrap_err();
    log.read_stream(&stream(), Position::NONE).await.unwrap_err();
    drop(log);
    let log = open(&disk);
    let outcome = log.append(unit(2)).await.unwrap();
    assert_eq!(outcome, Outcome::Appended { positions: vec![Position::new(2)] });
}

#[tokio::test]
async fn a_full_queue_is_said_at_once() {
    let log = open(&Disk::default());
    // Nobody writes: the writer waits for the lock that a reader of the heads' lock holds against it.
    let held = log.shared().heads.write().unwrap();
    let mut waiting = Vec::new();
    let mut refused = None;
    for number in 0..20_000_u64 {
        let event = NewEvent { id: EventId::from_u128(u128::from(number)), payload: Bytes::new() };
        let stream = format!("acme.list-{number}").parse().unwrap();
        let (log, unit) = (log.clone(), Unit::single(stream, Position::NONE, event, Queue::Background));
        let mut sending = Box::pin(async move { log.append(unit).await });
        if let Some(outcome) = (&mut sending).now_or_never() {
            refused = Some(outcome);
            break;
        }
        waiting.push(sending);
    }
    let error = refused.expect("the queue has a bound").unwrap_err();
    assert!(matches!(&error, AppendError::DidNotHappen { reason } if reason.contains("wait")), "{error}");
    drop(held);
    for outcome in futures_util::future::join_all(waiting).await {
        assert!(matches!(outcome, Ok(Outcome::Appended { .. })), "{outcome:?}");
    }
}

#[tokio::test]
async fn urgent_units_go_before_those_that_came_first() {
    let log = open(&Disk::default());
    let held = log.shared().heads.write().unwrap();
    let mut waiting = Vec::new();
    // More than one commit of the others, and the first commit is under way already.
    for number in 0..3000_u64 {
        let queue = if number < 2999 { Queue::Background } else { Queue::Urgent };
        let event = NewEvent { id: EventId::from_u128(u128::from(number)), payload: Bytes::new() };
        let stream = format!("acme.list-{number}").parse().unwrap();
        let (log, unit) = (log.clone(), Unit::single(stream, Position::NONE, event, queue));
        let mut sending = Box::pin(async move { log.append(unit).await });
        assert!((&mut sending).now_or_never().is_none());
        waiting.push(sending);
    }
    drop(held);
    let outcomes = futures_util::future::join_all(waiting).await;
    let Ok(Outcome::Appended { positions }) = &outcomes[2999] else { panic!("{:?}", outcomes[2999]) };
    assert!(positions[0] < Position::new(2000), "the urgent unit stands at {}", positions[0]);
}
