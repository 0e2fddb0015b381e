//! Servers that stop, hang and come back: nothing acknowledged is lost, and nothing has two effects.

use std::sync::Arc;
use std::time::Duration;

use domain::Position;
use eventlog::jetstream::{JetStream, JetStreamLog};
use eventlog::{AppendError, EventLog, Outcome, ReadError};
use tests::nats::{NatsCluster, NatsServer};
use tokio::time::{Instant, timeout};

use crate::given::{
    PATIENCE, append, append_at_last, appended, config, connect, eventually, everything, ids, one, several,
    take, written,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_publish_that_lands_late_has_one_effect() {
    let server = NatsServer::start().await;
    let nats = connect(&server).await;
    assert_eq!(append(&nats.log, one("acme.a", 0, 1)).await, appended(&[1]));
    server.pause();
    let began = Instant::now();
    let late = timeout(PATIENCE, nats.log.append(one("acme.a", 1, 2))).await.unwrap();
    assert!(matches!(late, Err(AppendError::MayHaveHappened { .. })), "{late:?}");
    assert!(began.elapsed() < Duration::from_secs(8), "{:?}", began.elapsed());
    server.resume();
    let witness = connect(&server).await;
    eventually("the late publish lands", async || witness.log.head().await.is_ok_and(|head| head.get() == 2))
        .await;
    assert_eq!(append_at_last(&nats.log, one("acme.a", 1, 2)).await, appended(&[2]));
    assert_eq!(append(&witness.log, one("acme.a", 1, 2)).await, appended(&[2]));
    assert_eq!(ids(&everything(&nats.log).await), [1, 2]);
}

/// Nothing of a batch is stored before its last message is sent, so a hang before that leaves no doubt.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_never_began_did_not_happen() {
    let server = NatsServer::start().await;
    let nats = connect(&server).await;
    server.pause();
    let outcome = timeout(PATIENCE, nats.log.append(several("acme.a", 0, [1, 2, 3]))).await.unwrap();
    assert!(matches!(outcome, Err(AppendError::DidNotHappen { .. })), "{outcome:?}");
    server.resume();
    assert_eq!(append_at_last(&nats.log, one("acme.a", 0, 4)).await, appended(&[1]));
    assert_eq!(ids(&everything(&nats.log).await), [4]);
}

/// Writes its stream's events one after the other and answers their positions.
async fn write_stream(log: Arc<JetStreamLog>, name: String, first_id: u128, count: u128) -> Vec<Position> {
    let mut written = vec![];
    for id in first_id..first_id + count {
        let expected = written.last().copied().unwrap_or(Position::NONE).get();
        match append_at_last(&log, one(&name, expected, id)).await {
            Outcome::Appended { positions } => written.extend(positions),
            conflict @ Outcome::Conflict { .. } => panic!("nobody else writes to {name}: {conflict:?}"),
        }
    }
    written
}

/// `break_it` runs beside 40 writers; then every acknowledged event stands where it was said to be, once.
async fn acknowledged_events_survive(nats: &JetStream, break_it: impl Future<Output = ()>) {
    const WRITERS: u128 = 40;
    const EVENTS: u128 = 60;
    let writers: Vec<_> = (0..WRITERS)
        .map(|n| {
            tokio::spawn(write_stream(Arc::clone(&nats.log), format!("acme.w{n}"), 1 + n * EVENTS, EVENTS))
        })
        .collect();
    break_it.await;
    let mut told = Vec::new();
    for (n, writer) in (0..).zip(writers) {
        let positions = timeout(PATIENCE, writer).await.expect("a writer ends").unwrap();
        told.extend(positions.into_iter().zip(1 + n * EVENTS..));
    }
    told.sort_unstable();
    let stands = everything(&nats.log).await;
    let stands: Vec<_> = stands.iter().map(|event| (event.position, event.id.to_u128())).collect();
    assert_eq!(stands, told);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kill_9_in_the_middle_of_appends_loses_nothing_acknowledged() {
    let mut server = NatsServer::start().await;
    let nats = connect(&server).await;
    let log = Arc::clone(&nats.log);
    acknowledged_events_survive(&nats, async {
        for goal in [300, 900, 1600] {
            eventually("the writers get on", async || log.head().await.is_ok_and(|head| head.get() > goal))
                .await;
            server.kill9();
            server.restart().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_loses_one_server_after_the_other_loses_nothing() {
    let mut cluster = NatsCluster::start(3).await;
    let nats = JetStream::connect(config(cluster.url(), 3, 1)).await.unwrap();
    let log = Arc::clone(&nats.log);
    acknowledged_events_survive(&nats, async {
        for (node, goal) in [300, 900, 1600].into_iter().enumerate() {
            eventually("the writers get on", async || log.head().await.is_ok_and(|head| head.get() > goal))
                .await;
            cluster.kill9(node);
            cluster.restart(node).await;
        }
    })
    .await;
    cluster.kill9(0);
    eventually("two of three prove themselves", async || log.pulse().await.is_ok()).await;
    cluster.kill9(1);
    eventually("one of three proves nothing", async || log.pulse().await.is_err()).await;
    let outcome = timeout(PATIENCE, log.append(one("acme.z", 0, 9999))).await.unwrap();
    assert!(outcome.is_err(), "one of three acknowledged: {outcome:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_fail_fast_while_nats_is_away() {
    let mut server = NatsServer::start().await;
    let nats = connect(&server).await;
    server.kill9();
    eventually("the loss is noticed", async || nats.log.pulse().await.is_err()).await;
    let began = Instant::now();
    for n in 0..20 {
        let outcome = nats.log.append(one("acme.a", 0, n)).await;
        assert!(matches!(outcome, Err(AppendError::DidNotHappen { .. })), "{outcome:?}");
    }
    assert!(began.elapsed() < Duration::from_millis(500), "{:?}", began.elapsed());
    server.restart().await;
    assert_eq!(append_at_last(&nats.log, one("acme.a", 0, 100)).await, appended(&[1]));
    assert_eq!(ids(&everything(&nats.log).await), [100], "what did not happen does not land later");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_goes_on_over_a_restart_without_a_hole() {
    let mut server = NatsServer::start().await;
    let nats = connect(&server).await;
    let mut follower = nats.log.follow(Position::NONE).await.unwrap();
    for n in 0..100 {
        written(append(&nats.log, one(&format!("acme.k{n}"), 0, 1 + n)).await);
    }
    let mut seen = take(&mut *follower, 100).await;
    server.kill9();
    server.restart().await;
    for n in 100..200 {
        written(append_at_last(&nats.log, one(&format!("acme.k{n}"), 0, 1 + n)).await);
    }
    seen.extend(take(&mut *follower, 200).await);
    assert_eq!(ids(&seen), (1..=200).collect::<Vec<_>>());
    assert!(seen.iter().zip(1..).all(|(event, position)| event.position.get() == position));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_follower_says_when_the_log_stays_away() {
    let mut server = NatsServer::start().await;
    let nats = connect(&server).await;
    let mut follower = nats.log.follow(Position::NONE).await.unwrap();
    written(append(&nats.log, one("acme.a", 0, 1)).await);
    assert_eq!(take(&mut *follower, 1).await.len(), 1);
    server.kill9();
    let away = timeout(PATIENCE, follower.next()).await.unwrap();
    assert!(matches!(away, Err(ReadError::Unavailable { .. })), "{away:?}");
    server.restart().await;
    written(append_at_last(&nats.log, one("acme.a", 1, 2)).await);
    assert_eq!(ids(&take(&mut *follower, 2).await), [2], "the same follower goes on");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pulse_is_a_proof_with_the_servers_time() {
    let server = NatsServer::start().await;
    let nats = connect(&server).await;
    let first = nats.log.pulse().await.unwrap();
    written(append(&nats.log, one("acme.a", 0, 1)).await);
    let second = nats.log.pulse().await.unwrap();
    assert_eq!((first.head.get(), second.head.get()), (0, 1));
    assert!(first.stamp.unwrap() > domain::Timestamp::from_millis(1_700_000_000_000));
    assert!(second.stamp.unwrap() >= first.stamp.unwrap());
    server.pause();
    let began = Instant::now();
    assert!(matches!(nats.log.pulse().await, Err(ReadError::Unavailable { .. })));
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_log_answers_what_it_took_and_takes_no_more() {
    let server = NatsServer::start().await;
    let nats = connect(&server).await;
    let under_way: Vec<_> = (0..50)
        .map(|n| {
            let log = Arc::clone(&nats.log);
            tokio::spawn(async move { log.append(one(&format!("acme.k{n}"), 0, 1 + n)).await })
        })
        .collect();
    eventually("the first is written", async || nats.log.head().await.is_ok_and(|head| head.get() > 0)).await;
    nats.shutdown().await;
    let mut written = 0;
    for append in under_way {
        match append.await.unwrap() {
            Ok(Outcome::Appended { .. }) => written += 1,
            Err(AppendError::DidNotHappen { .. }) => {}
            other => panic!("a graceful close leaves no doubt: {other:?}"),
        }
    }
    assert_eq!(everything(&connect(&server).await.log).await.len(), written);
    let late = nats.log.append(one("acme.z", 0, 999)).await;
    assert!(matches!(late, Err(AppendError::DidNotHappen { .. })), "{late:?}");
}
