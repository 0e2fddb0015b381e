//! Keys of another system: imported by the client in large numbers, interrupted, and brought to our own form.

#![cfg(test)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::{Value, json};
use tests::importing::{Importing, digest, token, write_lines};
use tests::nats::NatsServer;
use tests::server::{ServerSetup, TestServer, binary};

fn import(server: &TestServer, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.arg("import").args(arguments).current_dir(folder);
    command.env("RESCIND_URL", server.url()).env("RESCIND_KEY", server.operator_key());
    command.output().expect("the binary is built with the tests")
}

#[track_caller]
fn ends(output: &Output, code: i32) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("the client prints UTF-8");
    let (stdout, stderr) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{stdout}\n{stderr}");
    (stdout, stderr)
}

#[test]
fn a_hundred_thousand_keys_survive_the_death_of_client_and_server() {
    let importing = Importing { lines: 100_000, setup: ServerSetup::embedded(), program: binary() };
    importing.run().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_on_nats_takes_an_import_that_is_interrupted_too() {
    let nats = NatsServer::start().await;
    let importing = Importing { lines: 5_000, setup: ServerSetup::nats(&nats.url()), program: binary() };
    tokio::task::spawn_blocking(move || importing.run()).await.unwrap().unwrap();
}

#[test]
fn refused_lines_are_reported_and_the_run_says_so() {
    let server = ServerSetup::embedded().start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("keys.ndjson");
    write_lines(&file, 25).unwrap();
    let mut lines = fs::read_to_string(&file).unwrap();
    lines.push_str(lines.clone().lines().next().unwrap());
    lines.push_str("\nnot json\n{\"digest\":\"abc\",\"owner\":\"mailer\"}\n");
    fs::write(&file, lines).unwrap();

    let head = || server.admin().get("/readyz?verbose").json()["checks"]["log"]["head"].as_u64().unwrap();
    let before = head();
    let (stdout, stderr) = ends(&import(&server, folder.path(), &["keys.ndjson", "--dry-run"]), 12);
    assert!(stdout.contains("25 would be imported") && stdout.contains("3 lines refused"), "{stdout}");
    assert!(stderr.contains("line 26: duplicate") && stderr.contains("line 27: malformed_json"), "{stderr}");
    assert_eq!(head(), before, "a dry run changes nothing");

    let arguments = ["keys.ndjson", "--report", "refused.ndjson", "--json"];
    let (stdout, stderr) = ends(&import(&server, folder.path(), &arguments), 12);
    let summary: Value = serde_json::from_str(&stdout).unwrap();
    assert_eq!(
        (&summary["imported"], &summary["refused"], &summary["lines"]),
        (&25.into(), &3.into(), &28.into())
    );
    assert!(stderr.is_empty(), "with --json and --report there is nothing to say: {stderr}");
    let report = fs::read_to_string(folder.path().join("refused.ndjson")).unwrap();
    let codes: Vec<Value> =
        report.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()["code"].clone()).collect();
    assert_eq!(codes, ["duplicate", "malformed_json", "invalid_value"]);
    assert_eq!(head(), before + 25);

    let (stdout, _) =
        ends(&import(&server, folder.path(), &["keys.ndjson", "--from-line", "28", "--json"]), 12);
    assert_eq!(serde_json::from_str::<Value>(&stdout).unwrap()["lines"], 28);
}

#[test]
fn who_cannot_import_is_told_why_and_how_to_go_on() {
    let server = ServerSetup::embedded().start();
    let folder = tempfile::tempdir().unwrap();
    write_lines(&folder.path().join("keys.ndjson"), 3).unwrap();
    let (_, stderr) = ends(&import(&server, folder.path(), &["keys.ndjson", "--tenant", "nobody"]), 3);
    assert!(stderr.contains("not_found"), "{stderr}");
    let (_, stderr) = ends(&import(&server, folder.path(), &["missing.ndjson"]), 1);
    assert!(stderr.contains("cannot read missing.ndjson"), "{stderr}");
    let reader = json!({"owner": "operations", "scopes": ["keys:read"]});
    let reader = server.admin().post("/v1/tenants/rescind/keys", &reader).expect(201).json();
    let mut command = Command::new(binary());
    command.args(["import", "keys.ndjson"]).current_dir(folder.path());
    command.env("RESCIND_URL", server.url()).env("RESCIND_KEY", reader["key"].as_str().unwrap());
    let (_, stderr) = ends(&command.output().unwrap(), 4);
    assert!(stderr.contains("scope_missing"), "{stderr}");
}

#[test]
fn rotation_brings_an_imported_key_to_our_form() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    let folder = tempfile::tempdir().unwrap();
    write_lines(&folder.path().join("keys.ndjson"), 1).unwrap();
    let (stdout, _) = ends(&import(&server, folder.path(), &["keys.ndjson", "--json"]), 0);
    let position = &serde_json::from_str::<Value>(&stdout).unwrap()["position"];
    let old = token(1);
    let verdict = |key: &str| {
        let answer = admin.post("/v1/verify", &json!({"key": key, "tenant": "default"})).expect(200).json();
        (answer["verdict"].as_str().unwrap().to_owned(), answer)
    };
    let (valid, told) = verdict(&old);
    assert_eq!(valid, "valid");
    let key_id = told["key_id"].as_str().unwrap();
    let path = format!("/v1/tenants/default/keys/{key_id}");
    let shown = admin.get(&format!("{path}?min_position={position}")).expect(200).json();
    assert_eq!((&shown["imported"], &shown["name"]), (&true.into(), &"campaign 1".into()));

    let rotated = admin.post(&format!("{path}/rotate"), &json!({})).expect(201).json();
    let successor = rotated["key"].as_str().unwrap();
    assert!(successor.starts_with("rsk_live_"));
    assert_eq!((verdict(&old).0.as_str(), verdict(successor).0.as_str()), ("valid", "valid"));
    let (_, ours) = verdict(successor);
    assert_eq!((&ours["owner"], &ours["scopes"]), (&told["owner"], &told["scopes"]));
    let _ = admin.post(&format!("{path}/rotation/finish"), &json!({"force": true})).expect(200);
    assert_eq!((verdict(&old).0.as_str(), verdict(successor).0.as_str()), ("revoked", "valid"));

    let (stdout, stderr) = ends(&import(&server, folder.path(), &["keys.ndjson"]), 0);
    assert!(
        stdout.contains("1 known before"),
        "what was imported once is never imported again: {stdout}{stderr}"
    );
    assert_eq!(verdict(&old).0, "revoked");
    assert_eq!(digest(&old).len(), 64);
}
