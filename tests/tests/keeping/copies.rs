//! `log copy`: to NATS and back, byte for byte, and servers on each answer the same.

use domain::LogId;
use eventlog::jetstream::{JetStream, JetStreamConfig};
use serde_json::{Value, json};
use std::path::Path;
use tests::nats::NatsServer;
use tests::server::{Admin, ServerSetup};

use crate::given::{Drawn, done, ended, events_in, killed_after, refused, timed, verb, write_log};

fn place(data: &Path) -> String {
    format!("embedded:{}", data.display())
}

fn copy(from: &str, to: &str) -> Value {
    done(&["log", "copy", "--from", from, "--to", to])
}

fn copy_refused(from: &str, to: &str) -> String {
    refused(&["log", "copy", "--from", from, "--to", to])
}

/// What a server says about the story's keys, and all that happened.
fn told(admin: &Admin, keys: &[(String, String)]) -> Vec<String> {
    let head = admin.get("/readyz?verbose").json()["checks"]["log"]["head"].as_u64().unwrap_or(0);
    let read = |path: String| admin.get(&format!("{path}min_position={head}")).expect(200).text;
    let mut told = vec![read("/v1/events?".into()), read("/v1/tenants?".into())];
    for (key_id, key) in keys {
        told.push(admin.verdict(key));
        let mut key: Value = serde_json::from_str(&read(format!("/v1/tenants/acme/keys/{key_id}?"))).unwrap();
        // Use is counted beside the log, and is not copied with it.
        for of_use in ["last_used_at", "last_used_complete"] {
            key[of_use].take();
        }
        told.push(key.to_string());
        told.push(read(format!("/v1/tenants/acme/keys/{key_id}/events?")));
    }
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_to_nats_and_back_and_servers_answer_the_same() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let issue = json!({"name": "spring", "owner": "sender-team", "scopes": ["campaigns:send"]});
    let [kept, revoked, rotated] = ["spring-1", "spring-2", "spring-3"].map(|id| {
        let answer = admin.post_as(id, "/v1/tenants/acme/keys", &issue).expect(201).json();
        (answer["key_id"].as_str().unwrap().to_owned(), answer["key"].as_str().unwrap().to_owned())
    });
    let _ = admin.revoke("acme", &revoked.0).expect(200);
    let path = format!("/v1/tenants/acme/keys/{}/rotate", rotated.0);
    let _ = admin.post(&path, &json!({"by_hand": true})).expect(201);
    let keys = [kept, revoked, rotated];
    let before = told(&admin, &keys);
    let operator = server.operator_key();
    let nats = NatsServer::start().await;
    let home = place(server.data());
    assert_eq!(copy_refused(&home, &nats.url()), "data_in_use", "nobody may serve it meanwhile");
    let setup = server.stop();

    let copied = copy(&home, &nats.url());
    let seals = copied["seals"].as_u64();
    assert_eq!(copied["found"], json!(0), "{copied}");
    assert!(seals > Some(3), "of three tenants and of the owners: {copied}");
    let on_nats = setup.clone().arg("--log").arg(nats.url()).start();
    let there = on_nats.admin_with(&operator);
    assert_eq!(told(&there, &keys), before);
    let again = there.post_as("spring-1", "/v1/tenants/acme/keys", &issue).expect(200).json();
    assert_eq!((&again["key_id"], &again["key"]), (&json!(keys[0].0), &Value::Null), "a repeat is known");
    let back = tempfile::tempdir().expect("a folder for the log that comes back");
    let back_home = place(back.path());
    assert_eq!(copy_refused(&nats.url(), &back_home), "log_served", "its pulse is heard");
    assert_eq!(there.revoke("acme", &keys[0].0).expect(200).json()["effective"], true);
    let after = told(&there, &keys);
    drop(on_nats.stop());

    let copied = copy(&nats.url(), &back_home);
    assert!(copied["seals"].as_u64() >= seals, "{copied}");
    let known = copy(&nats.url(), &back_home);
    assert_eq!((&known["found"], &known["root"]), (&copied["head"], &copied["root"]), "all of it was there");
    let server = ServerSetup::embedded().data_in(back.path()).start();
    let admin = server.admin_with(&operator);
    assert_eq!(told(&admin, &keys), after);
    assert_eq!(admin.verdict(&keys[0].1), "revoked");
    let issued = admin.issue("acme", "sender-team");
    assert_eq!(admin.verdict(&issued.key), "valid", "its seals are there");
    drop(server.stop());
    // The two parted: what is in NATS is now behind, and takes the rest; the folder it came from holds another end.
    assert_eq!(copy_refused(&nats.url(), &back_home), "target_differs");
    assert_eq!(copy(&back_home, &nats.url())["found"], copied["head"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupted_copy_goes_on_and_is_no_log_before_its_end() {
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let [source, target, back] = folders.each_ref().map(tempfile::TempDir::path);
    let log_id = LogId::from_u128(77);
    write_log(source, log_id, 15_000, 5).await;
    let scratch = tempfile::tempdir().expect("a folder");
    let length = timed(&["log", "copy", "--from", &place(source), "--to", &place(scratch.path())]);
    let nats = NatsServer::start().await;
    let mut drawn = Drawn::from(11);
    let mut stopped = 0;
    for (from, to, kills) in
        [(place(source), place(target), 3), (place(target), nats.url(), 5), (nats.url(), place(back), 2)]
    {
        for _ in 0..kills {
            let command = verb(&["log", "copy", "--from", &from, "--to", &to]);
            if killed_after(command, drawn.moment(length)) {
                break;
            }
            stopped += 1;
            check_no_log(&to).await;
        }
        let copied = copy(&from, &to);
        assert!(copied["head"].as_u64() >= Some(15_000), "{copied}");
    }
    assert!(stopped >= 4, "only {stopped} of the copies were stopped in the middle");
    let expected = events_in(source).await;
    assert_eq!(expected.0, log_id);
    for folder in [target, back] {
        assert!(events_in(folder).await == expected, "{} holds something else", folder.display());
    }
}

/// Whatever a copy left behind is taken by no server for a log.
async fn check_no_log(place: &str) {
    let Some(data) = place.strip_prefix("embedded:").map(Path::new) else {
        let log = JetStream::connect_existing(config(place)).await;
        let said = log.err().map(|error| error.to_string()).unwrap_or_default();
        // Stopped before it had made anything, or later.
        assert!(said.contains("not finished") || said.contains("no log"), "{said}");
        return;
    };
    if data.join("log.redb").exists() {
        let data = data.to_str().expect("a path in UTF-8");
        let serve = ended(verb(&["serve", "--data", data, "--listen", "127.0.0.1:0"]));
        assert!(serve.code != 0 && serve.stderr.contains("not finished"), "{serve:?}");
    }
}

fn config(url: &str) -> JetStreamConfig {
    let new_log_id = LogId::from_u128(0);
    let url = url.to_owned();
    JetStreamConfig { url, creds: None, nkey: None, ca: None, replicas: 1, new_log_id, monitor_url: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_log_and_a_log_that_parted_are_refused() {
    let folders = [(); 3].map(|()| tempfile::tempdir().expect("a folder"));
    let [one, same, other] = folders.each_ref().map(tempfile::TempDir::path);
    write_log(one, LogId::from_u128(1), 3_000, 1).await;
    write_log(same, LogId::from_u128(1), 5_000, 2).await;
    write_log(other, LogId::from_u128(2), 1_000, 1).await;
    let nowhere = one.join("nowhere");
    assert_eq!(copy_refused(&place(&nowhere), &place(other)), "no_log");
    assert!(!nowhere.exists(), "and nothing was made of it");
    assert_eq!(copy_refused(&place(one), &place(other)), "target_differs");
    assert_eq!(copy_refused(&place(one), &place(same)), "target_differs", "of one name, with other events");
    let before = events_in(same).await;
    let ended = ended(verb(&["log", "copy", "--from", &place(same), "--to", &place(one)]));
    assert!(ended.stderr.contains("at position 1"), "the first one that differs is named: {ended:?}");
    assert!(events_in(same).await == before, "and nothing was changed");
}
