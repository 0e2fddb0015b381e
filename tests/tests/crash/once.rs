//! One effect: of an id sent many times at once, after a restart, after a lost answer; of servers that start at once.

use std::collections::BTreeSet;
use std::io::Write;
use std::net::TcpStream;
use std::thread;

use serde_json::{Value, json};
use tests::nats::NatsServer;
use tests::server::{Admin, Answer, ServerSetup, TestServer};

const ISSUE: &str = "/v1/tenants/acme/keys";

fn body() -> Value {
    json!({"owner": "list sender", "scopes": ["campaigns:send"]})
}

fn issue(admin: &Admin, id: &str) -> Answer {
    admin.post_as(id, ISSUE, &body())
}

/// The events of one type in one tenant.
fn events(admin: &Admin, tenant: &str, kind: &str) -> Vec<Value> {
    let text = admin.get(&format!("/v1/events?tenant={tenant}")).expect(200).text;
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).expect("an event is JSON"));
    all.filter(|event| event["type"] == kind).collect()
}

/// Sends the same issue so often at once; of all answers one shows the secret.
fn storm(admin: &Admin, id: &str, times: usize) -> String {
    let answers: Vec<Answer> = thread::scope(|scope| {
        let sent: Vec<_> = (0..times).map(|_| scope.spawn(|| issue(admin, id))).collect();
        sent.into_iter().map(|thread| thread.join().expect("a client does not panic")).collect()
    });
    let shown: Vec<_> =
        answers.iter().filter_map(|answer| answer.json()["key"].as_str().map(str::to_owned)).collect();
    let ids: BTreeSet<_> = answers.iter().map(|answer| answer.json()["key_id"].to_string()).collect();
    let positions: BTreeSet<_> = answers.iter().map(|answer| answer.json()["position"].to_string()).collect();
    assert_eq!((shown.len(), ids.len(), positions.len()), (1, 1, 1), "{answers:?}");
    for answer in &answers {
        let right = if answer.json()["key"].is_null() { (200, true) } else { (201, false) };
        assert_eq!(
            (answer.status, answer.json()["secret_already_shown"] == json!(true)),
            right,
            "{answer:?}"
        );
    }
    shown[0].clone()
}

fn one_key_comes_of_one_id(setup: &ServerSetup) {
    let server = setup.start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let key = storm(&admin, "spring-sale", 50);
    assert_eq!(admin.verdict(&key), "valid");
    let first = issue(&admin, "spring-sale").expect(200).json();

    let server = server.kill9().start();
    let admin = server.admin();
    let again = issue(&admin, "spring-sale").expect(200).json();
    assert_eq!((&again["key_id"], &again["position"]), (&first["key_id"], &first["position"]));
    assert_eq!(again["key"], Value::Null);
    let other = admin.post_as("spring-sale", ISSUE, &json!({"owner": "somebody else"})).expect(409);
    assert_eq!(other.code(), "command_id_reused");
    assert_eq!(admin.verdict(&key), "valid");
    assert_eq!(events(&admin, "acme", "KeyIssued").len(), 1);

    for number in 0..20 {
        a_lost_answer(&server, &admin, &format!("autumn-sale-{number}"));
    }
    assert_eq!(events(&admin, "acme", "KeyIssued").len(), 21);
}

/// Sends an issue and hangs up without listening, then asks again.
fn a_lost_answer(server: &TestServer, admin: &Admin, id: &str) {
    let body = body().to_string();
    let host = server.url().trim_start_matches("http://");
    let request = format!(
        "POST {ISSUE} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {}\r\ncontent-type: application/json\r\n\
         idempotency-key: {id}\r\ncontent-length: {}\r\n\r\n{body}",
        server.operator_key(),
        body.len(),
    );
    let mut stream = TcpStream::connect(host).expect("the server listens");
    stream.write_all(request.as_bytes()).expect("the server reads");
    drop(stream);
    let again = issue(admin, id);
    assert!(matches!(again.status, 200 | 201), "{again:?}");
    let once_more = issue(admin, id).expect(200).json();
    assert_eq!(once_more["position"], again.json()["position"]);
}

#[test]
fn one_key_comes_of_one_id_on_the_embedded_log() {
    one_key_comes_of_one_id(&ServerSetup::embedded());
}

#[tokio::test(flavor = "multi_thread")]
async fn one_key_comes_of_one_id_on_nats() {
    let nats = NatsServer::start().await;
    one_key_comes_of_one_id(&ServerSetup::nats(&nats.url()));
}

#[tokio::test(flavor = "multi_thread")]
async fn servers_that_start_at_once_on_an_empty_log_make_one_operator() {
    for _ in 0..3 {
        let nats = NatsServer::start().await;
        let url = nats.url();
        let servers: Vec<TestServer> = thread::scope(|scope| {
            let starts: Vec<_> = (0..2).map(|_| scope.spawn(|| ServerSetup::nats(&url).start())).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let holders: Vec<_> =
            servers.iter().filter(|server| server.data().join("operator.key").exists()).collect();
        assert_eq!(holders.len(), 1, "one of them holds the operator's key");
        let key = holders[0].operator_key();
        for server in &servers {
            let admin = server.admin_with(&key);
            assert_eq!(events(&admin, "rescind", "KeyIssued").len(), 1);
            assert_eq!(events(&admin, "rescind", "TenantOpened").len(), 1);
            assert_eq!(events(&admin, "default", "TenantOpened").len(), 1);
        }
    }
}
