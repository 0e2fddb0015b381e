//! What these tests begin with: the client, a guard, and waits.

use std::process::{Command, Output};
use std::time::Duration;

use guard::Guard;
use serde_json::{Value, json};
use tests::server::{Admin, IssuedKey, TestServer, binary};
use tokio::time::Instant;

/// Longer than anything takes on a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        std::thread::park_timeout(LOOK_AGAIN);
    }
}

/// Runs the client as the first operator of a server.
pub(crate) fn run(server: &TestServer, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.args(arguments).env("RESCIND_URL", server.url()).env("RESCIND_KEY", server.operator_key());
    command.output().unwrap()
}

/// The same, which has to succeed; its stdout.
#[track_caller]
pub(crate) fn rescind(server: &TestServer, arguments: &[&str]) -> String {
    let output = run(server, arguments);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

pub(crate) async fn guard(server: &TestServer, admin: &Admin) -> Guard {
    let credential = admin.issue_credential("acme").key;
    let builder = Guard::builder(server.url(), &credential).tenant("acme").name("mailer");
    builder.connect_within(LIMIT).first_sight_within(LIMIT).connect().await.expect("the guard connects")
}

pub(crate) fn incident(admin: &Admin, key: &IssuedKey) -> Value {
    admin.get(&format!("/v1/tenants/acme/keys/{}/incident", key.key_id)).expect(200).json()
}

/// Asks the server about a key, as a service of that name and for somebody at that address.
pub(crate) fn asked_by(admin: &Admin, key: &IssuedKey, service: &str, network: &str) -> String {
    let body = json!({"key": key.key, "service": service, "network": network});
    admin.post("/v1/verify", &body).expect(200).json()["verdict"].as_str().unwrap().to_owned()
}

/// The lines of a kind in a timeline.
pub(crate) fn of_kind<'a>(incident: &'a Value, kind: &str) -> Vec<&'a Value> {
    incident["timeline"].as_array().unwrap().iter().filter(|line| line["kind"] == kind).collect()
}
