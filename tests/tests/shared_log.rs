//! Servers that share one log on JetStream: what one does the other knows, and neither trusts what it can no longer hear.

#![cfg(test)]

use std::time::Duration;

use serde_json::{Value, json};
use tests::nats::{NatsCluster, NatsServer};
use tests::server::{Admin, IssuedKey, ServerSetup, TestServer};
use tokio::time::Instant;

/// Longer than any bound that the tests wait for.
const LIMIT: Duration = Duration::from_secs(30);

#[track_caller]
fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let deadline = Instant::now() + LIMIT;
    while !look() {
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::park_timeout(Duration::from_millis(5));
    }
}

fn verdict_at(admin: &Admin, key: &str, position: u64) -> String {
    let answer = admin.post(&format!("/v1/verify?min_position={position}"), &json!({"key": key})).expect(200);
    answer.json()["verdict"].as_str().unwrap().to_owned()
}

/// The story of the README's tour, through two servers in turn.
fn tell_the_story(one: &TestServer, two: &TestServer) {
    let (first, second) = (one.admin(), two.admin_with(&one.operator_key()));
    first.open_tenant("acme");
    for (issues, revokes) in [(&first, &second), (&second, &first)] {
        let key = issues.issue("acme", "list-sender");
        assert_eq!(issues.verdict(&key.key), "valid", "at once where it was issued");
        assert_eq!(verdict_at(revokes, &key.key, key.position), "valid");
        let revoked = revokes.revoke("acme", &key.key_id).expect(200).json();
        assert_eq!(revoked["effective"], true);
        let receipt = format!("/v1/receipts/{}?timeout_ms=6000", revoked["position"]);
        let receipt = revokes.get(&receipt).expect(200).json();
        assert_eq!((&receipt["fleet"], &receipt["complete"]), (&json!("known"), &json!(true)), "{receipt}");
        assert_eq!(revokes.verdict(&key.key), "revoked", "at once where it was revoked");
        assert_eq!(verdict_at(issues, &key.key, revoked["position"].as_u64().unwrap()), "revoked");
        let again = issues.revoke("acme", &key.key_id);
        assert_eq!((again.status, again.code()), (409, "already_revoked".to_owned()));
    }
    for admin in [&first, &second] {
        let events = admin.get("/v1/events?tenant=acme").expect(200).text;
        assert_eq!(events.lines().count(), 5, "{events}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_a_log_on_one_node() {
    let nats = NatsServer::start().await;
    let one = ServerSetup::nats(&nats.url()).arg("--nats-monitor").arg(nats.monitor_url()).start();
    let two = ServerSetup::nats(&nats.url()).start();
    assert!(!two.data().join("operator.key").exists(), "the second start makes no second operator");
    tell_the_story(&one, &two);
    let proven = one.admin().get("/readyz?verbose").expect(200).text;
    assert!(proven.contains("on_disk"), "{proven}");
    let unproven = two.admin_with(&one.operator_key()).get("/readyz?verbose").expect(200).text;
    assert!(unproven.contains("unproven"), "{unproven}");
    let said_at_start = |server: &TestServer| server.stderr().contains("durability: unproven");
    assert_eq!((said_at_start(&one), said_at_start(&two)), (false, true), "{}", two.stderr());
    drop(one.stop());
    drop(two.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_share_a_log_on_three_nodes() {
    let cluster = NatsCluster::start(3).await;
    let setup = || ServerSetup::nats(&cluster.url()).arg("--nats-replicas").arg("3");
    let (one, two) = (setup().start(), setup().start());
    tell_the_story(&one, &two);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verify_only_server_answers_and_takes_no_command() {
    let nats = NatsServer::start().await;
    let all = ServerSetup::nats(&nats.url()).start();
    let admin = all.admin();
    admin.open_tenant("acme");
    let key = admin.issue("acme", "list-sender");
    let verifier = ServerSetup::nats(&nats.url()).arg("--role").arg("verify").start();
    let beside = verifier.admin_with(&all.operator_key());
    assert_eq!(verdict_at(&beside, &key.key, key.position), "valid");
    assert_eq!(beside.revoke("acme", &key.key_id).status, 503, "it takes no command");
    let position = admin.revoke("acme", &key.key_id).expect(200).json()["position"].as_u64().unwrap();
    assert_eq!(verdict_at(&beside, &key.key, position), "revoked");
    assert!(!verifier.data().join("operator.key").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_log_a_server_fails_fast_and_soon_trusts_nothing() {
    let mut nats = NatsServer::start().await;
    let server = ServerSetup::nats(&nats.url()).arg("--max-staleness").arg("2s").start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let key = admin.issue("acme", "list-sender");
    nats.kill9();
    let killed = Instant::now();
    assert_eq!(admin.verdict(&key.key), "valid", "verifying goes on at first");
    let refused = admin.revoke("acme", &key.key_id);
    assert!(matches!(refused.status, 503 | 504), "{refused:?}");
    assert!(
        refused.header("retry-after").is_some() || refused.json()["command_id"].is_string(),
        "{refused:?}"
    );
    eventually("nothing is trusted", || admin.verdict(&key.key) == "stale");
    let bound = Duration::from_millis(2000 + 500);
    assert!(killed.elapsed() < bound + Duration::from_secs(2), "{:?}", killed.elapsed());
    nats.restart().await;
    eventually("it trusts again", || admin.verdict(&key.key) != "stale");
    // Whatever became of the revocation that was in doubt, asking again settles it.
    let settled = admin.revoke("acme", &key.key_id);
    assert!(settled.status == 200 || settled.code() == "already_revoked", "{settled:?}");
    assert_eq!(admin.verdict(&key.key), "revoked");
}

#[test]
fn nats_away_at_the_start_is_told_with_its_address() {
    let setup = ServerSetup::nats("nats://127.0.0.1:9");
    let output = setup.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains("127.0.0.1:9") && said.to_lowercase().contains("nats"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_first_starts_at_once_make_one_operator() {
    let nats = NatsServer::start().await;
    start_two_at_once(|| ServerSetup::nats(&nats.url()));
}

/// Here the second finds streams that elect their leader still.
#[tokio::test(flavor = "multi_thread")]
async fn two_first_starts_at_once_on_three_nodes_make_one_operator() {
    let cluster = NatsCluster::start(3).await;
    start_two_at_once(|| ServerSetup::nats(&cluster.url()).arg("--nats-replicas").arg("3"));
}

fn start_two_at_once(setup: impl Fn() -> ServerSetup) {
    let setups = [setup(), setup()];
    // Each in a thread of its own: a spawn returns when the server listens, which is after its first start.
    let servers: Vec<TestServer> = std::thread::scope(|scope| {
        let starts: Vec<_> = setups.iter().map(|setup| scope.spawn(|| setup.spawn())).collect();
        starts.into_iter().map(|start| start.join().unwrap()).collect()
    });
    servers.iter().for_each(TestServer::wait_ready);
    let files: Vec<bool> = servers.iter().map(|server| server.data().join("operator.key").exists()).collect();
    assert_eq!(files.iter().filter(|there| **there).count(), 1, "{files:?}");
    let holder = servers.iter().find(|server| server.data().join("operator.key").exists()).unwrap();
    let key = holder.operator_key();
    for server in &servers {
        eventually("the one operator is known everywhere", || {
            server.admin_with(&key).get("/v1/tenants").status == 200
        });
    }
    let events = holder.admin().get("/v1/events?tenant=rescind").expect(200).text;
    assert_eq!(events.lines().filter(|line| line.contains("KeyIssued")).count(), 1, "{events}");
}

/// A key's usage as a server tells it.
fn usage(admin: &Admin, key: &IssuedKey) -> Value {
    let path = format!("/v1/tenants/acme/keys/{}/usage?min_position={}", key.key_id, key.position);
    admin.get(&path).expect(200).json()
}

/// Whose silence leaves something unknown.
fn silent(usage: &Value) -> Vec<String> {
    let spans = usage["coverage"]["unknown"].as_array().unwrap().iter();
    let spans = spans.filter(|span| span["why"] != "before_record");
    spans.map(|span| span["server"].as_str().unwrap_or_default().to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_server_knows_what_all_were_asked_and_whose_reports_are_missing() {
    let nats = NatsServer::start().await;
    let (one, two) = (ServerSetup::nats(&nats.url()).start(), ServerSetup::nats(&nats.url()).start());
    let (first, second) = (one.admin(), two.admin_with(&one.operator_key()));
    first.open_tenant("acme");
    let key = first.issue("acme", "list-sender");
    let verify = |admin: &Admin, service: &str, times: u32| {
        for _ in 0..times {
            let body = json!({"key": key.key, "service": service, "network": "192.0.2.7"});
            let path = format!("/v1/verify?min_position={}", key.position);
            assert_eq!(admin.post(&path, &body).expect(200).json()["verdict"], "valid");
        }
    };
    verify(&first, "mailer", 3);
    verify(&second, "lists", 2);
    for admin in [&first, &second] {
        eventually("all verdicts are known", || usage(admin, &key)["total"]["valid"] == 5);
        eventually("all reports are known", || silent(&usage(admin, &key)).is_empty());
        let services = usage(admin, &key)["services"].as_array().unwrap().clone();
        let mut services: Vec<(&str, u64)> = services
            .iter()
            .map(|seen| (seen["service"].as_str().unwrap(), seen["valid"].as_u64().unwrap()))
            .collect();
        services.sort_unstable();
        assert_eq!(services, [("lists", 2), ("mailer", 3)]);
    }
    // One that leaves is missed by nobody; one that is killed may have let somebody pass.
    let gone = ServerSetup::nats(&nats.url()).start();
    drop(gone.stop());
    let port = two.url().rsplit(':').next().unwrap().to_owned();
    drop(two.kill9());
    eventually("the killed one is missed", || {
        let silent = silent(&usage(&first, &key));
        silent.len() == 1 && silent[0].ends_with(&format!(":{port}"))
    });
    // What is on record survives, and a new server learns it from the stream.
    let again = one.stop().start();
    let admin = again.admin();
    let new = ServerSetup::nats(&nats.url()).start();
    for admin in [&admin, &new.admin_with(&again.operator_key())] {
        eventually("sums are there again", || usage(admin, &key)["total"]["valid"] == 5);
        eventually("the killed one is still missed", || silent(&usage(admin, &key)).len() == 1);
    }
}
