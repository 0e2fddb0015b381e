//! Many appends at once: they travel in atomic batches, and nobody in one pays for a neighbour.

use eventlog::jetstream::JetStream;
use eventlog::{EventLog, Outcome};
use futures_util::future::join_all;
use tests::nats::{NatsCluster, NatsServer};

use crate::given::{append, appended, batched, config, conflict, connect, everything, one, several, written};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiting_appends_go_in_batches() {
    let server = NatsServer::start().await;
    let nats = connect(&server).await;
    let appends = (0..1000_u128).map(|n| append(&nats.log, one(&format!("acme.k{n}"), 0, n + 1)));
    for outcome in join_all(appends).await {
        written(outcome);
    }
    assert_eq!(everything(&nats.log).await.len(), 1000);
    let (messages, batches) = batched(&server.url(), "RESCIND_LOG").await;
    assert!(messages >= 900, "only {messages} of 1000 events came in batches");
    assert!(batches <= 20, "{messages} events took {batches} batches");
}

#[tokio::test]
async fn a_lone_event_goes_without_a_batch_and_a_longer_unit_in_one() {
    let server = NatsServer::start().await;
    let nats = connect(&server).await;
    assert_eq!(append(&nats.log, one("acme.a", 0, 1)).await, appended(&[1]));
    assert_eq!(batched(&server.url(), "RESCIND_LOG").await, (0, 0));
    assert_eq!(append(&nats.log, several("acme.a", 1, [2, 3, 4])).await, appended(&[2, 3, 4]));
    assert_eq!(batched(&server.url(), "RESCIND_LOG").await, (3, 1));
}

/// `ours` does not know that `others` has written to some of its streams.
async fn stale_units_conflict_alone(ours: &JetStream, others: &JetStream) {
    let stale = [7, 77, 150];
    for n in stale {
        written(append(&others.log, one(&format!("acme.k{n}"), 0, 1000 + n)).await);
    }
    let appends = (0..200).map(|n| append(&ours.log, one(&format!("acme.k{n}"), 0, 1 + n)));
    for (n, outcome) in join_all(appends).await.into_iter().enumerate() {
        match stale.iter().position(|stale| *stale == n as u128) {
            Some(nth) => assert_eq!(outcome, conflict(&format!("acme.k{n}"), nth as u64 + 1)),
            None => assert!(matches!(outcome, Outcome::Appended { .. }), "stream {n}: {outcome:?}"),
        }
    }
    assert_eq!(everything(&ours.log).await.len(), 200);
}

/// Both write to all streams at once: each stream has one winner, and the loser hears where its stream ends.
async fn racing_batches_have_one_winner_a_stream(first: &JetStream, second: &JetStream) {
    let before = first.log.head().await.unwrap().get();
    let send = |nats: &JetStream, id: u128| {
        let log = nats.log.clone();
        async move { join_all((0..300).map(|n| append(&log, one(&format!("race.k{n}"), 0, id + n)))).await }
    };
    let (first_outcomes, second_outcomes) = tokio::join!(send(first, 10_000), send(second, 20_000));
    for (n, outcomes) in first_outcomes.into_iter().zip(second_outcomes).enumerate() {
        let (won, lost) = match outcomes {
            (Outcome::Appended { positions }, lost) | (lost, Outcome::Appended { positions }) => {
                (positions, lost)
            }
            neither => panic!("stream {n} has no winner: {neither:?}"),
        };
        assert_eq!(lost, conflict(&format!("race.k{n}"), won[0].get()));
    }
    assert_eq!(everything(&first.log).await.len() as u64, before + 300);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_in_a_batch_fail_alone_on_one_server() {
    let server = NatsServer::start().await;
    let (ours, others) = (connect(&server).await, connect(&server).await);
    stale_units_conflict_alone(&ours, &others).await;
    racing_batches_have_one_winner_a_stream(&ours, &others).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn units_in_a_batch_fail_alone_on_three_servers() {
    let cluster = NatsCluster::start(3).await;
    let urls = cluster.urls();
    let ours = JetStream::connect(config(urls[0].clone(), 3, 1)).await.unwrap();
    let others = JetStream::connect(config(urls[1].clone(), 3, 2)).await.unwrap();
    stale_units_conflict_alone(&ours, &others).await;
    racing_batches_have_one_winner_a_stream(&ours, &others).await;
}
