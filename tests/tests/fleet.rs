//! A fleet of several servers on one log: a receipt of any names every verifier, and says of the lost by which way they refuse.

#![cfg(test)]

use std::time::Duration;

use serde_json::{Value, json};
use tests::nats::{NatsCluster, NatsServer};
use tests::server::{Admin, Answer, IssuedKey, ServerSetup, TestServer};
use tokio::time::Instant;

/// Longer than any bound that the tests wait for.
const LIMIT: Duration = Duration::from_secs(60);

#[track_caller]
fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !look() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

/// A guard that does what it is told, by plain requests.
struct Guard(&'static str);

const MAILER: Guard = Guard("01JDA7W5W6M4Q0T3S8V2N9X1Y1");
const LISTS: Guard = Guard("01JDA7W5W6M4Q0T3S8V2N9X1Y2");

impl Guard {
    fn name(&self) -> String {
        format!("guard-{}", &self.0[25..])
    }

    fn register(&self, at: &Admin) -> Answer {
        let body = json!({
            "guard_id": self.0, "tenant": "acme", "name": self.name(), "version": "1", "feed": "sse",
            "max_staleness_ms": 60_000,
        });
        at.post("/v1/guard/register", &body)
    }

    fn lease(&self, at: &Admin, applied: u64) -> Answer {
        let body = json!({"guard_id": self.0, "nonce": 7, "applied": applied, "held": 1, "stale": false});
        at.post("/v1/guard/lease", &body)
    }

    fn report(&self, at: &Admin, position: u64) {
        let body = json!({"guard_id": self.0, "position": position});
        eventually("the report is heard", || at.post("/v1/guard/applied", &body).status == 204);
    }

    /// Registers and gets a first lease.
    fn join(&self, at: &Admin, applied: u64) {
        let _ = self.register(at).expect(200);
        let _ = self.lease(at, applied).expect(200);
    }
}

fn revoke(admin: &Admin, key: &IssuedKey, query: &str) -> Value {
    let path = format!("/v1/tenants/acme/keys/{}/revoke{query}", key.key_id);
    admin.post(&path, &json!({"reason": "compromised"})).expect(200).json()
}

fn receipt(admin: &Admin, revoked: &Value, timeout_ms: u64) -> Value {
    let path = format!("/v1/receipts/{}?timeout_ms={timeout_ms}", revoked["position"]);
    admin.get(&path).expect(200).json()
}

/// The receipt once nobody unknown can be: the registry has been read behind the ending.
fn known(admin: &Admin, revoked: &Value) -> Value {
    let mut found = Value::Null;
    eventually("the fleet is known", || {
        found = receipt(admin, revoked, 0);
        found["fleet"] == "known"
    });
    found
}

fn complete(admin: &Admin, revoked: &Value) -> Value {
    let mut found = Value::Null;
    eventually("everybody has enforced it", || {
        found = receipt(admin, revoked, 1_000);
        found["complete"] == true
    });
    found
}

/// How it is known of this verifier; `outstanding` if it may still accept.
fn how(receipt: &Value, name: &str) -> String {
    let list = |which: &str| receipt[which].as_array().cloned().unwrap_or_default();
    let named = |one: &&Value| one["name"] == *name;
    if list("outstanding").iter().any(|one| named(&one)) {
        return "outstanding".to_owned();
    }
    let enforced = list("enforced");
    enforced.iter().find(named).map_or_else(String::new, |one| one["by"].as_str().unwrap().to_owned())
}

/// What a server calls itself.
fn name_of(admin: &Admin) -> String {
    admin.get("/v1/fleet").expect(200).json()["verifiers"][0]["name"].as_str().unwrap().to_owned()
}

/// Every verifier that a server knows with its state, servers and guards, by name.
fn fleet(admin: &Admin) -> Vec<(String, String)> {
    let fleet = admin.get("/v1/fleet").expect(200).json();
    let verifiers = fleet["verifiers"].as_array().unwrap().iter();
    let word = |one: &Value, member: &str| one[member].as_str().unwrap().to_owned();
    let mut found: Vec<_> = verifiers.map(|one| (word(one, "name"), word(one, "state"))).collect();
    found.sort();
    found
}

fn current(names: &[&str]) -> Vec<(String, String)> {
    let mut states: Vec<_> = names.iter().map(|name| ((*name).to_owned(), "current".to_owned())).collect();
    states.sort();
    states
}

/// Two servers, and who speaks to each.
struct Two {
    one: TestServer,
    two: TestServer,
    first: Admin,
    second: Admin,
}

fn start_two(setup: impl Fn() -> ServerSetup) -> Two {
    let (one, two) = (setup().start(), setup().start());
    let (first, second) = (one.admin(), two.admin_with(&one.operator_key()));
    first.open_tenant("acme");
    let key = first.issue("acme", "list-sender");
    // Until the second has heard of the tenant, no guard of it can register there.
    let path = format!("/v1/verify?min_position={}", key.position);
    let _ = second.post(&path, &json!({"key": key.key})).expect(200);
    Two { one, two, first, second }
}

fn a_guard_at_another_server_is_named_and_waited_for(two: &Two) {
    let Two { first, second, .. } = two;
    let key = first.issue("acme", "list-sender");
    MAILER.join(second, key.position);
    let (here, there, mailer) = (name_of(first), name_of(second), MAILER.name());
    for admin in [first, second] {
        // It leases each second, and nobody else does here.
        eventually("everybody is known everywhere", || {
            let _ = MAILER.lease(second, key.position).expect(200);
            fleet(admin) == current(&[&here, &there, &mailer])
        });
        assert_eq!(admin.get("/v1/fleet").expect(200).json()["fleet"], "known");
    }

    let revoked = revoke(first, &key, "?timeout_ms=1");
    let open = known(first, &revoked);
    assert_eq!((how(&open, &here), how(&open, &mailer)), ("index".into(), "outstanding".into()), "{open}");
    assert_eq!(open["complete"], false);
    eventually("the other server reports", || how(&receipt(first, &revoked, 0), &there) == "report");
    assert_eq!(how(&receipt(first, &revoked, 0), &mailer), "outstanding", "nobody else speaks for it");
    MAILER.report(second, revoked["position"].as_u64().unwrap());
    let whole = complete(first, &revoked);
    assert_eq!((how(&whole, &there), how(&whole, &mailer)), ("report".into(), "report".into()), "{whole}");

    // And a command that waits ends when the last has said so, not when its time is up.
    let key = first.issue("acme", "list-sender");
    let position = key.position + 1;
    let revoked = std::thread::scope(|scope| {
        let revoking = scope.spawn(|| revoke(first, &key, "?wait=enforced&timeout_ms=6000"));
        MAILER.report(second, position);
        revoking.join().unwrap()
    });
    assert_eq!(revoked["position"], position);
    let receipt = &revoked["receipt"];
    assert_eq!((&receipt["complete"], how(receipt, &mailer)), (&json!(true), "report".into()), "{receipt}");

    // One that leaves holds up nobody, wherever it was.
    let left = second.post("/v1/guard/leave", &json!({"guard_id": MAILER.0}));
    assert_eq!(left.status, 204, "{left:?}");
    eventually("its entry is gone", || fleet(first) == current(&[&here, &there]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_at_another_server_is_named_and_waited_for_on_one_node() {
    let nats = NatsServer::start().await;
    a_guard_at_another_server_is_named_and_waited_for(&start_two(|| ServerSetup::nats(&nats.url())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_at_another_server_is_named_and_waited_for_on_three_nodes() {
    let cluster = NatsCluster::start(3).await;
    let setup = || ServerSetup::nats(&cluster.url()).arg("--nats-replicas").arg("3");
    a_guard_at_another_server_is_named_and_waited_for(&start_two(setup));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guard_belongs_to_one_server_and_may_move() {
    let nats = NatsServer::start().await;
    let two = start_two(|| ServerSetup::nats(&nats.url()));
    let Two { first, second, .. } = &two;
    let key = first.issue("acme", "list-sender");
    MAILER.join(second, key.position);
    let refused = MAILER.lease(first, key.position);
    assert_eq!((refused.status, refused.code()), (404, "guard_unknown".into()));
    MAILER.join(first, key.position);
    eventually("the other lets it go", || MAILER.lease(second, key.position).status == 404);
    let report = json!({"guard_id": MAILER.0, "position": 1});
    assert_eq!(second.post("/v1/guard/applied", &report).code(), "guard_unknown");
    let _ = MAILER.lease(first, key.position).expect(200);
    // It is named once, by whichever server, and the server that it moved to speaks for it.
    let revoked = revoke(second, &key, "?timeout_ms=1");
    let open = known(second, &revoked);
    assert_eq!(how(&open, &MAILER.name()), "outstanding", "{open}");
    MAILER.report(first, revoked["position"].as_u64().unwrap());
    let whole = complete(second, &revoked);
    assert_eq!(how(&whole, &MAILER.name()), "report", "{whole}");
    assert_eq!(whole["enforced"].as_array().unwrap().len(), 3, "{whole}");
    // Another operator does not take it over.
    let body = json!({"name": "a foreign sender", "owner": "mailer-team", "scopes": ["acme/verify"]});
    let other = first.post("/v1/tenants/rescind/keys", &body).expect(201).json();
    let foreign = two.two.admin_with(other["key"].as_str().unwrap());
    let mut taken = MAILER.register(&foreign);
    eventually("the operator is known there", || {
        taken = MAILER.register(&foreign);
        taken.status != 401
    });
    assert_eq!((taken.status, taken.code()), (409, "guard_elsewhere".into()), "{taken:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_server_and_its_guards_count_by_their_bounds() {
    let nats = NatsServer::start().await;
    let setup = || ServerSetup::nats(&nats.url()).arg("--max-staleness").arg("3s");
    let Two { one, two, first, second } = start_two(setup);
    let (key, later, last) = (first.issue("acme", "a"), first.issue("acme", "b"), first.issue("acme", "c"));
    LISTS.join(&first, last.position);
    MAILER.join(&second, last.position);
    let (lost, mailer, lists) = (name_of(&second), MAILER.name(), LISTS.name());
    eventually("the guard is known here", || fleet(&first).iter().any(|(name, _)| *name == mailer));
    drop(two.kill9());
    let _ = LISTS.lease(&first, last.position).expect(200);
    let revoked = revoke(&first, &key, "?timeout_ms=1");
    LISTS.report(&first, revoked["position"].as_u64().unwrap());
    let open = known(&first, &revoked);
    for name in [&lost, &mailer] {
        assert_eq!(how(&open, name), "outstanding", "{open}");
    }
    for outstanding in open["outstanding"].as_array().unwrap() {
        assert!(outstanding["refuses_within_ms"].as_u64().unwrap() <= 3_500, "{open}");
    }
    let whole = complete(&first, &revoked);
    let ways = [&lost, &mailer, &lists].map(|name| how(&whole, name));
    assert_eq!(ways, ["bound", "bound", "report"], "{whole}");
    for one in whole["enforced"].as_array().unwrap().iter().filter(|one| one["by"] == "bound") {
        assert!(one["after_ms"].as_u64().unwrap() <= 3_500, "{whole}");
    }
    // What was lost before it all began is told at once.
    let revoked = revoke(&first, &later, "?timeout_ms=1");
    let open = known(&first, &revoked);
    assert_eq!([&lost, &mailer].map(|name| how(&open, name)), ["bound", "bound"], "{open}");
    let state = |name: &str| {
        fleet(&first).into_iter().find(|(there, _)| there == name).map(|(_, state)| state).unwrap()
    };
    assert_eq!([state(&lost), state(&mailer)], ["gone", "gone"]);

    // A server that is itself started anew knows the guards of its process before.
    let again = one.kill9().start();
    let first = again.admin();
    let revoked = revoke(&first, &last, "?timeout_ms=1");
    let open = known(&first, &revoked);
    assert!(["outstanding", "bound"].contains(&how(&open, &lists).as_str()), "{open}");
    assert_eq!(how(&complete(&first, &revoked), &lists), "bound");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_takes_part_from_its_start_to_its_stop() {
    let nats = NatsServer::start().await;
    let two = start_two(|| ServerSetup::nats(&nats.url()));
    let Two { one, first, second, .. } = &two;
    let (here, there) = (name_of(first), name_of(second));
    let third = ServerSetup::nats(&nats.url()).arg("--role").arg("verify").start();
    let late = name_of(&third.admin_with(&one.operator_key()));
    let whole = complete(first, &revoke(first, &first.issue("acme", "a"), ""));
    let ways = [&here, &there, &late].map(|name| how(&whole, name));
    assert_eq!(ways, ["index", "report", "report"], "{whole}");
    drop(third.stop());
    for admin in [first, second] {
        let key = first.issue("acme", "b");
        let path = format!("/v1/verify?min_position={}", key.position);
        let _ = admin.post(&path, &json!({"key": key.key})).expect(200);
        let whole = complete(admin, &revoke(admin, &key, ""));
        assert_eq!(how(&whole, &late), "", "who has stopped is nobody's concern: {whole}");
        eventually("it is gone from the list", || fleet(admin) == current(&[&here, &there]));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_revoke_at_once_and_each_hears_of_all() {
    let nats = NatsServer::start().await;
    let two = start_two(|| ServerSetup::nats(&nats.url()));
    let Two { first, second, .. } = &two;
    let keys: Vec<IssuedKey> = (0..40).map(|n| first.issue("acme", &format!("sender-{n}"))).collect();
    let names = [name_of(first), name_of(second)];
    let path = format!("/v1/verify?min_position={}", keys[39].position);
    let _ = second.post(&path, &json!({"key": keys[39].key})).expect(200);
    std::thread::scope(|scope| {
        for (nth, keys) in keys.chunks(10).enumerate() {
            let (admin, names) = ([first, second][nth % 2], &names);
            scope.spawn(move || {
                for key in keys {
                    let whole = complete(admin, &revoke(admin, key, "?wait=enforced&timeout_ms=6000"));
                    let mut ways = names.clone().map(|name| how(&whole, &name));
                    ways.sort();
                    assert_eq!(ways, ["index", "report"], "{whole}");
                }
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_registry_no_receipt_is_complete() {
    let nats = NatsServer::start().await;
    // So long that everybody answers all through the test.
    let setup = || ServerSetup::nats(&nats.url()).arg("--max-staleness").arg("60s");
    let two = start_two(setup);
    let Two { first, .. } = &two;
    let key = first.issue("acme", "list-sender");
    let client = async_nats::connect(nats.url()).await.unwrap();
    async_nats::jetstream::new(client).delete_stream("KV_RESCIND_FLEET").await.unwrap();
    let revoked = revoke(first, &key, "?timeout_ms=500");
    let receipt = &revoked["receipt"];
    assert_eq!((&receipt["fleet"], &receipt["complete"]), (&json!("unknown"), &json!(false)), "{receipt}");
    assert_eq!(first.verdict(&key.key), "revoked");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_is_read_again_on_every_server_and_after_a_restart() {
    let nats = NatsServer::start().await;
    let two = start_two(|| ServerSetup::nats(&nats.url()));
    let Two { one, second, first, .. } = two;
    let root = one.operator_key();
    let key = first.issue("acme", "list-sender");
    MAILER.join(&first, key.position);
    let (here, there, mailer) = (name_of(&first), name_of(&second), MAILER.name());
    let revoked = revoke(&first, &key, "?timeout_ms=1");
    // Asked of the other while the guard is outstanding: its own receipt, which knows who, but not since when.
    let late = known(&second, &revoked);
    assert_eq!((&late["late"], how(&late, &mailer)), (&json!(true), "outstanding".into()), "{late}");
    MAILER.report(&first, revoked["position"].as_u64().unwrap());
    let whole = complete(&first, &revoked);
    assert_eq!((&whole["late"], &whole["tenant"]), (&json!(false), &json!("acme")), "{whole}");
    assert!(whole["enforced"].as_array().unwrap().iter().all(|one| one["after_ms"].is_u64()), "{whole}");
    let late = complete(&second, &revoked);
    assert_eq!((how(&late, &here), how(&late, &there)), ("report".into(), "index".into()), "{late}");
    assert!(late["enforced"].as_array().unwrap().iter().all(|one| one["after_ms"].is_null()), "{late}");

    let one = one.stop().start();
    let again = receipt(&one.admin_with(&root), &revoked, 0);
    assert_eq!(again, whole, "as it was when it was complete");

    // What a kill takes before it is kept can still be told: who refuses, but not since when.
    let key = second.issue("acme", "list-sender");
    let revoked = revoke(&one.admin_with(&root), &key, "?wait=effective");
    let one = one.kill9().start();
    let found = complete(&one.admin_with(&root), &revoked);
    assert_eq!(how(&found, &name_of(&one.admin_with(&root))), "index", "{found}");
}
