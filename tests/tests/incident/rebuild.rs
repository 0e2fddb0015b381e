//! Views proven on real servers: equal while commands go on, named where somebody wrote into one.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::KeyId;
use projection::tree::{SledTree, Tree};
use serde_json::{Value, json};
use tests::nats::NatsServer;
use tests::server::{Admin, IssuedKey, ServerSetup, TestServer};

use crate::given::{eventually, rescind, run};

const VIEWS: [&str; 6] = ["index", "keys", "history", "tenants", "notices", "times"];

fn senders(admin: &Admin, count: usize) -> Vec<IssuedKey> {
    admin.open_tenant("acme");
    let keys: Vec<_> = (0..count).map(|_| admin.issue("acme", "list-sender")).collect();
    for key in keys.iter().step_by(3) {
        drop(admin.revoke("acme", &key.key_id).expect(200));
    }
    let recall =
        json!({"selector": {"label": "service=mailer"}, "reason": "compromised", "accept_changes": true});
    drop(admin.post("/v1/tenants/acme/recalls", &recall).expect(201));
    keys
}

#[track_caller]
fn all_equal(server: &TestServer, arguments: &[&str]) {
    let base = ["audit", "rebuild", "--json"];
    let told: Value = serde_json::from_str(&rescind(server, &[&base, arguments].concat())).unwrap();
    assert_eq!(told["equal"], true, "{told}");
    let names: Vec<_> = told["views"].as_array().unwrap().iter().map(|view| &view["view"]).collect();
    assert_eq!(names, VIEWS.map(|name| json!(name)).iter().collect::<Vec<_>>());
    for view in told["views"].as_array().unwrap() {
        assert_eq!(view["live"], view["replayed"], "{view}");
        assert!(view["live"]["rows"].as_u64() > Some(0), "{view}");
    }
}

/// Puts the row of a key into another state, through the tree and not by the view.
fn alter(data: &Path, key: &IssuedKey) {
    let id = key.key_id.parse::<KeyId>().unwrap().to_bytes();
    let tree = SledTree::open(&data.join("views/keys"), 1 << 20).unwrap();
    let rows = tree.scan(b"", None, usize::MAX).unwrap();
    let (name, mut value) = rows
        .into_iter()
        .find(|(name, value)| name.ends_with(&id) && !value.is_empty())
        .expect("the key's row");
    *value.last_mut().unwrap() ^= 1;
    tree.apply(vec![(name, Some(value))]).unwrap();
    tree.flush().unwrap();
}

/// Equal; then altered while the server is stopped, and named with the key and its last event.
fn proven_and_damaged(server: TestServer) {
    let admin = server.admin();
    let keys = senders(&admin, 30);
    all_equal(&server, &["--rate", "1000000"]);
    let operator = server.operator_key();
    let setup = server.stop();
    alter(setup.data(), &keys[3]);
    let server = setup.start();
    assert_eq!(server.operator_key(), operator);
    let output = run(&server, &["audit", "rebuild", "--view", "keys", "--json"]);
    assert_eq!(output.status.code(), Some(15), "{output:?}");
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let difference = &told["views"][0]["difference"];
    assert_eq!(
        (&difference["changed"], &difference["missing"], &difference["surplus"]),
        (&json!(1), &json!(0), &json!(0))
    );
    let first = &difference["first"];
    assert_eq!((&first["key_id"], &first["tenant"]), (&json!(keys[3].key_id), &json!("acme")), "{told}");
    assert_eq!((&first["event"], &first["how"]), (&json!("KeyRevoked"), &json!("altered")), "{told}");
    let text = run(&server, &["audit", "rebuild", "--view", "keys"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("they part at position") && text.contains("delete views/keys"), "{text}");
    all_but(&server, "keys");
    let metrics = server.admin().get("/metrics").text;
    assert!(
        metrics.contains("rescind_view_comparisons_total{view=\"keys\",result=\"differs\"} 2"),
        "{metrics}"
    );
}

fn all_but(server: &TestServer, other: &str) {
    for view in VIEWS.iter().filter(|view| **view != other) {
        let told = rescind(server, &["audit", "rebuild", "--view", view, "--json"]);
        assert!(told.contains("\"equal\":true"), "{told}");
    }
}

#[test]
fn on_an_embedded_log_views_are_proven_and_a_damaged_one_is_named() {
    proven_and_damaged(ServerSetup::embedded().start());
}

#[tokio::test(flavor = "multi_thread")]
async fn on_nats_views_are_proven_and_a_damaged_one_is_named() {
    let nats = NatsServer::start().await;
    proven_and_damaged(ServerSetup::nats(&nats.url()).start());
}

#[test]
fn views_are_proven_while_commands_go_on() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    senders(&admin, 100);
    let over = AtomicBool::new(false);
    let done = std::thread::scope(|scope| {
        let commands = scope.spawn(|| {
            let mut done = 0;
            while !over.load(Ordering::Relaxed) {
                let key = admin.issue("acme", "busy-sender");
                assert_eq!(admin.verdict(&key.key), "valid");
                drop(admin.revoke("acme", &key.key_id).expect(200));
                assert_eq!(admin.verdict(&key.key), "revoked");
                done += 1;
            }
            done
        });
        // Some times as fast as the commands write, else it would never catch up with them.
        all_equal(&server, &["--rate", "5000"]);
        over.store(true, Ordering::Relaxed);
        commands.join().unwrap()
    });
    assert!(done > 10, "{done} commands");
}

#[test]
fn one_at_a_time_and_closing_the_connection_ends_it() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    senders(&admin, 20);
    let scratch = server.data().join("views/scratch");
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let mut connection = TcpStream::connect(&address).unwrap();
    // An event a second: it is given up long before it ends.
    let request = format!(
        "POST /v1/views/rebuild?view=keys&rate=1 HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n",
        server.operator_key()
    );
    connection.write_all(request.as_bytes()).unwrap();
    let mut some = [0; 12];
    connection.read_exact(&mut some).unwrap();
    assert_eq!(&some, b"HTTP/1.1 200");
    eventually("it has begun", || scratch.is_dir().then_some(()));
    let second = admin.post("/v1/views/rebuild", &Value::Null);
    assert_eq!((second.status, second.code()), (503, "rebuild_running".to_owned()));
    drop(connection);
    eventually("it is given up", || (!scratch.exists()).then_some(()));
    eventually("the next may begin", || {
        let output = run(&server, &["audit", "rebuild", "--view", "keys", "--json"]);
        output.status.success().then_some(())
    });
    let bad = |query: &str| admin.post(&format!("/v1/views/rebuild?{query}"), &Value::Null).code();
    assert_eq!((bad("view=lists"), bad("rate=0")), ("bad_query".to_owned(), "bad_query".to_owned()));
    // A crash leaves the folder, and the next start removes it.
    let setup = server.kill9();
    std::fs::create_dir_all(scratch.join("keys")).unwrap();
    let server = setup.start();
    assert!(!scratch.exists());
    drop(server);
}
