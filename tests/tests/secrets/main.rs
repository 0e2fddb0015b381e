//! Secrets are shown once: every route and failure at TRACE level and a panic, and then a search through all there is. And who
//! was erased is found nowhere, neither here nor in what was taken away.

#![cfg(test)]

mod erased;
mod taken;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;
use tests::nats::NatsServer;
use tests::server::{Admin, Client, ServerSetup, TestServer};

/// All files below a folder, or the one file that it is.
fn files(dir: &Path, found: &mut Vec<PathBuf>) {
    if dir.is_file() {
        return found.push(dir.to_owned());
    }
    for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            files(&entry.path(), found);
        } else {
            found.push(entry.path());
        }
    }
}

fn holds(haystack: &[u8], needle: &str) -> bool {
    haystack.windows(needle.len()).any(|window| window == needle.as_bytes())
}

/// The 32 characters that open a key.
fn secret_of(key: &str) -> &str {
    let tail = key.rsplit('_').next().unwrap();
    &tail[26..58]
}

#[track_caller]
fn is_nowhere(dir: &Path, secrets: &[&str]) {
    let mut all = Vec::new();
    files(dir, &mut all);
    assert!(!all.is_empty(), "there is something to search in {}", dir.display());
    for path in all.iter().filter(|path| path.file_name().is_some_and(|name| name != "operator.key")) {
        let bytes = fs::read(path).unwrap();
        for secret in secrets {
            assert!(!holds(&bytes, secret), "a secret lies in {}", path.display());
        }
    }
}

/// Goes through every route, right and wrong, and collects what comes back.
fn exercise(server: &TestServer, admin: &Admin, keys: &[String], key_ids: &[String]) -> String {
    let mut said = String::new();
    let mut note = |answer: tests::server::Answer| {
        said.push_str(&answer.text);
        said.push_str(&format!("{:?}", answer.headers));
    };
    let stranger = server.admin_with(&keys[0]);
    for key in keys {
        note(admin.post("/v1/verify", &json!({"key": key})));
        note(admin.post("/v1/verify", &json!({"key": key, "scope": "lists:delete", "network": "192.0.2.1"})));
        note(admin.post("/v1/verify", &json!({"key": key, "unknown": 1})));
        note(admin.post("/v1/verify", &json!({"key": [key]})));
        note(
            admin.post("/v1/verify/batch", &json!({"requests": [{"key": key}, {"key": format!("{key}x")}]})),
        );
        note(admin.post("/v1/tenants/acme/keys", &json!({"owner": 1, "scopes": [key]})));
        note(admin.post("/v1/tenants", &json!({key: "x"})));
        note(admin.get(&format!("/v1/tenants/acme/keys/{key}")));
        note(admin.get(&format!("/v1/nothing/{}", key.len())));
        // Reports that do not fit, of keys that are not its own, that are not signed well; and keys that cannot burn.
        let leak = json!({"token": key, "source": "scan", "url": format!("https://example.com/?key={key}")});
        note(admin.post("/v1/leaks", &json!({"reports": [leak, {"token": key, "source": key}]})));
        note(admin.post("/v1/leaks", &json!({"reports": [{"token": [key], key: 1}]})));
        note(stranger.post("/v1/leaks", &json!({"reports": [leak]})));
        let signed =
            [("github-public-key-identifier", "nobody"), ("github-public-key-signature", key.as_str())];
        note(admin.send("POST", "/v1/leaks", &signed, Some(&json!([{"token": key, "type": "k"}]))));
        let holder = server.admin_with(key);
        note(holder.post("/v1/self/revoke", &json!({"reason": key})));
        note(holder.post("/v1/self/revoke", &json!({"tenant": key, "note": "spring"})));
        note(server.admin_with(&key[1..]).post("/v1/self/revoke", &json!({})));
    }
    for key_id in key_ids {
        note(admin.get(&format!("/v1/tenants/acme/keys/{key_id}")));
        note(admin.get(&format!("/v1/tenants/acme/keys/{key_id}/events")));
        note(admin.revoke("acme", key_id));
        note(admin.revoke("acme", key_id));
        note(stranger.get(&format!("/v1/tenants/acme/keys/{key_id}")));
    }
    for path in [
        "/v1/tenants",
        "/v1/tenants/acme/keys",
        "/v1/events",
        "/livez",
        "/readyz?verbose",
        "/metrics",
        "/openapi.json",
    ] {
        note(admin.get(path));
        note(stranger.get(path));
    }
    said
}

/// Ends one key by a report that has its secret in the address too, and one by itself; what came back.
fn burn(server: &TestServer, admin: &Admin, leaked: &str, burned: &str) -> String {
    let url = format!("https://example.com/?key={leaked}&other={burned}");
    let report = json!({"reports": [{"token": leaked, "source": "scan", "url": url}]});
    let reported = admin.post("/v1/leaks", &report).expect(200);
    assert_eq!(reported.json()["results"][0]["response"], "revoked", "{reported:?}");
    let gone = server.admin_with(burned).post("/v1/self/revoke", &json!({})).expect(200);
    format!("{}{}", reported.text, gone.text)
}

fn search(server: TestServer, store: Option<&Path>) {
    let admin = server.admin();
    admin.open_tenant("acme");
    let issued: Vec<_> = (0..3).map(|_| admin.issue("acme", "list-sender")).collect();
    let body = json!({"owner": "list-sender", "scopes": []});
    let first = admin.post_as("once", "/v1/tenants/acme/keys", &body).expect(201).json();
    let again = admin.post_as("once", "/v1/tenants/acme/keys", &body).expect(200);
    assert!(again.json()["key"].is_null() && again.json()["secret_already_shown"] == true, "{again:?}");
    let mut keys: Vec<String> = issued.iter().map(|key| key.key.clone()).collect();
    keys.push(first["key"].as_str().unwrap().to_owned());
    keys.push(server.operator_key());
    let key_ids: Vec<String> = issued.iter().map(|key| key.key_id.clone()).collect();

    let [leaked, burned] = [(); 2].map(|()| admin.issue("acme", "list-sender"));
    keys.extend([leaked.key.clone(), burned.key.clone()]);
    let mut said = exercise(&server, &admin, &keys, &key_ids);
    said.push_str(&burn(&server, &admin, &leaked.key, &burned.key));
    // A panic inside a request: its answer tells nothing, and the server goes on.
    let panicked = admin.post("/v1/verify", &json!({"key": keys[0], "scope": "planted:panic"}));
    assert_eq!(panicked.status, 500, "{panicked:?}");
    let _ = Client::default().send("GET", &format!("{}/livez", server.url()), &[], None).expect(200);

    let output = format!("{said}{}{}{}", panicked.text, server.stdout(), server.stderr());
    // Nothing of ours speaks at TRACE; on NATS its client does.
    assert!(output.len() > 10_000 && output.contains("DEBUG"), "there is something to search");
    assert!(server.stderr().contains("panicked"), "the panic was logged");
    let setup = server.stop();
    let secrets: Vec<&str> = keys.iter().map(|key| secret_of(key)).collect();
    for secret in &secrets {
        let at = output.find(secret).map(|at| &output[at.saturating_sub(200)..at]);
        assert_eq!(at, None, "a secret was said after this");
    }
    is_nowhere(setup.data(), &secrets);
    if let Some(store) = store {
        is_nowhere(store, &secrets);
    }
}

fn at_trace_level(setup: ServerSetup) -> TestServer {
    setup.arg("--log-level").arg("trace").start()
}

#[test]
fn secrets_are_nowhere_on_the_embedded_log() {
    search(at_trace_level(ServerSetup::embedded()), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_nowhere_on_nats() {
    let nats = NatsServer::start().await;
    let store = nats.store();
    let url = nats.url();
    tokio::task::spawn_blocking(move || search(at_trace_level(ServerSetup::nats(&url)), Some(&store)))
        .await
        .unwrap();
}
