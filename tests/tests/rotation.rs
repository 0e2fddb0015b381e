//! A rotation on evidence with three services that use the key for real: one does not move, is named, and holds it up.

#![cfg(test)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tests::nats::NatsServer;
use tests::server::{Admin, ServerSetup, TestServer};
use tokio::time::Instant;

/// Longer than any wait of these tests, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(120);
/// For how long the old key has to be quiet.
const QUIET_S: u64 = 3;
/// For how long the straggler goes on: several times as long as the others were quiet by then.
const STRAGGLES: Duration = Duration::from_secs(4 * QUIET_S);

/// A service that accepts keys: it verifies the one it has, again and again.
struct Service {
    moved: Arc<AtomicBool>,
    stopped: Arc<AtomicBool>,
    worker: JoinHandle<()>,
}

impl Service {
    /// Starts it with the old key, and with the new one to move to.
    fn start(admin: Admin, old: &str, new: &str) -> Self {
        let (moved, stopped) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (its_moved, its_stopped) = (moved.clone(), stopped.clone());
        let (old, new) = (old.to_owned(), new.to_owned());
        let worker = std::thread::spawn(move || {
            while !its_stopped.load(Ordering::Relaxed) {
                let key = if its_moved.load(Ordering::Relaxed) { &new } else { &old };
                assert_eq!(admin.verdict(key), "valid");
                std::thread::park_timeout(Duration::from_millis(50));
            }
        });
        Self { moved, stopped, worker }
    }

    fn move_over(&self) {
        self.moved.store(true, Ordering::Relaxed);
    }

    fn stop(self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.worker.join().unwrap();
    }
}

#[track_caller]
fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(50));
    }
}

/// An operator that may only verify, and says by its label which service it is.
fn verifier(root: &Admin, server: &TestServer, service: &str) -> Admin {
    let body = json!({"owner": "operations", "scopes": ["verify"], "labels": {"service": service}});
    let issued = root.post("/v1/tenants/rescind/keys", &body).expect(201).json();
    let key = issued["key"].as_str().unwrap();
    let position = issued["position"].as_u64().unwrap();
    let admin = server.admin_with(key);
    // Another server hears of it a moment later.
    eventually("the operator is known", || {
        let body = json!({"key": "x"});
        (admin.post(&format!("/v1/verify?min_position={position}"), &body).status == 200).then_some(())
    });
    admin
}

fn rotation(root: &Admin, key_id: &str) -> Value {
    let list = root.get("/v1/tenants/default/rotations").expect(200).json();
    list["rotations"].as_array().unwrap().iter().find(|row| row["key_id"] == key_id).unwrap().clone()
}

fn stragglers(rotation: &Value) -> Vec<String> {
    let mut names: Vec<String> = rotation["stragglers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|straggler| straggler["service"].as_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}

/// The story, with the services spread over the servers.
fn tell_the_story(root: &Admin, servers: &[&TestServer]) {
    let old = root.issue("default", "list-sender");
    let at = |n: usize| servers[n % servers.len()];
    let mailer = verifier(root, at(0), "mailer");
    let lists = verifier(root, at(1), "lists");
    let reports = verifier(root, at(2), "reports");
    let path = format!("/v1/tenants/default/keys/{}/rotate", old.key_id);
    let rotated = root.post(&path, &json!({"quiet_s": QUIET_S, "look_back_s": 3600})).expect(201).json();
    let (new, position) = (rotated["key"].as_str().unwrap(), rotated["position"].as_u64().unwrap());
    for admin in [&mailer, &lists, &reports] {
        let body = json!({"key": new});
        eventually("the successor is known", || {
            (admin.post(&format!("/v1/verify?min_position={position}"), &body).status == 200).then_some(())
        });
    }
    let [mailer, lists, reports] = [mailer, lists, reports].map(|admin| Service::start(admin, &old.key, new));
    eventually("all three are seen with the old key", || {
        (stragglers(&rotation(root, &old.key_id)) == ["lists", "mailer", "reports"]).then_some(())
    });
    mailer.move_over();
    lists.move_over();
    eventually("two have moved, and the third is named", || {
        (stragglers(&rotation(root, &old.key_id)) == ["reports"]).then_some(())
    });
    let since = Instant::now();
    eventually("the straggler goes on for a while", || {
        let seen = rotation(root, &old.key_id);
        assert_eq!(seen["state"], "running", "it does not finish while one has not moved: {seen}");
        assert!(seen["adopted_at"].is_string() || since.elapsed() < STRAGGLES);
        assert_eq!(stragglers(&seen), ["reports"]);
        (since.elapsed() > STRAGGLES).then_some(())
    });
    reports.move_over();
    let finished = eventually("the last has moved, and the rotation finishes by itself", || {
        Some(rotation(root, &old.key_id)).filter(|rotation| rotation["state"] == "finished")
    });
    assert_eq!(finished["forced"], false);
    for server in servers {
        let admin = server.admin_with(&root_key(servers));
        eventually("every server refuses the old key", || {
            (admin.verdict(&old.key) == "revoked").then_some(())
        });
    }
    for service in [mailer, lists, reports] {
        service.stop();
    }
}

fn root_key(servers: &[&TestServer]) -> String {
    servers[0].operator_key()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_waits_for_its_straggler_and_names_it() {
    let server = ServerSetup::embedded().start();
    tell_the_story(&server.admin(), &[&server]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_waits_for_a_straggler_at_another_server() {
    let nats = NatsServer::start().await;
    let one = ServerSetup::nats(&nats.url()).start();
    let two = ServerSetup::nats(&nats.url()).start();
    tell_the_story(&one.admin(), &[&one, &two]);
}
