//! Backups: whatever is lost, nobody who lost a key gets it again; and a kill at any moment leaves a backup or none.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use domain::LogId;
use eventlog::EmbeddedLog;
use serde_json::{Value, json};
use tempfile::TempDir;
use tests::server::{Admin, IssuedKey, ServerSetup, TestServer};

use crate::given::{
    Drawn, done, ended, events_in, is_caught, killed_after, on, planted, refused, timed, verb, write_log,
};

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

/// Backs a server up while it serves.
#[track_caller]
fn back_up(server: &TestServer, backup: &Path, bug: &str) -> Value {
    let made = ended(on(planted(&["backup", "create", text(backup)], bug), server));
    assert_eq!(made.code, 0, "{made:?}");
    made.json()
}

/// The notices of a tenant from a position on, as somebody who listened has them.
fn heard(server: &TestServer, from: u64, count: usize) -> String {
    let mut watch = on(verb(&["watch", "--tenant", "acme", "--from", &from.to_string()]), server)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary is built with the tests");
    let lines = BufReader::new(watch.stdout.take().expect("stdout is a pipe")).lines();
    let heard: Vec<String> = lines.take(count).map(|line| line.expect("a line")).collect();
    let _ = watch.kill();
    let _ = watch.wait();
    heard.join("\n")
}

fn head(admin: &Admin) -> u64 {
    admin.get("/readyz?verbose").json()["checks"]["log"]["head"].as_u64().expect("the log answers")
}

fn issue(admin: &Admin, label: &str) -> IssuedKey {
    let body = json!({"owner": "sender-team", "scopes": ["campaigns:send"], "labels": {"service": label}});
    let issued = admin.post("/v1/tenants/acme/keys", &body).expect(201).json();
    IssuedKey {
        key_id: issued["key_id"].as_str().expect("an id").to_owned(),
        key: issued["key"].as_str().expect("a key").to_owned(),
        position: issued["position"].as_u64().expect("a position"),
    }
}

/// The arguments that settle a restored log.
fn settle<'a>(data: &'a Path, more: &[&'a str]) -> Vec<&'a str> {
    [&["backup", "settle", "--data", text(data)][..], more].concat()
}

/// A server on a data folder, with the operator that its log knows. It signs nothing: the signer is kept elsewhere.
fn serve(data: &Path, operator: &str) -> (TestServer, Admin) {
    let server = ServerSetup::embedded().data_in(data).arg("--notary").arg("off").spawn();
    let admin = server.admin_with(operator);
    (server, admin)
}

#[test]
fn a_restored_older_backup_never_lets_a_revoked_key_pass() {
    an_older_backup_is_restored("none");
}

#[test]
fn a_backup_that_forgets_a_part_is_caught() {
    is_caught(|| an_older_backup_is_restored("part-forgotten"), "its seals are there");
}

#[test]
fn a_restore_that_goes_on_without_settling_is_caught() {
    is_caught(|| an_older_backup_is_restored("trusts-restored"), "nobody has settled");
}

/// With a bug in the verbs that make the backup and give it back.
fn an_older_backup_is_restored(bug: &str) {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let [kept, revoked, suspended, recalled, rescoped] =
        ["kept", "revoked", "suspended", "recalled", "rescoped"].map(|label| issue(&admin, label));
    let (backup, data) = (folder(), folder());
    let made = back_up(&server, backup.path(), bug);
    let end = made["head"].as_u64().expect("a backup tells where it ends");
    assert!(made["seals"].as_u64() > Some(3), "of three tenants and of the owners: {made}");

    let _ = admin.revoke("acme", &revoked.key_id).expect(200);
    let path = |key: &IssuedKey, what: &str| format!("/v1/tenants/acme/keys/{}{what}", key.key_id);
    let _ = admin.post(&path(&suspended, "/suspend"), &json!({"reason": "investigating"})).expect(200);
    let recall =
        json!({"selector": {"label": "service=recalled"}, "reason": "compromised", "accept_changes": true});
    let _ = admin.post("/v1/tenants/acme/recalls", &recall).expect(201);
    let _ =
        admin.send("PATCH", &path(&rescoped, ""), &[], Some(&json!({"scopes": ["lists:read"]}))).expect(200);
    let lost = issue(&admin, "lost");
    let notices = heard(&server, end + 1, 5);
    let operator = server.operator_key();
    drop(server.kill9());

    done(&["backup", "verify", text(backup.path())]);
    let data = data.path().join("data");
    let restored = ended(planted(&["backup", "restore", text(backup.path()), "--data", text(&data)], bug));
    assert_eq!(restored.code, 0, "{restored:?}");
    let (server, admin) = serve(&data, &operator);
    for key in [&kept, &revoked, &suspended, &recalled, &rescoped, &lost] {
        let verdict = admin.post("/v1/verify", &json!({"key": key.key}));
        let verdict = &verdict.json()["verdict"];
        assert_ne!(*verdict, json!("valid"), "a key passes a log that nobody has settled");
    }
    let ready = admin.get("/readyz?verbose");
    assert_eq!(
        (ready.status, &ready.json()["checks"]["log"]["restored"]),
        (503, &json!(end)),
        "nobody has settled it: {ready:?}"
    );
    assert_eq!(admin.revoke("acme", &kept.key_id).status, 503, "it takes no command");
    drop(server.stop());

    let file = backup.path().join("notices.ndjson");
    fs::write(&file, notices).expect("a file for what was heard");
    assert_eq!(refused(&settle(&data, &[])), "end_unknown");
    assert_eq!(refused(&settle(&data, &["--heard", text(&file)])), "end_unknown");
    let wrong = (end + 1).to_string();
    assert_eq!(refused(&settle(&data, &["--accept-loss", &wrong])), "end_unknown");
    let end = end.to_string();
    let settled = done(&settle(&data, &["--heard", text(&file), "--accept-loss", &end]));
    let counts = ["revoked", "recalled", "suspended", "unknown"].map(|name| settled[name].as_u64());
    assert_eq!(counts, [Some(1), Some(1), Some(2), Some(1)], "{settled}");
    assert_ne!(settled["was"], settled["log_id"], "another name: who has seen the lost end begins anew");
    assert_eq!(done(&settle(&data, &[]))["settled"], Value::Null, "once is enough");

    let (server, admin) = serve(&data, &operator);
    server.wait_ready();
    let verdict = |key: &IssuedKey| admin.verdict(&key.key);
    assert_eq!(
        [&kept, &revoked, &suspended, &recalled, &rescoped, &lost].map(verdict),
        ["valid", "revoked", "suspended", "recalled", "suspended", "unknown"]
    );
    let issue = json!({"owner": "sender-team", "scopes": []});
    let issued = admin.post("/v1/tenants/acme/keys", &issue);
    assert_eq!(issued.status, 201, "its seals are there: {issued:?}");
    assert_eq!(admin.verdict(issued.json()["key"].as_str().unwrap()), "valid");
    let on_record = fs::read_to_string(data.join("records/restores.ndjson")).expect("the record of restores");
    assert!(on_record.contains(&format!("\"end\":{end}")), "{on_record}");
    drop(server.stop());
}

#[test]
fn a_whole_backup_goes_on_as_the_same_log_with_its_records() {
    let server = ServerSetup::embedded().arg("--webhooks-allow-private").start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let key = issue(&admin, "mailer");
    let _ =
        admin.post("/v1/webhooks", &json!({"tenant": "acme", "url": "http://127.0.0.1:9/hook"})).expect(201);
    let (operator, log_id) = (server.operator_key(), done_log_id(&admin));
    let signers = admin.get("/v1/log/signers").expect(200).json();
    let signer = signers["signers"][0].as_str().expect("the log has a signer").to_owned();
    let at = head(&admin);
    wait_signed(&admin, at);
    let setup = server.stop();
    let (backup, into) = (folder(), folder());
    let from = format!("embedded:{}", text(setup.data()));
    let create = ["backup", "create", text(backup.path()), "--from", &from, "--with-signer"];
    let made = done(&create);
    assert!(made["records"].as_u64() > Some(0) && made["signer"] == json!(true), "{made}");
    assert_eq!(made["checkpoint"], made["head"], "{made}");
    let checkpoint = backup.path().join("checkpoint");
    is_an_archive(backup.path(), &signer, &checkpoint);

    let data = into.path().join("data");
    let restore =
        ["backup", "restore", text(backup.path()), "--data", text(&data), "--known", text(&checkpoint)];
    let restored = done(&restore);
    assert_eq!(restored["settled"]["log_id"], restored["log_id"], "{restored}");
    let server = ServerSetup::embedded().data_in(&data).arg("--webhooks-allow-private").start();
    let admin = server.admin_with(&operator);
    assert_eq!(done_log_id(&admin), log_id);
    assert_eq!(admin.verdict(&key.key), "valid");
    let webhooks = admin.get("/v1/webhooks?tenant=acme").expect(200).json();
    assert_eq!(webhooks["webhooks"].as_array().map(Vec::len), Some(1), "{webhooks}");
    let _ = admin.revoke("acme", &key.key_id).expect(200);
    wait_signed(&admin, head(&admin));
    let newer = admin.get("/v1/log/checkpoint").expect(200).text;
    drop(server.stop());

    // The same backup again, when more is known to have happened.
    let known = into.path().join("newer");
    fs::write(&known, newer).expect("a file for the checkpoint");
    let again = into.path().join("again");
    let older = ["backup", "restore", text(backup.path()), "--data", text(&again), "--known", text(&known)];
    assert_eq!(refused(&older), "end_unknown");
    let (server, admin) = serve(&again, &operator);
    assert_ne!(admin.post("/v1/verify", &json!({"key": key.key})).json()["verdict"], json!("valid"));
    drop(server.stop());
}

/// An auditor takes a backup as it is, and is told the event that was changed in it.
fn is_an_archive(backup: &Path, signer: &str, known: &Path) {
    let verify = ["audit", "verify", text(backup), "--signer", signer, "--known", text(known)];
    let good = done(&verify);
    assert_eq!((&good["good"], &good["findings"]), (&json!(true), &json!([])), "{good}");
    assert_eq!(good["events"], good["checkpoint"], "{good}");
    assert!(good["streams"].as_u64() > Some(3), "of three tenants and of the keys: {good}");
    let mut segments = Vec::new();
    list(&backup.join("segments"), &mut segments);
    let segment = segments.iter().max_by_key(|path| path.metadata().map_or(0, |file| file.len())).unwrap();
    let whole = fs::read(segment).unwrap();
    let mut changed = whole.clone();
    changed[whole.len() / 2] ^= 1;
    fs::write(segment, changed).unwrap();
    let told = ended(verb(&verify));
    assert_eq!(told.code, 14, "{told:?}");
    assert_eq!(told.json()["findings"][0]["wrong"], "changed", "{told:?}");
    fs::write(segment, whole).unwrap();
    done(&verify);
}

fn done_log_id(admin: &Admin) -> Value {
    admin.get("/readyz?verbose").json()["checks"]["log"]["log_id"].clone()
}

/// Waits until a checkpoint covers a position.
fn wait_signed(admin: &Admin, position: u64) {
    for _ in 0..1_000 {
        let checkpoint = admin.get("/v1/log/checkpoint").text;
        if checkpoint.lines().nth(1).and_then(|size| size.parse::<u64>().ok()) >= Some(position) {
            return;
        }
        std::thread::park_timeout(Duration::from_millis(10));
    }
    panic!("no checkpoint covers position {position}");
}

#[tokio::test]
async fn a_backup_grows_and_every_damage_to_it_is_found() {
    let (_source, backup) = a_backup_grows("none").await;
    every_damage_is_found(backup.path());
}

#[test]
fn a_backup_that_keeps_destroyed_seals_is_caught() {
    let run = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        drop(runtime.block_on(a_backup_grows("old-parts-stay")));
    };
    is_caught(run, "seals of an earlier run are gone");
}

/// A log of which a backup is made, then more of it; both.
async fn a_backup_grows(bug: &str) -> (TempDir, TempDir) {
    let (source, other, backup) = (folder(), folder(), folder());
    write_log(source.path(), LogId::from_u128(5), 3_000, 3).await;
    fs::create_dir(source.path().join("seals")).expect("a folder for seals");
    fs::write(source.path().join("seals/acme"), [7; 32]).expect("a seal");
    fs::create_dir_all(source.path().join("records/usage")).expect("a folder for records");
    fs::write(source.path().join("records/usage/db"), [1; 5_000]).expect("a record");
    let from = format!("embedded:{}", text(source.path()));
    let create = ["backup", "create", text(backup.path()), "--from", &from];
    let done_with_bug = || {
        let made = ended(planted(&create, bug));
        assert_eq!(made.code, 0, "{made:?}");
        made.json()
    };
    let first = done_with_bug();
    write_more(source.path()).await;
    let second = done_with_bug();
    assert_eq!((&second["added"], &second["seals"], &second["records"]), (&json!(1), &json!(1), &json!(1)));
    assert_eq!(second["head"].as_u64(), first["head"].as_u64().map(|head| head + 1));
    let parts = fs::read_dir(backup.path()).expect("the backup").filter_map(Result::ok);
    let parts = parts.filter(|entry| entry.file_name().to_string_lossy().starts_with("seals-"));
    assert_eq!(parts.count(), 1, "seals of an earlier run are gone");
    done(&["backup", "verify", text(backup.path())]);

    write_log(other.path(), LogId::from_u128(6), 500, 3).await;
    let other = format!("embedded:{}", text(other.path()));
    assert_eq!(refused(&["backup", "create", text(backup.path()), "--from", &other]), "target_differs");
    (source, backup)
}

fn every_damage_is_found(backup: &Path) {
    let mut files = Vec::new();
    list(backup, &mut files);
    for file in files {
        let name = file.strip_prefix(backup).expect("below the backup").display().to_string();
        let whole = fs::read(&file).expect("a file of the backup");
        // The tree's files are made anew from the events, and are no part of what is verified here.
        if whole.is_empty() || name.starts_with("levels") {
            continue;
        }
        for at in [0, whole.len() / 2, whole.len() - 1] {
            let mut damaged = whole.clone();
            damaged[at] ^= 4;
            fs::write(&file, damaged).expect("a file of the backup");
            let verified = ended(verb(&["backup", "verify", text(backup)]));
            // Some bytes of the description tell only people something: when it was made.
            let tells_nothing = name == "backup.json" && verified.code == 0;
            assert!(verified.code != 0 || tells_nothing, "{name} at {at}: {verified:?}");
        }
        fs::write(&file, &whole).expect("a file of the backup");
    }
    done(&["backup", "verify", text(backup)]);
}

fn list(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() { list(&path, files) } else { files.push(path) }
    }
}

async fn write_more(data: &Path) {
    use eventlog::{EventLog, NewEvent, Queue, Unit};
    let log = EmbeddedLog::open(&data.join("log.redb"), LogId::from_u128(0)).expect("it is a log");
    let event = NewEvent { id: domain::EventId::from_u128(1 << 80), payload: "one more".into() };
    let unit =
        Unit::single("acme.more".parse().expect("a stream"), domain::Position::NONE, event, Queue::Normal);
    let _ = log.append(unit).await.expect("the log can be written");
}

#[tokio::test]
async fn kills_in_the_middle_leave_a_backup_or_none_and_a_log_or_none() {
    let (source, backup, into) = (folder(), folder(), folder());
    write_log(source.path(), LogId::from_u128(9), 40_000, 8).await;
    let from = format!("embedded:{}", text(source.path()));
    let scratch = folder();
    let copied = scratch.path().join("backup");
    let length = timed(&["backup", "create", text(&copied), "--from", &from]);
    let create = || verb(&["backup", "create", text(backup.path()), "--from", &from]);
    let mut drawn = Drawn::from(23);
    let mut stopped = 0;
    for _ in 0..6 {
        stopped += u32::from(!killed_after(create(), drawn.moment(length)));
        if backup.path().join("backup.json").exists() {
            done(&["backup", "verify", text(backup.path())]);
        } else {
            let code = refused(&["backup", "verify", text(backup.path())]);
            assert!(matches!(code.as_str(), "backup_not_whole" | "backup_damaged"), "{code}");
        }
    }
    let made = ended(create());
    assert_eq!(made.code, 0, "{made:?}");
    done(&["backup", "verify", text(backup.path())]);

    let data = into.path().join("data");
    let elsewhere = scratch.path().join("data");
    let length = timed(&["backup", "restore", text(backup.path()), "--data", text(&elsewhere)]);
    let restore = || verb(&["backup", "restore", text(backup.path()), "--data", text(&data)]);
    for _ in 0..6 {
        if killed_after(restore(), drawn.moment(length)) {
            break;
        }
        stopped += 1;
        if data.join("log.redb").exists() {
            match EmbeddedLog::open(&data.join("log.redb"), LogId::from_u128(0)) {
                Err(error) => assert!(error.to_string().contains("not finished"), "{error}"),
                // Stopped behind its last step: a log that trusts nothing.
                Ok(log) => assert!(log.restored().is_some(), "it is not said what came after"),
            }
        }
    }
    assert!(stopped >= 4, "only {stopped} runs were stopped in the middle");
    let restored = ended(restore());
    assert_eq!(restored.code, 0, "{restored:?}");
    assert!(events_in(&data).await == events_in(source.path()).await, "what came back is something else");
}
