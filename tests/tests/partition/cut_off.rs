//! A receipt names who is cut off; they refuse by themselves, and the receipt says that this is how it is known.

use std::time::Duration;

use guard::{Requirement, State, Verdict};
use serde_json::{Value, json};
use tests::nats::NatsServer;
use tests::proxy::Proxy;
use tests::server::{Admin, IssuedKey, ServerSetup, TestServer};
use tests::witness::{DRIFT, Presented, Witness};
use tokio::time::Instant;

use crate::{eventually, how, known, name_of, settled, watch};

/// The default bound: a revocation on a loaded machine has to be acknowledged well within it.
const BOUND: Duration = Duration::from_secs(5);

/// Ends a key and tells the receipt as it is at once.
fn revoke(admin: &Admin, presented: &Presented) -> (u64, Value) {
    let path = format!("/v1/tenants/acme/keys/{}/revoke?timeout_ms=1", presented.key.key_id);
    let revoked = admin.post(&path, &json!({"reason": "compromised"})).expect(200).json();
    presented.revoked(Instant::now());
    let position = revoked["position"].as_u64().unwrap();
    (position, revoked["receipt"].clone())
}

fn receipt(admin: &Admin, position: u64) -> Value {
    admin.get(&format!("/v1/receipts/{position}")).expect(200).json()
}

/// Waits until a receipt is complete: everybody in it refuses.
async fn complete(admin: &Admin, witness: &Witness, presented: &Presented, position: u64) -> Value {
    let mut found = Value::Null;
    eventually("everybody refuses", async || {
        found = receipt(admin, position);
        witness.take_receipt(presented, &found);
        found["complete"] == true
    })
    .await;
    found
}

fn address_of(server: &TestServer) -> std::net::SocketAddr {
    server.url().trim_start_matches("http://").parse().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guard_that_nobody_reaches_is_named_and_refuses_by_itself() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let credential = admin.issue_credential("acme");
    let way = Proxy::start(address_of(&server));
    let far = watch("mailer", &format!("http://{}", way.address()), &credential).await;
    let near = watch("lists", server.url(), &credential).await;
    let (mailer, witness) = (far.guard.clone(), Witness::begin(vec![far, near]));
    let presented = witness.present(admin.issue("acme", "list-sender"));
    settled(&witness, presented.key.position).await;

    way.half_open();
    let (position, open) = revoke(&admin, &presented);
    assert_eq!((how(&open, "mailer"), &open["complete"]), ("outstanding".into(), &json!(false)), "{open}");
    let outstanding = &open["outstanding"].as_array().unwrap()[0];
    let at_most = u64::try_from((BOUND + DRIFT).as_millis()).unwrap();
    assert!(outstanding["refuses_within_ms"].as_u64().unwrap() <= at_most, "{open}");
    eventually("who hears it reports", async || how(&receipt(&admin, position), "lists") == "report").await;
    let verdict = || {
        let decision = mailer.check(&presented.key.key, &Requirement::any());
        decision.expect("it holds the key").verdict
    };
    eventually("it refuses, and says why", async || verdict() == Verdict::Stale).await;
    assert_eq!(mailer.status().state, State::Stale, "{:?}", mailer.status());
    let whole = complete(&admin, &witness, &presented, position).await;
    assert_eq!((how(&whole, "mailer"), how(&whole, "lists")), ("bound".into(), "report".into()), "{whole}");
    for one in whole["enforced"].as_array().unwrap() {
        assert!(one["after_ms"].as_u64().unwrap() <= at_most, "{whole}");
    }
    // The connections from before stay half open: it finds that out and makes others.
    way.restore();
    settled(&witness, position).await;
    assert_eq!(witness.judge(BOUND), []);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_without_its_log_is_named_with_its_guards() {
    let nats = NatsServer::start().await;
    let log = Proxy::start(nats.url().trim_start_matches("nats://").parse().unwrap());
    let one = ServerSetup::nats(&nats.url()).start();
    let two = ServerSetup::nats(&format!("nats://{}", log.address())).start();
    let (first, second) = (one.admin(), two.admin_with(&one.operator_key()));
    first.open_tenant("acme");
    let credential: IssuedKey = first.issue_credential("acme");
    known(&second, &credential);
    let guards =
        vec![watch("lists", one.url(), &credential).await, watch("mailer", two.url(), &credential).await];
    let witness = Witness::begin(guards);
    let presented = witness.present(first.issue("acme", "list-sender"));
    settled(&witness, presented.key.position).await;
    let lost = name_of(&second);

    log.half_open();
    let (position, _) = revoke(&first, &presented);
    let mut open = Value::Null;
    eventually("the fleet is known", async || {
        open = receipt(&first, position);
        open["fleet"] == "known"
    })
    .await;
    for name in [lost.as_str(), "mailer"] {
        assert_eq!(how(&open, name), "outstanding", "{open}");
    }
    let whole = complete(&first, &witness, &presented, position).await;
    let ways = [lost.as_str(), "mailer", "lists"].map(|name| how(&whole, name));
    assert_eq!(ways, ["bound", "bound", "report"], "{whole}");
    assert_eq!(second.verdict(&presented.key.key), "stale");
    log.restore_and_close();
    settled(&witness, position).await;
    eventually("it has heard it", async || second.verdict(&presented.key.key) == "revoked").await;
    assert_eq!(witness.judge(BOUND), []);
}
