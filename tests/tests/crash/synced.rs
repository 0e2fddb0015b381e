//! The order of two system calls: the log's file is synced before an issue is answered. Kill -9 cannot show this, since it
//! spares the page cache.

use std::collections::HashSet;
use std::fs;
use std::process::Command;
use std::time::Duration;

use tests::server::{ServerSetup, TestServer};
use tokio::time::Instant;

/// Issues one after the other: each needs a sync of its own.
const ISSUES: usize = 20;
/// How long `strace` may take to write its last lines.
const WRITTEN_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn the_log_is_synced_before_an_issue_is_answered() {
    let version = Command::new("strace").arg("--version").output();
    assert!(
        version.is_ok_and(|version| version.status.success()),
        "strace is missing: install the package strace"
    );
    let setup = ServerSetup::embedded();
    let traced = tempfile::tempdir().unwrap();
    let file = traced.path().join("calls");
    let serve = setup.command();
    let mut command = Command::new("strace");
    // -D: the server itself is our child, so that stopping it stops the server; -y: file names beside descriptors.
    command.args([
        "-D",
        "-f",
        "-y",
        "-s",
        "24",
        "-e",
        "trace=fdatasync,fsync,write,writev,sendto,sendmsg",
        "-o",
    ]);
    command.arg(&file).arg(serve.get_program()).args(serve.get_args());
    let server = TestServer::spawn(&setup, command);
    server.wait_ready();
    let admin = server.admin();
    admin.open_tenant("acme");
    for _ in 0..ISSUES {
        let _ = admin.issue("acme", "list sender");
    }
    let pid = server.pid();
    drop(server.stop());
    let deadline = Instant::now() + WRITTEN_WITHIN;
    let calls = loop {
        let calls = fs::read_to_string(&file).unwrap_or_default();
        if calls.lines().any(|line| line.starts_with(&pid.to_string()) && line.contains("+++ exited")) {
            break calls;
        }
        assert!(Instant::now() < deadline, "strace did not end");
        std::thread::park_timeout(Duration::from_millis(5));
    };
    let answers = check(&calls).unwrap_or_else(|line| panic!("answered before the log was synced: {line}"));
    // The tenant's opening is answered 201 as well.
    assert_eq!(answers, ISSUES + 1, "{calls}");
}

/// How many answers 201 were written, each after a sync of the log's file that ended after the answer before it.
fn check(calls: &str) -> Result<usize, String> {
    let mut answers = 0;
    let mut synced = false;
    let mut syncing = HashSet::new();
    for line in calls.lines() {
        let Some((thread, call)) = line.split_once(' ') else { continue };
        let call = call.trim_start();
        let is_sync = call.starts_with("fdatasync(") || call.starts_with("fsync(");
        if is_sync && call.contains("log.redb>") {
            if call.contains("<unfinished") {
                syncing.insert(thread);
            } else {
                synced |= call.ends_with("= 0");
            }
        } else if call.contains("sync resumed>") && syncing.remove(thread) {
            synced |= call.ends_with("= 0");
        } else if call.contains("\"HTTP/1.1 201") {
            if !synced {
                return Err(line.to_owned());
            }
            (answers, synced) = (answers + 1, false);
        }
    }
    Ok(answers)
}

#[test]
fn an_answer_before_its_sync_is_seen() {
    let sync = "7 fdatasync(9</data/log.redb>) = 0\n";
    let answer =
        "8 sendto(12<socket:[1]>, \"HTTP/1.1 201 Created\\r\\n\"..., 400, MSG_NOSIGNAL, NULL, 0) = 400\n";
    let begun = "7 fdatasync(9</data/log.redb> <unfinished ...>\n";
    let ended = "7 <... fdatasync resumed>) = 0\n";
    let failed = "7 fdatasync(9</data/log.redb>) = -1 EIO (Input/output error)\n";
    let view = "7 fsync(10</data/views/keys/db>) = 0\n";
    assert_eq!(check(&[sync, answer, begun, ended, answer].concat()), Ok(2));
    for planted in [
        [answer, sync].concat(),
        [sync, answer, answer].concat(),
        [begun, answer, ended].concat(),
        [failed, answer].concat(),
        [view, answer].concat(),
    ] {
        assert!(check(&planted).is_err(), "{planted}");
    }
}
