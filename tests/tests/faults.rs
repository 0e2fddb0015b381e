//! Bad input and faults, each against the real server: a clear answer that names the thing, nothing lost, no panic.

#![cfg(test)]

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use domain::LogId;
use eventlog::{EmbeddedLog, OpenError};
use serde_json::{Value, json};
use tests::foreign::append_foreign;
use tests::server::{Admin, Answer, Client, ServerSetup, TestServer, binary};

const KEY: &str = "rsk_live_01JD57W5E6M4Q0T3S8V2NFD1YZ0123456789ABCDEFGHIJKLMNOPQRSTUV1W00Rk";

fn acme() -> (TestServer, Admin) {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    (server, admin)
}

#[track_caller]
fn is_problem(answer: &Answer, status: u16, code: &str) {
    let problem = answer.json();
    assert_eq!((answer.status, problem["code"].as_str()), (status, Some(code)), "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/problem+json"), "{answer:?}");
    assert_eq!(problem["status"], status);
    for member in ["type", "title", "remedy"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{member}: {answer:?}");
    }
}

#[test]
fn a_key_that_is_none_is_malformed_and_a_foreign_one_unknown() {
    let (_server, admin) = acme();
    let issued = admin.issue("acme", "list-sender").key;
    let mut wrong = issued.clone().into_bytes();
    let last = wrong.len() - 1;
    wrong[last] = if wrong[last] == b'0' { b'1' } else { b'0' };
    let wrong = String::from_utf8(wrong).unwrap();
    let cases = [
        ("", "malformed"),
        ("x", "malformed"),
        (&issued[..issued.len() - 1], "malformed"),
        (&format!("{issued}0"), "malformed"),
        (&format!(" {issued}"), "malformed"),
        (&"k".repeat(10_000), "malformed"),
        ("rsk_live_\u{0}", "malformed"),
        (&wrong, "malformed"),
        (KEY, "unknown"),
        (&issued, "valid"),
        (&format!("secret-token:{issued}"), "valid"),
    ];
    for (key, verdict) in cases {
        assert_eq!(admin.verdict(key), verdict, "{key:.80}");
    }
    let keys: Vec<_> = cases.iter().map(|(key, _)| json!({"key": key})).collect();
    let batch = admin.post("/v1/verify/batch", &json!({"requests": keys})).expect(200).json();
    let answers = batch["results"].as_array().unwrap();
    let verdicts: Vec<_> = answers.iter().map(|answer| answer["verdict"].as_str().unwrap()).collect();
    assert_eq!(verdicts, cases.map(|(_, verdict)| verdict));
}

#[test]
fn only_who_holds_the_full_secret_learns_that_a_key_was_revoked() {
    let (_server, admin) = acme();
    let key = admin.issue("acme", "list-sender");
    let other = admin.issue("acme", "list-sender");
    let _ = admin.revoke("acme", &key.key_id).expect(200);
    let told = admin.post("/v1/verify", &json!({"key": key.key})).expect(200).json();
    assert_eq!(told["verdict"], "revoked");
    assert!(told["since"].is_string() && told["key_id"] == key.key_id.as_str(), "{told}");
    // The revoked key's id with a secret that is not its own, under a right checksum.
    let guess = domain::format_key(
        &domain::Prefix::default(),
        domain::Environment::Live,
        key.key_id.parse().unwrap(),
        &domain::PlainSecret::draw(|bytes| bytes.fill(1)),
    );
    let body = |key: &str| {
        let mut body = admin.post("/v1/verify", &json!({"key": key})).expect(200).json();
        body.as_object_mut().unwrap().remove("as_of");
        body
    };
    assert_eq!(body(guess.expose()), body(KEY), "a guess at a revoked key and at no key are answered alike");
    assert_eq!(admin.verdict(&other.key), "valid");
}

#[test]
fn bad_requests_are_told_what_is_wrong() {
    let (server, admin) = acme();
    let keys = "/v1/tenants/acme/keys";
    let issue = |body: Value| admin.post(keys, &body);
    for (body, named) in [
        (json!({}), "owner"),
        (json!({"owner": 7, "scopes": []}), "owner"),
        (json!({"owner": "a", "scopes": "lists:read"}), "scopes"),
        (json!({"owner": "a", "scopes": ["lists read"]}), "scope"),
        (json!({"owner": "a", "scopes": [], "networks": ["1.2.3.4/99"]}), "network"),
        (json!({"owner": "a", "scopes": [], "labels": {"a b": "c"}}), "label"),
        (json!({"owner": "a", "scopes": [], "environment": "staging"}), "environment"),
        (json!({"owner": "a", "scopes": [], "expires_at": "tomorrow"}), "expires_at"),
        (json!({"owner": "a", "scopes": [], "colour": "red"}), "colour"),
        (json!({"owner": "a\u{1b}[0m", "scopes": []}), "owner"),
    ] {
        let answer = issue(body.clone());
        assert!(matches!(answer.status, 400 | 422), "{body}: {answer:?}");
        assert!(answer.text.contains(named), "{body}: the answer names {named}: {answer:?}");
        assert_eq!(answer.header("content-type"), Some("application/problem+json"));
    }
    is_problem(
        &issue(json!({"owner": "a", "scopes": [], "expires_at": "2020-01-01T00:00:00Z"})),
        409,
        "expiry_in_past",
    );
    let large = admin.post(keys, &json!({"owner": "a", "scopes": [], "name": "x".repeat(70_000)}));
    is_problem(&large, 413, "body_too_large");
    // Each is refused before its body is read, and yet the answer has to arrive.
    for _ in 0..500 {
        let answer = admin.post_as(&"x".repeat(129), keys, &json!({"owner": "a", "scopes": []}));
        assert_eq!(answer.status, 400, "{answer:?}");
    }

    let client = Client::default();
    let authorization = format!("Bearer {}", server.operator_key());
    let raw = |content_type: &str, body: &[u8]| {
        let headers = [("authorization", authorization.as_str()), ("content-type", content_type)];
        client.send("POST", &format!("{}{keys}", server.url()), &headers, Some(body))
    };
    assert_eq!(raw("text/plain", b"{}").status, 415);
    assert_eq!(raw("application/json", b"{").status, 400);
    assert_eq!(raw("application/json", b"\xff\xfe").status, 400);
    assert_eq!(admin.send("DELETE", keys, &[], None).status, 405);
    assert_eq!(admin.get("/v1/nothing").status, 404);
    is_problem(&admin.get("/v1/events?tenant=acne"), 404, "not_found");
    assert_eq!(admin.get("/v1/events?tenant=acme").expect(200).text.lines().count(), 1);
    assert_eq!(admin.get(&format!("{keys}?limit=0")).status, 400);
    assert_eq!(admin.get(&format!("{keys}?limit=201")).status, 400);
    assert_eq!(admin.get(&format!("{keys}?cursor=%00")).status, 400);
    assert_eq!(admin.get(&format!("{keys}?min_position=99999999")).status, 503);
}

#[test]
fn what_belongs_to_another_tenant_does_not_exist() {
    let (server, admin) = acme();
    admin.open_tenant("other");
    let key = admin.issue("acme", "list-sender");
    let bodies = [
        admin.get(&format!("/v1/tenants/other/keys/{}", key.key_id)),
        admin.get("/v1/tenants/acme/keys/01JDA7W5W6M4Q0T3S8V2N9X1YZ"),
        admin.get("/v1/tenants/nobody/keys/01JDA7W5W6M4Q0T3S8V2N9X1YZ"),
        admin.revoke("other", &key.key_id),
        admin.revoke("nobody", &key.key_id),
        admin.get(&format!("/v1/tenants/other/keys/{}/events", key.key_id)),
        admin.post("/v1/tenants/nobody/keys", &json!({"owner": "a", "scopes": []})),
    ]
    .map(|answer| {
        let mut body = answer.clone().expect(404).json();
        body.as_object_mut().unwrap().remove("request_id");
        body
    });
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:#?}");
    // An operator bound to one tenant sees nothing of another, not even that it is there.
    let bound = operator(&admin, &["acme/keys:read", "acme/verify"]);
    let bound = server.admin_with(&bound);
    let _ = bound.get("/v1/tenants/acme/keys").expect(200);
    let elsewhere = bound.get("/v1/tenants/other/keys");
    let nowhere = bound.get("/v1/tenants/nobody/keys");
    assert_eq!((elsewhere.status, elsewhere.code()), (nowhere.status, nowhere.code()));
    assert_eq!(bound.verdict(&key.key), "valid");
    let foreign = admin.issue("other", "list-sender");
    assert_eq!(bound.verdict(&foreign.key), "unknown");
}

fn operator(admin: &Admin, scopes: &[&str]) -> String {
    let body = json!({"owner": "campaign-admin", "scopes": scopes});
    let answer = admin.post("/v1/tenants/rescind/keys", &body).expect(201);
    answer.json()["key"].as_str().unwrap().to_owned()
}

#[test]
fn an_operator_does_what_its_scopes_say_and_no_more() {
    let (server, admin) = acme();
    let reader = server.admin_with(&operator(&admin, &["keys:read"]));
    let _ = reader.get("/v1/tenants/acme/keys").expect(200);
    for (answer, scope) in [
        (reader.post("/v1/tenants/acme/keys", &json!({"owner": "a", "scopes": []})), "keys:issue"),
        (reader.post("/v1/tenants", &json!({"tenant": "new"})), "tenants:admin"),
        (reader.post("/v1/verify", &json!({"key": KEY})), "verify"),
        (reader.get("/v1/feed?tenant=acme"), "feed"),
        (reader.get("/v1/events"), "audit:read"),
    ] {
        assert_eq!(answer.status, 403, "{scope}: {answer:?}");
        assert!(answer.text.contains(scope), "{scope}: {answer:?}");
    }
    let nobody = Client::default();
    let ask =
        |headers: &[(&str, &str)]| nobody.send("GET", &format!("{}/v1/tenants", server.url()), headers, None);
    for headers in [&[][..], &[("authorization", "Basic eDp5")], &[("authorization", "Bearer x")]] {
        let answer = ask(headers);
        assert_eq!(answer.status, 401, "{answer:?}");
        assert!(answer.header("www-authenticate").is_some(), "{answer:?}");
    }
    // A campaign's key is no operator, and a revoked or expired operator is none any more.
    let key = admin.issue("acme", "list-sender");
    assert_eq!(server.admin_with(&key.key).get("/v1/tenants").status, 401);
    let gone = admin
        .post("/v1/tenants/rescind/keys", &json!({"owner": "a", "scopes": ["keys:read"]}))
        .expect(201)
        .json();
    let _ = admin.revoke("rescind", gone["key_id"].as_str().unwrap()).expect(200);
    assert_eq!(server.admin_with(gone["key"].as_str().unwrap()).get("/v1/tenants/acme/keys").status, 401);
}

#[test]
fn the_last_operator_stays_and_nobody_grants_more_than_they_hold() {
    let (server, admin) = acme();
    let own_id = server.operator_key()[9..35].to_owned();
    is_problem(&admin.revoke("rescind", &own_id), 409, "last_operator");
    let limited = server.admin_with(&operator(&admin, &["tenants:admin", "keys:issue", "keys:read"]));
    let answer = limited.post("/v1/tenants/rescind/keys", &json!({"owner": "a", "scopes": ["keys:revoke"]}));
    is_problem(&answer, 409, "scope_not_held");
    let _ = admin.revoke("rescind", &own_id).expect(200);
    assert_eq!(admin.get("/v1/tenants").status, 401, "its own key, at once");
}

#[test]
fn a_second_server_on_the_same_data_is_refused() {
    let server = ServerSetup::embedded().start();
    let output = ServerSetup::embedded().data_in(server.data()).command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success());
    assert!(said.contains(&server.data().display().to_string()), "it names the folder: {said}");
    assert!(server.admin().get("/v1/tenants").status == 200, "the first goes on");
}

#[test]
fn a_view_that_cannot_be_opened_is_set_aside_and_rebuilt() {
    let (server, admin) = acme();
    let key = admin.issue("acme", "list-sender");
    let setup = server.stop();
    let views = setup.data().join("views");
    let before = list(&setup.start(), "acme");
    for entry in fs::read_dir(&views).unwrap().map(Result::unwrap) {
        if entry.path().is_dir() {
            for file in
                fs::read_dir(entry.path()).unwrap().map(Result::unwrap).filter(|file| file.path().is_file())
            {
                fs::write(file.path(), b"no view").unwrap();
            }
        } else {
            fs::write(entry.path(), b"no snapshot").unwrap();
        }
    }
    let server = setup.start();
    assert_eq!(list(&server, "acme"), before);
    assert!(server.stderr().contains("rebuil"), "a log line says so: {}", server.stderr());
    let metrics = Client::default().send("GET", &format!("{}/metrics", server.url()), &[], None).text;
    assert!(metrics.contains("rescind_view_rebuilds_total{"), "{metrics}");
    assert_eq!(server.admin().verdict(&key.key), "valid");
    drop(server.stop());
    fs::remove_dir_all(&views).unwrap();
    assert_eq!(list(&setup.start(), "acme"), before, "views are disposable");
}

fn list(server: &TestServer, tenant: &str) -> Value {
    let admin = server.admin();
    let path = format!("/v1/tenants/{tenant}/keys?limit=200");
    loop {
        let answer = admin.get(&path);
        if answer.code() != "view_not_ready" {
            return answer.expect(200).json();
        }
    }
}

#[test]
fn an_event_of_a_later_build_quarantines_its_key_and_nothing_else() {
    let setup = ServerSetup::embedded();
    let server = setup.start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let (hit, spared) = (admin.issue("acme", "list-sender"), admin.issue("acme", "list-sender"));
    drop(server.stop());
    append_foreign(&setup, &format!("acme.{}", hit.key_id), hit.position);
    let server = setup.start();
    let admin = server.admin();
    assert_eq!(admin.verdict(&hit.key), "quarantined");
    assert_eq!(admin.verdict(&spared.key), "valid");
    let shown = admin.get(&format!("/v1/tenants/acme/keys/{}", hit.key_id));
    assert!(shown.status == 503 || shown.json()["standing"] == "quarantined", "{shown:?}");
    assert!(server.stderr().contains(&hit.key_id), "an alert names the key");
    let _ = admin.revoke("acme", &hit.key_id).expect(200);
    assert_eq!(admin.verdict(&hit.key), "revoked", "a quarantined key can be revoked");
    let events = admin.get("/v1/events?tenant=acme").expect(200).text;
    assert!(events.lines().any(|line| line.contains("unreadable")), "{events}");
}

#[test]
fn a_log_that_is_damaged_inside_is_refused_and_never_read_wrong() {
    let (server, admin) = acme();
    for _ in 0..20 {
        let _ = admin.issue("acme", "damaged-sender");
    }
    let setup = server.stop();
    let path = setup.data().join("log.redb");
    let mut bytes = Vec::new();
    fs::File::open(&path).unwrap().read_to_end(&mut bytes).unwrap();
    // What is no text about a person is stored as it is.
    let needle = b"campaigns:send";
    let hits: Vec<usize> =
        bytes.windows(needle.len()).enumerate().filter(|(_, w)| w == needle).map(|(i, _)| i).collect();
    assert!(hits.len() >= 20);
    let mut file = fs::File::options().write(true).open(&path).unwrap();
    for at in hits {
        file.seek(SeekFrom::Start(at as u64)).unwrap();
        file.write_all(b"D").unwrap();
    }
    drop(file);
    fs::remove_dir_all(setup.data().join("views")).unwrap();
    let output = Command::new("timeout")
        .arg("60")
        .arg(binary())
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(setup.data())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("damaged") && said.contains("position"), "{said}");
    assert!(!said.contains("panicked"), "{said}");
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let setup = ServerSetup::embedded();
    drop(setup.start().stop());
    // No file may grow past this many blocks of 1 KiB: for the process this is a full disk, error and all.
    let mut limited = Command::new("bash");
    limited.args(["-c", "trap '' XFSZ; ulimit -f 6000; exec \"$@\"", "bash"]);
    let inner = setup.command();
    limited.arg(inner.get_program()).args(inner.get_args());
    let server = TestServer::spawn(&setup, limited);
    server.wait_ready();
    let admin = server.admin();
    admin.open_tenant("acme");
    let mut kept = Vec::new();
    let full = loop {
        assert!(kept.len() < 200_000, "the disk never filled");
        let body = json!({"owner": "list-sender", "scopes": ["lists:read"], "name": "x".repeat(128)});
        let answer = admin.post("/v1/tenants/acme/keys", &body);
        if answer.status != 201 {
            break answer;
        }
        kept.push(answer.json()["key"].as_str().unwrap().to_owned());
    };
    assert!(matches!(full.status, 503 | 504), "{full:?}");
    assert_eq!(full.header("content-type"), Some("application/problem+json"), "{full:?}");
    let log = admin.get("/readyz?verbose").json()["checks"]["log"].clone();
    assert_eq!((&log["writable"], &log["reachable"]), (&json!(false), &json!(true)), "{log}");
    let why = &log["not_written"];
    assert!(
        why["since"].is_string() && why["reason"].as_str().is_some_and(|why| why.contains("too large")),
        "{log}"
    );
    let doctor = Command::new(binary())
        .args(["doctor", "--url", server.url(), "--key-file"])
        .arg(setup.data().join("operator.key"))
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(
        !doctor.status.success()
            && told.contains("could not be written since")
            && told.contains("free space"),
        "{told}"
    );
    assert!(!server.stderr().contains("panicked at"), "{}", server.stderr());
    drop(server.kill9());
    let server = setup.start();
    let admin = server.admin();
    for key in kept.iter().rev().take(200) {
        assert_eq!(admin.verdict(key), "valid");
    }
    assert_eq!(admin.post("/v1/tenants/acme/keys", &json!({"owner": "a", "scopes": []})).status, 201);
}

#[test]
fn what_lies_in_the_data_folder_is_the_owners_alone() {
    let server = ServerSetup::embedded().start();
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(server.data().join("operator.key")), 0o600);
    for seal in fs::read_dir(server.data().join("seals")).unwrap() {
        assert_eq!(mode(seal.unwrap().path()), 0o600);
    }
}

#[test]
fn plain_text_beyond_loopback_has_to_be_asked_for() {
    let output = ServerSetup::embedded().arg("--listen").arg("0.0.0.0:0").command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("--insecure") && said.contains("--tls-cert"), "{said}");
}

/// Starts a server whose stdout and stderr the shell sends elsewhere, and has it work.
fn goes_on(redirected: &str) -> TestServer {
    let setup = ServerSetup::embedded();
    let inner = setup.command();
    let mut command = Command::new("bash");
    command
        .args(["-c", &format!("exec \"$@\" {redirected}"), "bash"])
        .arg(inner.get_program())
        .args(inner.get_args());
    let server = TestServer::spawn(&setup, command);
    server.wait_ready();
    let admin = server.admin();
    admin.open_tenant("acme");
    let key = admin.issue("acme", "list-sender").key;
    // It panics in the handler, which the panic hook tells in the log.
    assert_eq!(admin.post("/v1/verify", &json!({"key": key, "scope": "planted:panic"})).status, 500);
    assert_eq!(admin.verdict(&key), "valid");
    server
}

#[test]
fn a_server_whose_log_lines_cannot_be_written_goes_on_and_counts_them() {
    // Every write to that file fails, as on a full disk; a pipe without a reader fails in another way.
    for stderr in ["2>/dev/full", "2> >(exec 0<&-)"] {
        let server = goes_on(stderr);
        let metrics = Client::default().send("GET", &format!("{}/metrics", server.url()), &[], None).text;
        let lost = metrics.lines().find_map(|line| line.strip_prefix("rescind_log_lines_lost_total "));
        assert!(lost.is_some_and(|lost| lost.parse::<u64>().unwrap() > 0), "{stderr}: {metrics}");
        drop(server.stop());
    }
}

#[test]
fn a_server_whose_stdout_nobody_reads_goes_on() {
    for stdout in ["1>/dev/full", "1> >(exec 0<&-)"] {
        drop(goes_on(stdout).stop());
    }
}

/// Opens a copy of a log with some bytes in the middle of it overwritten until redb panics on one; such a copy's bytes.
fn damaged_so_that_redb_panics(log: &[u8], dir: &std::path::Path) -> Vec<u8> {
    let path = dir.join("damaged.redb");
    for seed in 0_usize..2000 {
        let mut bytes = log.to_vec();
        let at = 4096 + seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (bytes.len() - 8192);
        for (n, byte) in bytes[at..at + 200].iter_mut().enumerate() {
            *byte = (seed.wrapping_mul(31) ^ n.wrapping_mul(197)) as u8;
        }
        fs::write(&path, &bytes).unwrap();
        match EmbeddedLog::open(&path, LogId::from_u128(1)) {
            Err(OpenError::Damaged { reason, .. }) if reason.contains("panicked") => return bytes,
            _ => {}
        }
    }
    panic!("redb panicked on none of them");
}

#[test]
fn a_panic_of_the_logs_database_is_told_as_damage_and_not_as_our_bug() {
    let (server, admin) = acme();
    for _ in 0..50 {
        let _ = admin.issue("acme", "list-sender");
    }
    let setup = server.stop();
    let path = setup.data().join("log.redb");
    let damaged = damaged_so_that_redb_panics(&fs::read(&path).unwrap(), setup.data());
    fs::write(&path, damaged).unwrap();
    let output = setup.command().output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("is damaged") && said.contains("backup"), "{said}");
    assert!(said.contains("redb panicked on what it read"), "{said}");
    assert!(!said.contains("bug in this program") && !said.contains("ERROR"), "{said}");
}

#[test]
fn without_a_tenants_seal_its_keys_can_still_be_taken_away() {
    let (server, admin) = acme();
    let [key, suspended, recalled] = ["list-sender"; 3].map(|owner| admin.issue("acme", owner));
    let setup = server.stop();
    let (seals, aside) = (setup.data().join("seals"), setup.data().join("seals.aside"));
    fs::rename(&seals, &aside).unwrap();
    let server = setup.start();
    let admin = server.admin();
    assert!(
        server.stderr().contains("ERROR") && server.stderr().contains("put seals/default"),
        "{}",
        server.stderr()
    );
    for answer in [
        admin.get("/v1/tenants/acme/keys?owner=list-sender"),
        admin.post("/v1/tenants/acme/keys", &json!({"owner": "list-sender", "scopes": []})),
        admin.post(
            "/v1/tenants/acme/recalls",
            &json!({"selector": {"owner": "list-sender"}, "reason": "other", "dry_run": true}),
        ),
    ] {
        is_problem(&answer, 503, "seal_missing");
        assert!(answer.text.contains("tenant acme") && answer.text.contains("RESCIND_SEALS"), "{answer:?}");
    }
    is_problem(&admin.revoke("acne", &key.key_id), 404, "not_found");
    assert_eq!(admin.verdict(&key.key), "valid");
    let revoke = format!("/v1/tenants/acme/keys/{}/revoke", key.key_id);
    let once = admin.post_as("r1", &revoke, &json!({"reason": "leaked"})).expect(200).json();
    let again = admin.post_as("r1", &revoke, &json!({"reason": "leaked"})).expect(200).json();
    assert_eq!((&once["position"], &again["repeated"]), (&again["position"], &json!(true)));
    is_problem(&admin.post_as("r1", &revoke, &json!({"reason": "other"})), 409, "command_id_reused");
    let suspend = format!("/v1/tenants/acme/keys/{}/suspend", suspended.key_id);
    let _ = admin.post(&suspend, &json!({})).expect(200);
    let recall = json!({"selector": {"label": "service=mailer"}, "reason": "other", "accept_changes": true});
    let _ = admin.post("/v1/tenants/acme/recalls", &recall).expect(201);
    let verdicts = [&key, &suspended, &recalled].map(|key| admin.verdict(&key.key));
    assert_eq!(verdicts, ["revoked", "recalled", "recalled"]);
    let told = admin.get("/readyz?verbose").expect(200).json();
    assert_eq!(told["checks"]["seals_lost"], 3, "{told}");
    // Put back, they are used at once.
    fs::remove_dir_all(&seals).unwrap();
    fs::rename(&aside, &seals).unwrap();
    let _ = admin.issue("acme", "list-sender");
    assert_eq!(admin.get("/readyz?verbose").expect(200).json()["checks"]["seals_lost"], 0);
}
