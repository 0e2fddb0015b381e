//! The command line from outside: what it prints where, and how it ends, on a real server.

#![cfg(test)]

mod audit;
mod bench;
mod client;
mod run;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tests::server::{ServerSetup, TestServer};

use client::{Run, issued, rescind};

/// What a line of the feed may take on a loaded machine.
const HEARD_WITHIN: Duration = Duration::from_secs(30);

#[test]
fn a_key_lives_and_ends_by_the_command_line() {
    let server = ServerSetup::embedded().start();
    let issue = ["key", "issue", "--owner", "campaign-team", "--name", "mailer", "--scope", "campaigns:send"];
    let first = rescind(&issue).on(&server).ends(0).says(&["shown once"]);
    let key = first.stdout.trim().to_owned();
    assert!(first.stdout.lines().count() == 1 && key.starts_with("rsk_live_"), "the key alone: {first:?}");
    assert!(!first.stderr.contains(&key));

    let verify = ["key", "verify", "--scope", "campaigns:send"];
    assert!(rescind(&verify).on(&server).stdin(&key).ends(0).stdout.starts_with("valid\n"));
    let denied =
        rescind(&["key", "verify", "--scope", "lists:read", "--json"]).on(&server).stdin(&key).ends(10);
    assert_eq!(denied.json()["verdict"], "scope_denied");

    let list = rescind(&["key", "list", "--json"]).on(&server).ends(0).json();
    let key_id = list["keys"][0]["key_id"].as_str().unwrap().to_owned();
    let unasked = rescind(&["key", "revoke", &key_id, "--reason", "compromised"]).on(&server).ends(2);
    unasked.says(&["no terminal", "--confirm=mailer", "nothing was changed"]);
    let wrong = rescind(&["key", "revoke", &key_id, "--reason", "compromised", "--confirm", "importer"]);
    wrong.on(&server).ends(2).says(&["--confirm=mailer"]);
    assert!(rescind(&verify).on(&server).stdin(&key).ends(0).stdout.starts_with("valid\n"));

    let revoke = ["key", "revoke", &key_id, "--reason", "compromised", "--confirm", "mailer"];
    let revoked = rescind(&revoke).on(&server).ends(0);
    assert!(revoked.stdout.contains("effective") && revoked.stdout.contains("measured"), "{revoked:?}");
    rescind(&revoke).on(&server).ends(5).says(&["already_revoked"]);
    let refused = rescind(&verify).on(&server).stdin(&key).ends(10);
    assert!(refused.stdout.starts_with("revoked\n"), "{refused:?}");

    let shown = rescind(&["key", "show", &key_id, "--history", "--json"]).on(&server).ends(0).json();
    assert_eq!(
        (&shown["key"]["standing"], &shown["key"]["reason"]),
        (&"revoked".into(), &"compromised".into())
    );
    assert_eq!(shown["events"].as_array().unwrap().len(), 2);
    let replayed = rescind(&["audit", "replay", "--key", &key_id]).on(&server).ends(0).stdout;
    let kinds: Vec<Value> = replayed.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(kinds.iter().map(|event| &event["type"]).collect::<Vec<_>>(), ["KeyIssued", "KeyRevoked"]);
}

#[test]
fn an_auditor_asks_about_any_moment() {
    let server = ServerSetup::embedded().start();
    let issue = ["key", "issue", "--owner", "campaign-team", "--name", "mailer", "--scope", "campaigns:send"];
    rescind(&issue).on(&server).ends(0);
    let list = rescind(&["key", "list", "--json"]).on(&server).ends(0).json();
    let key_id = list["keys"][0]["key_id"].as_str().unwrap().to_owned();
    let issued = list["keys"][0]["position"].to_string();
    let revoke = ["key", "revoke", &key_id, "--reason", "compromised", "--confirm", "mailer"];
    rescind(&revoke).on(&server).ends(0);

    let then = rescind(&["key", "show", &key_id, "--at", &issued]).on(&server).ends(0).stdout;
    assert!(then.contains("standing: active") && then.contains(&format!("position {issued}, ")), "{then}");
    let told = ["audit", "explain", &key_id, "--scope", "campaigns:send"];
    let now = rescind(&told).on(&server).ends(0).stdout;
    for wanted in ["verdict:  revoked", "KeyRevoked", "compromised", "operator", "decided by"] {
        assert!(now.contains(wanted), "{wanted}:\n{now}");
    }
    let before = rescind(&[&told[..], &["--at", &issued, "--json"]].concat()).on(&server).ends(0).json();
    assert_eq!(before["verdict"], "valid");
    rescind(&["audit", "explain", &key_id, "--at", "noon"]).on(&server).ends(2).says(&["--at", "812"]);
    rescind(&["audit", "explain", &key_id, "--at", "999999"])
        .on(&server)
        .ends(2)
        .says(&["beyond the log's head"]);
    rescind(&["key", "show", &key_id, "--at", "1"]).on(&server).ends(3).says(&["not_there_then", &issued]);
    let diff = rescind(&["audit", "diff", "--from", &issued]).on(&server).ends(0).stdout;
    assert!(diff.contains("ended: 1") && diff.contains("standing: active → revoked"), "{diff}");

    let replay = |more: &[&str]| {
        let all = [&["audit", "replay", "--tenant", "default"], more].concat();
        rescind(&all).on(&server).ends(0).stdout
    };
    let of_owner = replay(&["--owner", "campaign-team", "--type", "KeyIssued", "--type", "KeyRevoked"]);
    assert_eq!(of_owner.lines().count(), 2, "{of_owner}");
    let sheet = replay(&["--format", "csv", "--from", &issued]);
    assert!(sheet.starts_with("position,occurred_at,type,") && sheet.lines().count() == 3, "{sheet}");
    let table = replay(&["--format", "table", "--from", "1h"]);
    assert!(table.contains("COMMAND") && table.contains("KeyRevoked"), "{table}");
    rescind(&["audit", "replay", "--type", "KeyLost"]).on(&server).ends(2).says(&["KeyRevoked"]);
    rescind(&["audit", "replay", "--owner", "campaign-team"]).on(&server).ends(2).says(&["--tenant"]);
}

#[test]
fn a_key_file_is_private_and_never_written_over() {
    let server = ServerSetup::embedded().start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mailer.key");
    let file = path.to_str().unwrap();
    let issue = ["key", "issue", "--owner", "campaign-team", "--out", file];
    assert_eq!(rescind(&issue).on(&server).ends(0).stdout, "");
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let key = fs::read_to_string(&path).unwrap();
    assert!(rescind(&["key", "verify", "--file", file]).on(&server).ends(0).stdout.starts_with("valid\n"));

    rescind(&issue).on(&server).ends(1).says(&["no key was issued", "key_file"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), key);
    let list = rescind(&["key", "list", "--json"]).on(&server).ends(0).json();
    assert_eq!(list["keys"].as_array().unwrap().len(), 1);
    let failed = folder.path().join("never.key");
    let bad =
        ["key", "issue", "--owner", "campaign-team", "--scope", "a b", "--out", failed.to_str().unwrap()];
    rescind(&bad).on(&server).ends(2).says(&["invalid_value"]);
    assert!(!failed.exists(), "no key, no file");
}

#[test]
fn a_new_key_leaves_in_the_form_that_its_service_reads() {
    let server = ServerSetup::embedded().start();
    let folder = tempfile::tempdir().unwrap();
    let issue =
        |more: &[&str]| rescind(&[&["key", "issue", "--owner", "campaign-team"], more].concat()).on(&server);
    let valid = |key: &str| {
        assert!(rescind(&["key", "verify"]).on(&server).stdin(key).ends(0).stdout.starts_with("valid\n"));
    };

    let path = folder.path().join("mailer.env");
    let out = path.to_str().unwrap();
    let told = issue(&["--format", "dotenv", "--variable", "MAILER_KEY", "--out", out, "--json"]).ends(0);
    assert_eq!((&told.json()["key_file"], &told.json()["key"]), (&Value::from(out), &Value::Null));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    // As a shell reads it.
    let sourced =
        Command::new("sh").args(["-c", ". \"$0\" && printf %s \"$MAILER_KEY\"", out]).output().unwrap();
    valid(&String::from_utf8(sourced.stdout).unwrap());

    let body = issue(&["--format", "json"]).ends(0).json();
    valid(body["key"].as_str().unwrap());
    assert!(body["key_id"].is_string(), "{body}");
    let secret = issue(&["--format", "k8s-secret", "--secret-name", "mailer"]).ends(0).stdout;
    let key = secret.lines().find_map(|line| line.trim().strip_prefix("API_KEY: ")).unwrap();
    valid(serde_json::from_str::<String>(key).unwrap().as_str());
    assert!(
        secret.starts_with("apiVersion: v1\nkind: Secret\n") && secret.contains("name: \"mailer\""),
        "{secret}"
    );

    issue(&["--format", "dotenv", "--json"]).ends(2).says(&["--out"]);
    issue(&["--variable", "MAILER_KEY"]).ends(2).says(&["--format dotenv"]);
    issue(&["--format", "k8s-secret", "--secret-name", "Mailer_1"]).ends(2);
    let list = rescind(&["key", "list", "--json"]).on(&server).ends(0).json();
    assert_eq!(list["keys"].as_array().unwrap().len(), 3, "what is refused makes no key");
}

#[test]
fn what_is_not_there_is_told_with_where_it_was_looked_for() {
    rescind(&["key", "list"]).ends(4).says(&[
        "no operator key",
        "--key-file",
        "RESCIND_KEY",
        "rescind-data/operator.key",
    ]);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{free}");
    rescind(&["key", "list"]).at(&nobody).with_key("rsk_live_x").ends(7).says(&[
        "no server",
        "RESCIND_URL",
        "rescind serve",
    ]);
    let json = rescind(&["key", "list", "--json"]).at(&nobody).with_key("rsk_live_x").ends(7);
    let told: Value = serde_json::from_str(&json.stderr).expect("one line of JSON");
    assert_eq!((&told["error"]["code"], &told["error"]["exit"]), (&"no_server".into(), &7.into()));
    assert!(rescind(&["doctor"]).at(&nobody).ends(1).stdout.contains("FAIL"));
}

#[test]
fn a_wrong_operator_or_key_id_has_its_own_exit_code() {
    let server = ServerSetup::embedded().start();
    let (key_id, key) = issued(&server);
    rescind(&["key", "list"])
        .at(server.url())
        .with_key(&key)
        .ends(4)
        .says(&["operator_unknown", "RESCIND_KEY"]);
    rescind(&["key", "list"])
        .at(server.url())
        .with_key("rsk_live_typo")
        .ends(4)
        .says(&["operator_malformed"]);
    rescind(&["key", "show", "01JDA7W5W6M4Q0T3S8V2N9X1YZ"]).on(&server).ends(3).says(&["not_found"]);
    rescind(&["key", "show", &key_id, "--tenant", "elsewhere"]).on(&server).ends(3);
    let unknown =
        ["key", "revoke", "01JDA7W5W6M4Q0T3S8V2N9X1YZ", "--reason", "unused", "--confirm", "mailer"];
    rescind(&unknown).on(&server).ends(3).says(&["not_found"]);
    rescind(&["tenant", "open", "Not An Id"]).on(&server).ends(2).says(&["invalid_value"]);
    rescind(&["tenant", "open", "default"]).on(&server).ends(5).says(&["tenant_already_open"]);
    let doctor = rescind(&["doctor", "--json"]).on(&server).ends(0).json();
    assert_eq!(doctor["ok"], true, "{doctor}");
}

#[test]
fn a_secret_on_the_command_line_is_refused_and_not_repeated() {
    let server = ServerSetup::embedded().start();
    let (key_id, key) = issued(&server);
    for arguments in [
        vec!["key", "verify", &key],
        vec!["key", "show", &key],
        vec!["key", "revoke", &key, "--reason", "leaked"],
    ] {
        let ended = rescind(&arguments).on(&server).ends(2);
        assert!(!ended.stderr.contains(&key) && !ended.stdout.contains(&key), "{ended:?}");
    }
    rescind(&["key", "show", &key]).on(&server).ends(2).says(&[&key_id, "whole key"]);
}

/// Stands before a server: passes the first request on and drops its answer, then passes everything on.
fn answer_loser(server: &TestServer) -> String {
    let to = server.url().strip_prefix("http://").expect("plain text on loopback").to_owned();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    thread::spawn(move || {
        for (n, incoming) in listener.incoming().enumerate() {
            let Ok(client) = incoming else { return };
            let upstream = TcpStream::connect(&to).expect("the server is there");
            let (from, into) = (
                client.try_clone().expect("a second handle"),
                upstream.try_clone().expect("a second handle"),
            );
            thread::spawn(move || pass(from, into));
            thread::spawn(move || if n == 0 { lose(upstream, &client) } else { pass(upstream, client) });
        }
    });
    url
}

fn pass(mut from: TcpStream, mut into: TcpStream) {
    let _ = std::io::copy(&mut from, &mut into);
    let _ = into.shutdown(Shutdown::Write);
}

fn lose(mut answer: TcpStream, client: &TcpStream) {
    // The server has acted once its answer begins.
    let _ = answer.read(&mut [0; 1]);
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn a_lost_answer_makes_no_second_key() {
    let server = ServerSetup::embedded().start();
    let url = answer_loser(&server);
    let issue =
        rescind(&["key", "issue", "--owner", "campaign-team"]).at(&url).with_key(&server.operator_key());
    let ended = issue.ends(5).says(&["secret_already_shown", "--reason superseded"]);
    assert_eq!(ended.stdout, "");
    let list = rescind(&["key", "list", "--json"]).on(&server).ends(0).json();
    assert_eq!(list["keys"].as_array().unwrap().len(), 1, "{list}");
}

#[test]
fn a_repeated_revoke_under_its_id_is_the_first_one() {
    let server = ServerSetup::embedded().start();
    let (key_id, _) = issued(&server);
    let revoke = [
        "key",
        "revoke",
        &key_id,
        "--reason",
        "unused",
        "--confirm",
        "mailer",
        "--command-id",
        "again-1",
        "--json",
    ];
    let first = rescind(&revoke).on(&server).ends(0).json();
    let second = rescind(&revoke).on(&server).ends(0).json();
    assert_eq!(first["position"], second["position"]);
    assert_eq!(second["repeated"], true);
}

#[test]
fn watching_goes_on_where_it_stopped() {
    let server = ServerSetup::embedded().start();
    let (key_id, _) = issued(&server);
    let mut run = rescind(&["watch", "--from", "1", "--tenant", "default", "--json"]).on(&server);
    let mut child =
        run.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let (heard, lines) = mpsc::channel();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| heard.send(line)));
    let next = || -> Value {
        serde_json::from_str(&lines.recv_timeout(HEARD_WITHIN).expect("a notice in time")).unwrap()
    };
    assert_eq!(next()["type"], "rescind.key.issued.v1");

    // The same address again, so that the feed is found where it was.
    let address = server.url().strip_prefix("http://").unwrap().to_owned();
    let server = server.stop().arg("--listen").arg(address).start();
    rescind(&["key", "revoke", &key_id, "--reason", "requested", "--confirm", "mailer"]).on(&server).ends(0);
    let revoked = next();
    assert_eq!(
        (&revoked["type"], &revoked["data"]["reason"]),
        (&"rescind.key.revoked.v1".into(), &"requested".into())
    );
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(lines.recv_timeout(HEARD_WITHIN).is_err(), "nothing was heard twice");
}

#[test]
fn pages_follow_each_other() {
    let server = ServerSetup::embedded().start();
    let mut ids: Vec<String> = (0..5).map(|_| issued(&server).0).collect();
    let mut cursor: Option<String> = None;
    let mut listed = Vec::new();
    for _ in 0..ids.len() {
        let mut arguments = vec!["key", "list", "--limit", "2", "--json"];
        arguments.extend(cursor.iter().flat_map(|cursor| ["--cursor", cursor]));
        let page = rescind(&arguments).on(&server).ends(0).json();
        listed.extend(
            page["keys"].as_array().unwrap().iter().map(|key| key["key_id"].as_str().unwrap().to_owned()),
        );
        cursor = page["next_cursor"].as_str().map(str::to_owned);
        if cursor.is_none() {
            break;
        }
    }
    ids.sort();
    listed.sort();
    assert_eq!(listed, ids);
    let all = rescind(&["key", "list", "--all", "--standing", "active"]).on(&server).ends(0);
    assert_eq!(all.stdout.lines().count(), 1 + ids.len(), "{all:?}");
}

fn serve(arguments: &[&str], data: &Path) -> Run {
    let mut all = vec!["serve", "--data", data.to_str().expect("temporary folders have plain names")];
    all.extend(arguments);
    rescind(&all)
}

#[test]
fn a_server_that_cannot_start_says_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    serve(&["--listen", &address], folder.path()).ends(1).says(&[&address, "--listen", "any free one"]);
    serve(&["--listen", "0.0.0.0:0"], folder.path()).ends(78).says(&["--insecure", "--tls-cert"]);
    serve(&["--log", "postgres://a"], folder.path()).ends(78).says(&["nats://"]);
    let config = folder.path().join("bad.toml");
    fs::write(&config, "lisen = '127.0.0.1:0'\n").unwrap();
    serve(&["--config", config.to_str().unwrap()], folder.path()).ends(78).says(&["lisen"]);

    let server = ServerSetup::embedded().start();
    serve(&["--listen", "127.0.0.1:0"], server.data()).ends(1).says(&["in use", "data_in_use"]);
    assert_eq!(server.admin().get("/livez").status, 200, "the first one goes on");
}

#[test]
fn no_secret_of_the_environment_is_in_the_help() {
    let mut help = rescind(&["serve", "--help"]);
    help.command.env("RESCIND_LOG", "nats://mailer:hunter2@127.0.0.1:4222");
    let help = help.ends(0);
    assert!(help.stdout.contains("RESCIND_LOG") && !help.stdout.contains("hunter2"), "{}", help.stdout);
}

#[test]
fn completions_are_scripts() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = rescind(&["completions", shell]).ends(0).stdout;
        assert!(script.contains("revoke"), "{shell}");
    }
    let script = rescind(&["completions", "bash"]).ends(0).stdout;
    let mut bash = Command::new("bash").arg("-n").stdin(Stdio::piped()).spawn().expect("bash is on PATH");
    bash.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(bash.wait().unwrap().success());
}

#[test]
fn the_demo_keeps_its_promise_and_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = rescind(&["demo", "--json"]);
    demo.command.env("TMPDIR", folder.path());
    let summary = demo.ends(0).json();
    let services = summary["services"].as_array().unwrap();
    assert_eq!(services.len(), 3);
    assert_eq!(services[0]["accepted_after_acknowledgement"], 0);
    assert!(services.iter().all(|service| service["accepted"].as_u64() > Some(0)), "{summary}");
    assert!(services[0]["refused"].as_u64() > Some(0) && services[1]["refused"] == 0, "{summary}");
    assert!(summary["revocation"]["command_to_first_refused_us"].as_i64().is_some(), "{summary}");
    assert_eq!(summary["history"].as_array().unwrap().len(), 2);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the demo's folder is gone");
}

#[test]
fn an_interrupted_demo_leaves_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut demo = rescind(&["demo"]);
    let demo = demo.command.env("TMPDIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = demo.stderr(Stdio::null()).spawn().unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let mut lines = stdout.lines().map_while(Result::ok);
    lines.find(|line| line.contains("as fast as answers come")).expect("the senders start");
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    // Read on, so that the tale is not what it stops at.
    lines.for_each(drop);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "the demo's folder is gone");
}
