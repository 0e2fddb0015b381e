//! Guards that hear over NATS: what is live, what was lost, and what a lease waits for.

use std::time::Duration;

use futures_util::StreamExt;
use guard::{NatsFeed, Position, State, Verdict};
use serde_json::json;
use tests::nats::NatsServer;
use tests::server::ServerSetup;
use tokio::time::Instant;
use wire::Hint;

use crate::fills::{filled, key_id, verdict};
use crate::given::{Given, eventually};
use crate::lying::{Lying, event};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guard_on_nats_refuses_what_a_server_on_nats_revoked() {
    let nats = NatsServer::start().await;
    let setup = ServerSetup::nats(&nats.url());
    let given = Given::start_with(setup, |builder| builder.nats(NatsFeed::new(&nats.url()))).await;
    for _ in 0..3 {
        let key = given.admin.issue("acme", "list-sender");
        given.until(&key.key, Verdict::Valid).await;
        let path = format!("/v1/tenants/acme/keys/{}/revoke", key.key_id);
        let _ = given.admin.post(&path, &json!({"reason": "compromised"})).expect(200);
        given.until(&key.key, Verdict::Revoked).await;
    }
    let fleet = given.admin.get("/v1/fleet").expect(200).json();
    let own = fleet["verifiers"].as_array().unwrap().iter().find(|v| v["name"] == "mailer").cloned().unwrap();
    assert_eq!(own["feed"], "nats");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_hint_refuses_at_once_and_a_false_one_for_the_bound_at_most() {
    let nats = NatsServer::start().await;
    let feed = NatsFeed::new(&nats.url());
    let bound = Duration::from_secs(2);
    let given =
        Given::start_with(ServerSetup::nats(&nats.url()), |builder| builder.nats(feed).max_staleness(bound))
            .await;
    let (key, other) = (given.admin.issue("acme", "list-sender"), given.admin.issue("acme", "list-sender"));
    given.until(&key.key, Verdict::Valid).await;
    given.until(&other.key, Verdict::Valid).await;
    let listener = async_nats::connect(nats.url()).await.unwrap();
    let mut hints = listener.subscribe("rescind.hints.acme.*").await.unwrap();
    listener.flush().await.unwrap();
    let path = format!("/v1/tenants/acme/keys/{}/revoke", other.key_id);
    let position =
        given.admin.post(&path, &json!({"reason": "leaked"})).expect(200).json()["position"].clone();
    let told = Hint::parse(&hints.next().await.unwrap().payload).unwrap();
    assert_eq!((told.key_id.to_string(), json!(told.position.get())), (other.key_id.clone(), position));
    given.until(&other.key, Verdict::Revoked).await;
    eventually("its notice", async || given.guard.status().applied == told.position).await;

    // Here everybody may publish. What was never revoked is refused as long as leases from before the hint could run.
    let mut changes = given.guard.applied();
    let applied = given.guard.status().applied;
    let false_hint = Hint { key_id: key.key_id.parse().unwrap(), position: Position::new(1 << 40), ..told };
    let began = Instant::now();
    changes.mark_unchanged();
    let subject = format!("rescind.hints.acme.{}", key.key_id);
    listener.publish(subject, false_hint.to_cloud_event().into()).await.unwrap();
    listener.flush().await.unwrap();
    changes.changed().await.unwrap();
    assert_eq!(given.verdict(&key.key).await, Verdict::Revoked);
    assert_eq!(given.guard.status().applied, applied, "a hint moves no position");
    given.until(&key.key, Verdict::Valid).await;
    assert!(began.elapsed() >= bound, "it was believed for {:?} alone", began.elapsed());
    let third = given.admin.issue("acme", "list-sender");
    given.until(&third.key, Verdict::Valid).await;
    // The key was asked for at the server; its notice may come behind that.
    eventually("the feed goes on", async || given.guard.status().applied > applied).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_nats_lost_is_asked_of_the_server() {
    let nats = NatsServer::start().await;
    let lying = Lying::start().await;
    lying.says(|says| says.keys.extend((1..=4).map(|n| (key_id(n).to_string(), filled(n)))));
    let guard = lying.builder().nats(NatsFeed::new(&nats.url())).connect().await.unwrap();
    let publisher = async_nats::connect(nats.url()).await.unwrap();
    let live = async |position: u64, previous: u64, n: u64| {
        lying.says(|says| (says.head, says.last_notice) = (position, position));
        let subject = format!("rescind.live.acme.revoked.{}", key_id(n));
        let notice = event(position, previous, "revoked", &key_id(n).to_string()).to_string();
        publisher.publish(subject, notice.into()).await.unwrap();
        publisher.flush().await.unwrap();
    };
    let caught_up = async || {
        lying.heartbeat();
        guard.status().state == State::Current
    };
    for n in 1..=4 {
        assert_eq!(verdict(&guard, n).await, Verdict::Valid);
    }
    eventually("caught up", caught_up).await;
    live(11, 10, 1).await;
    eventually("heard live", async || verdict(&guard, 1).await == Verdict::Revoked).await;
    eventually("reported", async || lying.says(|says| says.applied.contains(&11))).await;
    // Of two notices the second alone is heard.
    live(14, 12, 3).await;
    eventually("asked", async || lying.says(|says| says.feeds.last() == Some(&Some(11)))).await;
    lying.tell(lying_notice(12, 11, 2) + &lying_notice(14, 12, 3));
    eventually("both", async || {
        (verdict(&guard, 2).await, verdict(&guard, 3).await) == (Verdict::Revoked, Verdict::Revoked)
    })
    .await;
    eventually("caught up again", caught_up).await;
    // Of a third nothing is heard at all, but a lease waits for it.
    lying.says(|says| (says.head, says.last_notice) = (15, 15));
    eventually("asked for what is waited for", async || {
        lying.says(|says| says.feeds.last() == Some(&Some(14)))
    })
    .await;
    lying.tell(lying_notice(15, 14, 4));
    eventually("the last", async || verdict(&guard, 4).await == Verdict::Revoked).await;
}

fn lying_notice(position: u64, previous: u64, n: u64) -> String {
    crate::lying::notice(position, previous, "revoked", &key_id(n).to_string())
}
