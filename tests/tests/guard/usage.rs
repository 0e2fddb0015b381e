//! What guards count: told in sums, counted once, and missed by name where nobody tells it.

use std::time::Duration;

use guard::{Requirement, Verdict};
use serde_json::{Value, json};
use tests::nats::NatsServer;
use tests::server::{Admin, IssuedKey, ServerSetup};
use tokio::time::Instant;

use crate::faults::free_port;
use crate::given::{Given, eventually};

/// For how long an old key has to be quiet, in seconds.
const QUIET_S: u64 = 1;
/// For how long a rotation is seen to wait: longer than any span that a verifier is believed to be silent for once.
const WAITS: Duration = Duration::from_secs(15);

fn usage(admin: &Admin, key: &IssuedKey) -> Value {
    admin.get(&format!("/v1/tenants/acme/keys/{}/usage", key.key_id)).expect(200).json()
}

async fn counted(admin: &Admin, key: &IssuedKey, valid: u64, refused: u64) -> Value {
    let wanted = json!({"valid": valid, "refused": refused});
    let (mut shown, what) = (Value::Null, format!("{wanted} are counted"));
    eventually(&what, async || {
        shown = usage(admin, key);
        let total = &shown["total"];
        assert!(
            total["valid"].as_u64() <= Some(valid) && total["refused"].as_u64() <= Some(refused),
            "{total}"
        );
        *total == wanted
    })
    .await;
    shown
}

/// Everything that the guard said up to now has been reported: what is counted twice would be seen.
async fn all_reported(admin: &Admin, key: &IssuedKey) {
    let instant =
        |text: &Value| text.as_str().and_then(|text| wire::parse_rfc3339(text).ok()).unwrap_or_default();
    let from = instant(&usage(admin, key)["coverage"]["to"]);
    eventually("everything is reported", async || {
        let coverage = &usage(admin, key)["coverage"];
        let is_open = |span: &Value| span["server"] == "mailer" && instant(&span["to"]) >= from;
        // So long that a guard that reported nothing since would be named.
        instant(&coverage["known_until"]) > from.plus_millis(4_000)
            && !coverage["unknown"].as_array().unwrap().iter().any(is_open)
    })
    .await;
}

async fn present(given: &Given, key: &IssuedKey, times: u64) {
    let send = Requirement::of_scope("campaigns:send").unwrap().at("192.0.2.7".parse().unwrap());
    let delete = Requirement::of_scope("lists:delete").unwrap();
    for _ in 0..times {
        assert_eq!(given.guard.verify(&key.key, &send).await.verdict, Verdict::Valid);
        assert_eq!(given.guard.verify(&key.key, &delete).await.verdict, Verdict::ScopeDenied);
        let bad = format!("{}x", key.key);
        assert!(!given.guard.verify(&bad, &send).await.is_valid());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_used_at_a_guard_only_is_counted_once_over_restarts() {
    let port = free_port();
    let setup = ServerSetup::embedded().arg("--listen").arg(format!("127.0.0.1:{port}"));
    // So long that the guard goes on while its server is away.
    let mut given = Given::start_with(setup.arg("--max-staleness").arg("60s"), |builder| {
        builder.max_staleness(Duration::from_secs(60))
    })
    .await;
    let key = given.admin.issue("acme", "list-sender");
    given.until(&key.key, Verdict::Valid).await;
    present(&given, &key, 20).await;
    let shown = counted(&given.admin, &key, 21, 20).await;
    assert_eq!(shown["services"][0]["service"], "mailer");
    let named = |list: &str| -> Vec<Value> {
        shown[list].as_array().unwrap().iter().map(|one| one["name"].clone()).collect()
    };
    assert!(named("networks").contains(&json!("192.0.2.0/24")), "{shown}");
    assert!(named("scopes").contains(&json!("lists:delete")), "{shown}");
    let key_path = format!("/v1/tenants/acme/keys/{}", key.key_id);
    let last = given.admin.get(&key_path).expect(200).json();
    assert!(last["last_used_at"].is_string(), "{last}");

    // Killed with a report under way, perhaps: what it has taken in is not counted again, and what it has not is kept.
    present(&given, &key, 10).await;
    let Given { server, admin, guard } = given;
    let setup = server.kill9();
    given = Given { server: setup.start(), admin, guard };
    present(&given, &key, 10).await;
    counted(&given.admin, &key, 41, 40).await;
    all_reported(&given.admin, &key).await;
    counted(&given.admin, &key, 41, 40).await;

    // The last of it is told by a guard that leaves.
    present(&given, &key, 5).await;
    given.guard.clone().close().await;
    counted(&given.admin, &key, 46, 45).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_a_guard_at_another_server_says_is_known_at_each() {
    let nats = NatsServer::start().await;
    let one = ServerSetup::nats(&nats.url()).start();
    let given = Given::at(one, |builder| builder).await;
    let two = ServerSetup::nats(&nats.url()).start();
    let second = two.admin_with(&given.server.operator_key());
    let key = given.admin.issue("acme", "list-sender");
    given.until(&key.key, Verdict::Valid).await;
    present(&given, &key, 10).await;
    for admin in [&given.admin, &second] {
        eventually("the tenant is known there", async || {
            admin.get(&format!("/v1/tenants/acme/keys/{}/usage", key.key_id)).status == 200
        })
        .await;
        let shown = counted(admin, &key, 11, 10).await;
        assert_eq!(shown["services"][0]["service"], "mailer", "{shown}");
    }
}

/// A guard that does what it is told, by plain requests.
struct Plain<'a>(&'a Admin);

impl Plain<'_> {
    const ID: &'static str = "01JDA7W5W6M4Q0T3S8V2N9X1Y7";

    /// The server's time, as it tells it.
    fn register(&self) -> Value {
        let body = json!({"guard_id": Self::ID, "tenant": "acme", "name": "lists", "version": "1", "feed": "sse",
            "max_staleness_ms": 5_000});
        self.0.post("/v1/guard/register", &body).expect(200).json()["now"].clone()
    }

    fn lease(&self) {
        let body = json!({"guard_id": Self::ID, "nonce": 7, "applied": 0, "held": 1, "stale": false});
        let _ = self.0.post("/v1/guard/lease", &body).expect(200);
    }

    fn tell(&self, sequence: u64, to: &Value, keys: &Value) -> Value {
        let from = json!("2026-01-01T00:00:00Z");
        let body = json!({"guard_id": Self::ID, "sequence": sequence, "from": from, "to": to, "keys": keys});
        self.0.post("/v1/guard/usage", &body).expect(200).json()["now"].clone()
    }
}

/// Begins a rotation on evidence whose successor is in use.
fn rotate(admin: &Admin, tenant: &str) -> String {
    let old = admin.issue(tenant, "list-sender");
    let path = format!("/v1/tenants/{tenant}/keys/{}/rotate", old.key_id);
    let rotated = admin.post(&path, &json!({"quiet_s": QUIET_S, "look_back_s": 3600})).expect(201).json();
    assert_eq!(admin.verdict(rotated["key"].as_str().unwrap()), "valid");
    old.key_id
}

fn rotation(admin: &Admin, tenant: &str, key_id: &str) -> Value {
    let list = admin.get(&format!("/v1/tenants/{tenant}/rotations")).expect(200).json();
    // The view of keys may be a moment behind.
    list["rotations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["key_id"] == *key_id)
        .cloned()
        .unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_rotation_waits_for_a_guard_that_tells_nothing_and_names_it() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    admin.open_tenant("beta");
    let guard = Plain(&admin);
    let began = guard.register();
    guard.lease();
    let (ours, theirs) = (rotate(&admin, "acme"), rotate(&admin, "beta"));
    eventually("another tenant's is finished", async || {
        guard.lease();
        rotation(&admin, "beta", &theirs)["state"] == "finished"
    })
    .await;
    let since = Instant::now();
    eventually("ours waits", async || {
        guard.lease();
        let seen = rotation(&admin, "acme", &ours);
        assert_ne!(seen["state"], "finished", "{seen}");
        since.elapsed() > WAITS && seen["unreported"] == json!(["lists"])
    })
    .await;
    // It tells that it used the old key a while ago, and its answer is lost: the same again is counted once.
    let keys = json!([{"key_id": ours, "verdict": "valid", "count": 3, "first": began, "last": began,
        "origin": {"scope": "campaigns:send", "network": "192.0.2.0/24"}}]);
    let _ = guard.tell(1, &began, &keys);
    let mut now = guard.tell(1, &began, &keys);
    eventually("ours is finished", async || {
        guard.lease();
        now = guard.tell(1, &now, &json!([]));
        rotation(&admin, "acme", &ours)["state"] == "finished"
    })
    .await;
    let shown = admin.get(&format!("/v1/tenants/acme/keys/{ours}/usage")).expect(200).json();
    assert_eq!(
        (&shown["total"]["valid"], &shown["services"][0]["service"]),
        (&json!(3), &json!("lists")),
        "{shown}"
    );

    // What is no key of the tenant is counted under none.
    let strange = json!([{"key_id": theirs, "verdict": "valid", "count": 3, "first": now, "last": now}]);
    let told = guard.tell(2, &now, &strange);
    let none = admin.get(&format!("/v1/tenants/beta/keys/{theirs}/usage")).expect(200).json();
    assert_eq!(
        none["services"].as_array().unwrap().iter().filter(|one| one["service"] == "lists").count(),
        0
    );
    eventually("it says so", async || {
        let shown = admin.get(&format!("/v1/tenants/acme/keys/{ours}/usage")).expect(200).json();
        let unknown = shown["coverage"]["unknown"].as_array().unwrap().clone();
        unknown.iter().any(|span| span["why"] == "lost" && span["server"] == "lists") || told == now
    })
    .await;
    let wrong = json!({"guard_id": Plain::ID, "sequence": 1, "from": "now", "to": now, "keys": []});
    let refused = admin.post("/v1/guard/usage", &wrong);
    assert_eq!((refused.status, refused.code()), (422, "invalid_value".into()), "{refused:?}");
}
