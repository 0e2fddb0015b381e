//! Servers that die, freeze, restart, and servers that do not want the guard any more.

use std::time::Duration;

use guard::{ConnectError, Guard, Requirement, Start, State, Verdict};
use tests::server::ServerSetup;
use tokio::time::Instant;

use crate::given::{Given, LIMIT, MovedClock, credential, eventually, issue_operator};

/// A bound that is not worth waiting for in a test, and still has room for a loaded machine.
const BOUND: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn without_its_server_a_guard_refuses_after_the_bound_and_comes_back_with_it() {
    let port = free_port();
    let setup = ServerSetup::embedded().arg("--listen").arg(format!("127.0.0.1:{port}"));
    let given = Given::start_with(setup, |builder| builder.max_staleness(BOUND)).await;
    assert_eq!(given.guard.status().bound_ms, 2_000);
    let keys = [given.admin.issue("acme", "list-sender"), given.admin.issue("acme", "news-sender")];
    for key in &keys {
        given.until(&key.key, Verdict::Valid).await;
    }
    let Given { server, admin, guard } = given;
    let setup = server.kill9();
    let killed = Instant::now();
    let verdict = async || guard.verify(&keys[0].key, &Requirement::any()).await.verdict;
    eventually("stale", async || verdict().await == Verdict::Stale).await;
    assert!(killed.elapsed() > BOUND / 4, "it goes on while it may");
    assert_eq!(guard.status().state, State::Stale);
    assert!(guard.status().last_error.is_some());
    let server = setup.start();
    eventually("valid again", async || verdict().await == Verdict::Valid).await;
    let _ = admin.revoke("acme", &keys[1].key_id).expect(200);
    let other = async || guard.verify(&keys[1].key, &Requirement::any()).await.verdict;
    eventually("revoked", async || other().await == Verdict::Revoked).await;
    drop(server);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_frozen_server_is_noticed_and_a_thawed_one_too() {
    let given = Given::start_with(ServerSetup::embedded(), |builder| builder.max_staleness(BOUND)).await;
    let key = given.admin.issue("acme", "list-sender");
    given.until(&key.key, Verdict::Valid).await;
    given.server.pause();
    given.until(&key.key, Verdict::Stale).await;
    given.server.resume();
    given.until(&key.key, Verdict::Valid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guard_whose_own_credential_is_revoked_stops() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let (credential_id, credential) = issue_operator(&admin);
    let builder = Guard::builder(server.url(), &credential).tenant("acme").max_staleness(BOUND);
    let guard = builder.connect_within(LIMIT).connect().await.unwrap();
    let key = admin.issue("acme", "list-sender");
    let verdict = async || guard.verify(&key.key, &Requirement::any()).await.verdict;
    eventually("valid", async || verdict().await == Verdict::Valid).await;
    let _ = admin.revoke("rescind", &credential_id).expect(200);
    eventually("refused", async || guard.status().state == State::CredentialRefused).await;
    eventually("stale", async || verdict().await == Verdict::Stale).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guard_that_cannot_start_says_why() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let refused = Guard::builder(server.url(), "rsk_live_x").tenant("acme").connect().await.unwrap_err();
    assert!(matches!(refused, ConnectError::Refused(_)), "{refused}");
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let short = Duration::from_millis(300);
    let away = Guard::builder(&nobody, "rsk_live_x").connect_within(short).connect().await.unwrap_err();
    assert!(matches!(away, ConnectError::NotInTime { .. }), "{away}");
    assert!(away.to_string().contains("cannot be reached"), "{away}");
    let waiting = Guard::builder(&nobody, "rsk_live_x").start(Start::Refusing).connect().await.unwrap();
    let key = admin.issue("acme", "list-sender");
    assert_eq!(waiting.verify(&key.key, &Requirement::any()).await.verdict, Verdict::Stale);
    assert_eq!(waiting.status().state, State::Starting);
    let plain = Guard::connect("http://rescind.example", "rsk_live_x").await.unwrap_err();
    assert!(plain.to_string().contains("plain text"), "{plain}");
    assert!(Guard::builder(&nobody, "x").name("a b").connect().await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guard_that_leaves_says_so() {
    let given = Given::start().await;
    let fleet = || given.admin.get("/v1/fleet").expect(200).json();
    let state = || {
        let fleet = fleet();
        let found = fleet["verifiers"].as_array().unwrap().iter().find(|v| v["name"] == "mailer").cloned();
        found.map(|verifier| verifier["state"].as_str().unwrap().to_owned())
    };
    eventually("current in the fleet", async || state().as_deref() == Some("current")).await;
    let second = Guard::builder(given.server.url(), &credential(&given.admin)).tenant("acme").name("lists");
    let second = second.connect().await.unwrap();
    drop(second.clone());
    second.close().await;
    given.guard.clone().close().await;
    assert_eq!(given.guard.status().state, State::Closed);
    eventually("left the fleet", async || state().is_none_or(|state| state == "gone")).await;
    let key = given.admin.issue("acme", "list-sender");
    assert_eq!(given.verdict(&key.key).await, Verdict::Stale);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broken_task_is_told_and_the_guard_refuses() {
    let clock = MovedClock::new();
    let builder = |builder: guard::Builder| builder.clock(clock.clone()).max_staleness(BOUND);
    let given = Given::start_with(ServerSetup::embedded(), builder).await;
    let key = given.admin.issue("acme", "list-sender");
    given.until(&key.key, Verdict::Valid).await;
    clock.break_once();
    // Not looked at by the test until a task has met it.
    eventually("a task met it", async || !clock.is_about_to_break()).await;
    eventually("broken", async || given.guard.status().state == State::Broken).await;
    given.until(&key.key, Verdict::Stale).await;
    assert!(given.guard.status().last_error.unwrap().contains("broke"));
}

pub(crate) fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
