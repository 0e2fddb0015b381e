//! Consumers in other languages hear what they should: nats-py, `@nats-io/jetstream`, httpx-sse, the two examples and receivers of webhooks.

#![cfg(test)]

mod example;
mod examples;
mod forged;
mod receiver;
mod webhooks;

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use tests::nats::NatsServer;
use tests::server::{Admin, ServerSetup};
use tests::tools::{node_package, python_package};

fn script(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("consumers").join(name).display().to_string()
}

fn python(packages: &[(&str, &str)]) -> Command {
    let paths = packages.iter().map(|(package, version)| python_package(package, version));
    let path = std::env::join_paths(paths).expect("the folders of packages have plain names");
    let mut python = Command::new("python3");
    python.env("PYTHONPATH", path);
    python
}

#[track_caller]
fn lines(output: Output) -> Vec<String> {
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {error}", output.status);
    String::from_utf8(output.stdout).unwrap().lines().map(ToOwned::to_owned).collect()
}

#[track_caller]
fn notices(output: Output) -> Vec<Value> {
    lines(output).iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn kinds(notices: &[Value]) -> Vec<&str> {
    notices.iter().map(|notice| notice["type"].as_str().unwrap()).collect()
}

/// Issues and revokes a key; two notices.
fn issue_and_revoke(admin: &Admin) -> String {
    let key = admin.issue("acme", "list-sender");
    let _ = admin.revoke("acme", &key.key_id).expect(200);
    key.key_id
}

#[tokio::test(flavor = "multi_thread")]
async fn a_durable_consumer_in_python_resumes_after_a_restart() {
    let nats = NatsServer::start().await;
    let server = ServerSetup::nats(&nats.url()).start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let hear = |count: &str| {
        let mut python = python(&[("nats-py", "2.16.0")]);
        python
            .arg(script("durable.py"))
            .args([nats.url().as_str(), "campaign-mailer", count])
            .output()
            .unwrap()
    };
    let first = issue_and_revoke(&admin);
    let second = issue_and_revoke(&admin);
    let heard = notices(hear("3"));
    assert_eq!(kinds(&heard), ["rescind.key.issued.v1", "rescind.key.revoked.v1", "rescind.key.issued.v1"]);
    assert_eq!(heard[1]["subject"], format!("acme/{first}"));
    assert_eq!(heard[1]["data"]["reason"], "compromised");
    assert_eq!(
        heard[1]["data"]["previous"], heard[0]["data"]["position"],
        "the chain shows that nothing is missing"
    );

    let _third = issue_and_revoke(&admin);
    let heard_again = notices(hear("3"));
    assert_eq!(heard_again[0]["subject"], format!("acme/{second}"), "it goes on after what it acknowledged");
    assert_eq!(
        kinds(&heard_again),
        ["rescind.key.revoked.v1", "rescind.key.issued.v1", "rescind.key.revoked.v1"]
    );
    assert_eq!(heard_again[0]["data"]["previous"], heard[2]["data"]["position"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_in_node_hears_the_one_kind_that_it_asked_for() {
    let nats = NatsServer::start().await;
    let server = ServerSetup::nats(&nats.url()).start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let revoked = [issue_and_revoke(&admin), issue_and_revoke(&admin)];
    let packages = [("@nats-io/transport-node", "3.4.0"), ("@nats-io/jetstream", "3.4.0")];
    let modules = packages.map(|(package, version)| node_package(package, version).join("node_modules"));
    let output = Command::new("node")
        .env("NODE_PATH", std::env::join_paths(modules).unwrap())
        .arg(script("jetstream.cjs"))
        .args([nats.url().as_str(), "2"])
        .output()
        .unwrap();
    let heard = notices(output);
    let subjects =
        heard.iter().map(|notice| notice["subject"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(subjects, revoked.map(|key_id| format!("acme/{key_id}")));
}

#[test]
fn an_sse_client_in_python_resumes_where_it_stopped() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let first = issue_and_revoke(&admin);
    let second = issue_and_revoke(&admin);
    let key_file = server.data().join("operator.key").display().to_string();
    let hear = |count: &str, last: &str| {
        let mut python = python(&[("httpx-sse", "0.4.3"), ("httpx", "0.28.1")]);
        lines(python.arg(script("feed.py")).args([server.url(), &key_file, count, last]).output().unwrap())
    };
    let heard = hear("2", "0");
    assert!(heard[0].starts_with("hello "), "{heard:?}");
    assert!(
        heard[2].contains(&format!("acme/{first}")) && heard[2].contains("rescind.key.revoked.v1"),
        "{heard:?}"
    );
    let last = heard[2].split(' ').nth(1).unwrap();
    let resumed = hear("2", last);
    assert!(resumed[1].contains(&format!("acme/{second}")), "{resumed:?}");
    assert!(resumed[2].contains("rescind.key.revoked.v1"), "{resumed:?}");
    let beyond = hear("1", "999999");
    assert!(beyond.iter().any(|line| line.starts_with("reset ")), "{beyond:?}");
}
