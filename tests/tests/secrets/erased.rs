//! A person is erased: before, only who asks reads who they are; afterwards nobody does, from nothing that there is.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tests::nats::NatsServer;
use tests::server::{Admin, Answer, IssuedKey, ServerSetup, TestServer};

use crate::taken::{Listeners, restored, taken_away};
use crate::{files, holds};

const OWNER: &str = "ada.lovelace@lists.example";
const NAME: &str = "Ada's spring sender";
const NOTE: &str = "Ada left the lists team";
/// Where whoever holds the key gives it back from.
const HOME: &str = "127.0.77.31";
const LEAKED_AT: &str = "https://lists.example/ada/send.py";

/// A label of hers. Labels are not about persons: whoever searches finds it, and so would find the rest.
const LABEL: &str = "lists-of-spring";

/// All that tells who she was, and where she was.
const TRACES: [&str; 5] = [OWNER, NAME, NOTE, HOME, LEAKED_AT];

/// The first of some texts that lies in a folder, and where.
fn lies_in(folder: &Path, texts: &[&'static str]) -> Option<(&'static str, PathBuf)> {
    let mut all = Vec::new();
    files(folder, &mut all);
    assert!(!all.is_empty(), "there is something to search in {}", folder.display());
    all.into_iter().find_map(|path| {
        let bytes = fs::read(&path).unwrap_or_default();
        let trace = texts.iter().find(|trace| holds(&bytes, trace))?;
        Some((*trace, path))
    })
}

/// The first trace that lies in a folder, and where.
fn found_in(folder: &Path) -> Option<(&'static str, PathBuf)> {
    lies_in(folder, &TRACES)
}

/// What a search of a folder would find is found where it may be.
#[track_caller]
fn is_searched(folder: &Path) {
    let found = lies_in(folder, &[LABEL]);
    assert!(found.is_some(), "what lies in {} cannot be searched", folder.display());
}

fn said_in(what: &str, text: &str) {
    for trace in TRACES {
        assert!(!text.contains(trace), "{trace} is in {what}");
    }
}

fn issue(admin: &Admin, owner: &str, name: &str) -> IssuedKey {
    let labels = json!({"service": LABEL});
    let body = json!({"owner": owner, "name": name, "scopes": ["campaigns:send"], "labels": labels});
    let answer = admin.post("/v1/tenants/acme/keys", &body).expect(201).json();
    let part = |member: &str| answer[member].as_str().expect("an issue answers it").to_owned();
    let position = answer["position"].as_u64().expect("an issue has a place");
    IssuedKey { key_id: part("key_id"), key: part("key"), position }
}

/// Gives a key back, from an address of the holder's own.
fn give_back(server: &TestServer, key: &str) {
    const PROGRAM: &str = "
import http.client, os, sys
host, home = sys.argv[1], sys.argv[2]
connection = http.client.HTTPConnection(host, source_address=(home, 0), timeout=10)
headers = {'authorization': 'Bearer ' + os.environ['HELD'], 'content-type': 'application/json'}
connection.request('POST', '/v1/self/revoke', '{}', headers)
sys.exit(0 if connection.getresponse().status == 200 else 1)
";
    let host = server.url().trim_start_matches("http://");
    let python = Command::new("python3").args(["-c", PROGRAM, host, HOME]).env("HELD", key).status();
    assert!(python.expect("python3 runs").success(), "the key was not given back");
}

fn shown(admin: &Admin, key_id: &str) -> Value {
    admin.get(&format!("/v1/tenants/acme/keys/{key_id}")).expect(200).json()
}

fn history(admin: &Admin, key_id: &str) -> String {
    admin.get(&format!("/v1/tenants/acme/keys/{key_id}/events")).expect(200).text
}

fn erase(admin: &Admin, command_id: &str) -> Answer {
    admin.post_as(command_id, "/v1/tenants/acme/erasures", &json!({"owner": OWNER}))
}

/// Two keys of hers with all that can be said of them; the first one ended, the second one not.
struct Person {
    given_back: IssuedKey,
    leaked: IssuedKey,
    renamed: IssuedKey,
}

fn live(server: &TestServer, admin: &Admin) -> Person {
    let other = issue(admin, "list-sender", "autumn");
    let person = Person {
        given_back: issue(admin, OWNER, NAME),
        leaked: issue(admin, OWNER, "autumn"),
        renamed: issue(admin, OWNER, "autumn"),
    };
    let of = |key: &IssuedKey| format!("/v1/tenants/acme/keys/{}", key.key_id);
    let _ = admin.send("PATCH", &of(&person.renamed), &[], Some(&json!({"name": NAME}))).expect(200);
    let same = admin.send("PATCH", &of(&person.renamed), &[], Some(&json!({"name": NAME})));
    assert_eq!(same.expect(409).code(), "unchanged", "a sealed name is compared with the one asked for");
    let suspend = json!({"reason": "investigating", "note": NOTE});
    let _ = admin.post(&format!("{}/suspend", of(&person.renamed)), &suspend).expect(200);
    let report = json!({"reports": [{"token": person.leaked.key, "source": "scan", "url": LEAKED_AT}]});
    let _ = admin.post("/v1/leaks", &report).expect(200);
    give_back(server, &person.given_back.key);
    let policy = json!({"selector": {"owner": OWNER}, "rules": {"rotate_after": "90d"}});
    let _ = admin.send("PUT", "/v1/tenants/acme/policies/hers", &[], Some(&policy)).expect(200);
    assert_eq!(admin.verdict(&other.key), "valid");
    person
}

/// Whoever may ask reads all of it.
fn is_readable(server: &TestServer, admin: &Admin, person: &Person) {
    server.wait_views();
    let leaked = shown(admin, &person.leaked.key_id);
    assert_eq!((&leaked["owner"], &leaked["leaked"]["url"]), (&json!(OWNER), &json!(LEAKED_AT)));
    let renamed = shown(admin, &person.renamed.key_id);
    assert_eq!((&renamed["name"], &renamed["note"]), (&json!(NAME), &json!(NOTE)));
    let told = admin.get("/v1/events?tenant=acme").expect(200).text;
    for trace in TRACES {
        assert!(told.contains(trace), "{trace} is not told to an auditor");
    }
    assert!(history(admin, &person.given_back.key_id).contains(HOME));
    let verdict = admin.post("/v1/verify", &json!({"key": person.given_back.key})).expect(200).json();
    assert_eq!((&verdict["verdict"], &verdict["owner"]), (&json!("revoked"), &json!(OWNER)));
    assert_eq!(
        admin.get("/v1/tenants/acme/policies").expect(200).json()["policies"][0]["selector"]["owner"],
        OWNER
    );
    for (text, count) in [("ADA.LOVE", 3), ("spring", 2), ("nobody", 0)] {
        let found = admin.get(&format!("/v1/tenants/acme/keys?q={text}")).expect(200).json();
        assert_eq!(found["keys"].as_array().unwrap().len(), count, "{text}: {found}");
    }
    let hers = admin.get(&format!("/v1/tenants/acme/keys?owner={OWNER}")).expect(200).json();
    assert_eq!(hers["keys"].as_array().unwrap().len(), 3);
}

/// Nobody is told any of it, by any route.
fn is_told_nowhere(server: &TestServer, admin: &Admin, person: &Person) {
    server.wait_views();
    for key in [&person.given_back, &person.leaked, &person.renamed] {
        let key_shown = shown(admin, &key.key_id);
        assert_eq!(key_shown["owner"], json!({"sealed": true}), "{key_shown}");
        said_in("a key", &key_shown.to_string());
        said_in("a history", &history(admin, &key.key_id));
        let verdict = admin.post("/v1/verify", &json!({"key": key.key})).expect(200);
        said_in("a verdict", &verdict.text);
    }
    for path in [
        "/v1/events",
        "/v1/tenants/acme/keys",
        "/v1/tenants/acme/keys?q=ada",
        "/v1/tenants/acme/policies",
        "/v1/tenants/acme/review",
        "/v1/tenants",
        "/metrics",
    ] {
        said_in(path, &admin.get(path).expect(200).text);
    }
}

/// Nothing that left the server tells any of it: not what listeners heard while she was there, nor what is taken away now.
fn is_taken_nowhere(server: &TestServer, admin: &Admin, person: &Person, listeners: &Listeners) {
    // The key that is issued last is the last that they hear of.
    let last = issue(admin, "list-sender", "autumn");
    for (what, told) in listeners.heard(&last.key_id) {
        assert!(told.contains(&person.renamed.key_id), "{what} told of her key: {told}");
        said_in(what, &told);
    }
    let folder = tempfile::tempdir().unwrap();
    for (what, told) in taken_away(server, admin, folder.path()) {
        said_in(what, &told);
    }
    let backup = folder.path().join("backup");
    for taken in [&folder.path().join("export"), &backup] {
        is_searched(taken);
        assert_eq!(found_in(taken), None);
    }
    // Nor does a server on what the backup gives back: of her seals it has that they were destroyed.
    let (again, operator) = restored(&backup, folder.path(), server);
    is_told_nowhere(&again, &operator, person);
    assert_eq!(found_in(again.stop().data()), None);
}

fn a_person_is_erased(setup: ServerSetup, store: Option<&Path>) {
    let signer = setup.data().join("signer.key");
    let setup = setup.arg("--notary").arg(signer).arg("--webhooks-allow-private");
    let server = setup.arg("--log-level").arg("debug").start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let listeners = Listeners::of(&server, &admin, "acme");
    let person = live(&server, &admin);
    is_readable(&server, &admin, &person);

    let refused = erase(&admin, "too-early").expect(409);
    assert_eq!(refused.code(), "owner_has_live_keys");
    assert!(refused.text.contains(&person.renamed.key_id), "{refused:?}");
    let revoke = json!({"reason": "owner_left", "note": NOTE});
    let path = format!("/v1/tenants/acme/keys/{}/revoke", person.renamed.key_id);
    let _ = admin.post(&path, &revoke).expect(200);
    server.wait_views();
    // What is sealed cannot be read even while she is there.
    assert_eq!(found_in(server.data()), None);
    assert_eq!(store.and_then(found_in), None);

    let ask = json!({"owner": OWNER, "dry_run": true});
    let preview = admin.post("/v1/tenants/acme/erasures", &ask).expect(200).json();
    assert_eq!(
        (&preview["live_keys"], &preview["keys"], &preview["sealed"]),
        (&json!(0), &json!(3), &json!(true))
    );
    let before = seals(&server);
    let erased = erase(&admin, "erase-ada").expect(201).json();
    assert_eq!(erased["in_the_clear"], json!({"events": 0, "complete": true}));
    is_told_nowhere(&server, &admin, &person);
    let again = erase(&admin, "erase-ada").expect(200).json();
    assert_eq!((&again["position"], &again["repeated"]), (&erased["position"], &json!(true)));
    assert_eq!(erase(&admin, "erase-ada-again").expect(409).code(), "already_erased");
    let nobody = admin.post("/v1/tenants/acme/erasures", &json!({"owner": "nobody"})).expect(409);
    assert_eq!(nobody.code(), "no_such_owner");
    is_taken_nowhere(&server, &admin, &person, &listeners);

    // Killed between the fact and the seal: the seal is there, and the log says that it is not.
    let said = format!("{}{}", server.stdout(), server.stderr());
    let setup = server.kill9();
    if let Some((path, bytes)) = before {
        assert_ne!(fs::read(&path).unwrap(), bytes, "the seal was destroyed on disk");
        fs::write(&path, bytes).unwrap();
    }
    let mut server = setup.start();
    let admin = server.admin();
    server.wait_for("the erasure to be finished", |_| {
        (shown(&admin, &person.renamed.key_id)["owner"] == json!({"sealed": true})).then_some(())
    });
    is_told_nowhere(&server, &admin, &person);

    // She comes back, and what was erased stays so.
    let later = issue(&admin, OWNER, NAME);
    assert_eq!(shown_soon(&mut server, &admin, &later.key_id)["owner"], OWNER);
    let verdict = admin.post("/v1/verify", &json!({"key": later.key})).expect(200).json();
    assert_eq!((&verdict["verdict"], &verdict["owner"]), (&json!("valid"), &json!(OWNER)));
    assert_eq!(shown(&admin, &person.renamed.key_id)["owner"], json!({"sealed": true}));
    let said = format!("{said}{}{}", server.stdout(), server.stderr());
    said_in("a server's own log", &said);
    let setup = server.stop();
    // Views and the index's snapshot among them, as a stop leaves them.
    is_searched(&setup.data().join("views/keys"));
    is_searched(&store.map_or_else(|| setup.data().join("log.redb"), Path::to_owned));
    assert_eq!(found_in(setup.data()), None);
    assert_eq!(store.and_then(found_in), None);
}

fn shown_soon(server: &mut TestServer, admin: &Admin, key_id: &str) -> Value {
    let path = format!("/v1/tenants/acme/keys/{key_id}");
    server.wait_for("the key to be shown", |_| {
        let answer = admin.get(&path);
        (answer.status == 200).then(|| answer.json())
    })
}

/// The seals as they lie in the data folder of a server with an embedded log.
fn seals(server: &TestServer) -> Option<(PathBuf, Vec<u8>)> {
    let path = server.data().join("seals/subjects.seals");
    fs::read(&path).ok().map(|bytes| (path, bytes))
}

/// The tests above, of a server with a bug: they have to fail, and for this reason.
#[track_caller]
fn is_caught(bug: &str, reason: &str) {
    let run = || a_person_is_erased(ServerSetup::embedded().env("RESCIND_PLANTED", bug), None);
    let panic = std::panic::catch_unwind(run).expect_err("nobody saw the planted bug");
    let text = panic.downcast_ref::<String>().map(String::as_str);
    let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(text.contains(reason), "{bug} was seen for another reason: {text}");
}

#[test]
fn a_seal_that_is_not_destroyed_is_caught() {
    is_caught("seal-survives", "lovelace");
}

#[test]
fn a_text_that_is_appended_unsealed_is_caught() {
    is_caught("text-unsealed", "left: Some((\"");
}

#[test]
fn a_person_is_erased_from_the_embedded_log() {
    a_person_is_erased(ServerSetup::embedded(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_is_erased_from_nats() {
    let nats = NatsServer::start().await;
    let (store, url) = (nats.store(), nats.url());
    let erased = move || a_person_is_erased(ServerSetup::nats(&url), Some(&store));
    tokio::task::spawn_blocking(erased).await.unwrap();
}
