//! Auditors by the command line: export, verify, prove, and the exchange of signers.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;
use tests::server::{ServerSetup, TestServer};

use crate::client::{issued, rescind};

fn path(folder: &Path, name: &str) -> String {
    folder.join(name).display().to_string()
}

fn signer(server: &TestServer) -> String {
    rescind(&["audit", "signer", "show"]).on(server).ends(0).stdout.trim().to_owned()
}

/// Exports once the checkpoint covers so much; a checkpoint is at most a second behind.
fn export(server: &TestServer, folder: &str, events: u64) -> Value {
    loop {
        let exported = rescind(&["audit", "export", folder, "--json"]).on(server).ends(0).json();
        if exported["events"].as_u64().unwrap() >= events {
            return exported;
        }
    }
}

fn revoked(server: &TestServer) -> (String, u64) {
    let (key_id, _) = issued(server);
    let revoke = ["key", "revoke", &key_id, "--reason", "compromised", "--confirm", "mailer", "--json"];
    let position = rescind(&revoke).on(server).ends(0).json()["position"].as_u64().unwrap();
    (key_id, position)
}

#[test]
fn an_export_is_verified_without_the_server_and_what_is_done_to_it_is_named() {
    let server = ServerSetup::embedded().start();
    let folder = tempfile::tempdir().unwrap();
    let (_, position) = revoked(&server);
    let archive = path(folder.path(), "audit");
    export(&server, &archive, position);
    let vkey = signer(&server);
    let known = path(folder.path(), "known.checkpoint");
    fs::copy(folder.path().join("audit/checkpoint"), &known).unwrap();
    // An export is gone on with, also after a server's restart.
    let server = server.stop().start();
    let (_, position) = revoked(&server);
    let more = export(&server, &archive, position);
    assert!(more["new"].as_u64().unwrap() < more["events"].as_u64().unwrap(), "{more}");
    drop(server);

    let verify = ["audit", "verify", &archive, "--signer", &vkey];
    let good = rescind(&verify).ends(0);
    for said in ["cannot be seen without --known or --witness", "good: every event is as it was signed"] {
        assert!(good.stdout.contains(said), "{said}: {good:?}");
    }
    let held = rescind(&[&verify[..], &["--known", &known, "--json"]].concat()).ends(0).json();
    assert_eq!((&held["good"], held["held_against"]["known"].as_array().unwrap().len()), (&true.into(), 1));

    let segments = folder.path().join("audit/segments");
    let mut files: Vec<_> = fs::read_dir(&segments).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let mut bytes = fs::read(&files[0]).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    fs::write(&files[0], bytes).unwrap();
    let found = rescind(&[&verify[..], &["--json"]].concat()).ends(14).json();
    let first =
        files[0].file_stem().unwrap().to_str().unwrap().rsplit('-').next().unwrap().parse::<u64>().unwrap();
    assert_eq!(
        (&found["findings"][0]["wrong"], &found["findings"][0]["first"]),
        (&"changed".into(), &first.into())
    );
    assert!(rescind(&verify).ends(14).stdout.contains("NOT AS IT WAS SIGNED"));
    fs::remove_file(&files[0]).unwrap();
    let found = rescind(&[&verify[..], &["--json"]].concat()).ends(14).json();
    assert_eq!(
        (&found["findings"][0]["wrong"], &found["findings"][0]["first"]),
        (&"missing".into(), &1.into())
    );
}

#[test]
fn a_proof_goes_in_a_small_file_and_proves_by_itself() {
    let server = ServerSetup::embedded().start();
    let folder = tempfile::tempdir().unwrap();
    let (key_id, position) = revoked(&server);
    let vkey = signer(&server);
    let file = path(folder.path(), "revoked.tlog-proof");
    let by_key = rescind(&["audit", "prove", &key_id, "--out", &file, "--json"]).on(&server).ends(0).json();
    assert_eq!(by_key["position"], position);
    rescind(&["audit", "prove", &position.to_string(), "--out", &file]).on(&server).ends(0);
    rescind(&["audit", "prove", "999999", "--out", &file]).on(&server).ends(3).says(&["no_such_event"]);
    drop(server);
    let proven = rescind(&["audit", "verify", &file, "--signer", &vkey, "--json"]).ends(0).json();
    assert_eq!((&proven["event"]["type"], &proven["position"]), (&"KeyRevoked".into(), &position.into()));
    assert!(fs::metadata(&file).unwrap().len() < 4096);
    let text = fs::read_to_string(&file).unwrap();
    let extra = text.lines().nth(1).unwrap();
    let changed = extra.replacen('C', "D", 1);
    assert_ne!(extra, changed);
    fs::write(&file, text.replace(extra, &changed)).unwrap();
    rescind(&["audit", "verify", &file, "--signer", &vkey]).ends(14).says(&["not_proven"]);
}

#[test]
fn a_signer_is_exchanged_with_an_overlap_and_its_private_part_is_never_shown() {
    let server = ServerSetup::embedded().start();
    let folder = tempfile::tempdir().unwrap();
    let file = server.data().join("signer.key").display().to_string();
    let old = signer(&server);
    let private = fs::read_to_string(&file).unwrap().trim().rsplit('+').next().unwrap().to_owned();
    let both = rescind(&["audit", "signer", "add", &file]).ends(0);
    assert_eq!((both.stdout.lines().count(), both.stdout.lines().next()), (2, Some(old.as_str())));
    assert!(!format!("{both:?}").contains(&private));
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let new = both.stdout.lines().nth(1).unwrap().to_owned();
    let (_, position) = revoked(&server);
    let archive = path(folder.path(), "audit");
    export(&server, &archive, position);
    for vkey in [&old, &new] {
        rescind(&["audit", "verify", &archive, "--signer", vkey]).ends(0);
    }
    let id = old.split('+').nth(1).unwrap();
    let left = rescind(&["audit", "signer", "remove", &file, id]).ends(0);
    assert_eq!(left.stdout.trim(), new);
    rescind(&["audit", "signer", "remove", &file, new.split('+').nth(1).unwrap()])
        .ends(5)
        .says(&["its only signer"]);
    let (_, position) = revoked(&server);
    let next = path(folder.path(), "next");
    export(&server, &next, position);
    let signers = path(folder.path(), "signers.txt");
    fs::write(&signers, format!("{old}\n{new}\n")).unwrap();
    rescind(&["audit", "verify", &next, "--signer", &signers]).ends(0);
    rescind(&["audit", "verify", &next, "--signer", &old]).ends(14);
    drop(server.stop().start());
}
