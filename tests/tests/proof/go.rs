//! A live server's tiles, checked by a small program on `golang.org/x/mod/sumdb`: what an auditor writes who does not trust us.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use serde_json::json;
use tempfile::TempDir;
use tests::server::{ServerSetup, TestServer};
use tests::tools::{go, go_x_mod};
use tokio::time::Instant;

const PROGRAM: &str = include_str!("verify.go");
/// Tiles of three levels need more than 256 leaves; the first checkpoint has fewer.
const KEYS: usize = 300;
/// A checkpoint comes within a second; on a busy machine, later.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds the program, in a folder of its own.
fn built(folder: &Path) -> std::path::PathBuf {
    fs::write(folder.join("verify.go"), PROGRAM).unwrap();
    let module = format!(
        "module verify\n\ngo 1.21\n\nrequire golang.org/x/mod v0.7.0\n\nreplace golang.org/x/mod => {}\n",
        go_x_mod().display()
    );
    fs::write(folder.join("go.mod"), module).unwrap();
    let program = folder.join("verify");
    let output = go().current_dir(folder).args(["build", "-o"]).arg(&program).arg(".").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    program
}

struct Auditor {
    program: std::path::PathBuf,
    folder: TempDir,
}

impl Auditor {
    fn asks(&self, server: &TestServer, vkey: &str, index: u64, old: &str) -> Output {
        let known = self.folder.path().join("old.checkpoint");
        fs::write(&known, old).unwrap();
        let mut program = Command::new(&self.program);
        program.args([&format!("{}/v1/log/", server.url()), vkey, &index.to_string()]).arg(known);
        program.env("RESCIND_KEY", server.operator_key()).output().unwrap()
    }
}

/// The checkpoint, once it covers so many events.
fn checkpoint(server: &TestServer, size: u64) -> String {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let text = server.admin().get("/v1/log/checkpoint").text;
        if text.lines().nth(1).and_then(|line| line.parse::<u64>().ok()).is_some_and(|now| now >= size) {
            return text;
        }
        assert!(Instant::now() < deadline, "no checkpoint of {size}: {text}");
        std::thread::park_timeout(Duration::from_millis(20));
    }
}

fn issue(server: &TestServer, count: usize) -> u64 {
    let admin = server.admin();
    let issue = |_| {
        let body = json!({"owner": "campaign-team", "scopes": ["campaigns:send"]});
        admin.post("/v1/tenants/default/keys", &body).expect(201).json()["position"].as_u64().unwrap()
    };
    (0..count).map(issue).max().unwrap()
}

#[test]
fn go_finds_every_entry_in_the_log_and_that_it_only_grew() {
    let folder = tempfile::tempdir().unwrap();
    let auditor = Auditor { program: built(folder.path()), folder };
    let server = ServerSetup::embedded().start();
    let first = issue(&server, 3);
    let old = checkpoint(&server, first);
    let last = issue(&server, KEYS);
    checkpoint(&server, last);
    let signers = server.admin().get("/v1/log/signers").expect(200).json();
    let vkey = signers["signers"][0].as_str().unwrap();
    for index in [0, first - 1, 255, 256, last - 1] {
        let output = auditor.asks(&server, vkey, index, &old);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
        assert!(said.starts_with(&format!("entry {index} is in the log of {last}")), "{said}");
    }
    // It does check: another log's history is not gone on from, and another's signer is not taken.
    let other = ServerSetup::embedded().start();
    checkpoint(&other, 1);
    let others = other.admin().get("/v1/log/signers").expect(200).json();
    let foreign = others["signers"][0].as_str().unwrap();
    assert!(!auditor.asks(&server, foreign, 0, &old).status.success());
    let altered = old.replacen("rescind/", "rescind/X", 1);
    assert!(!auditor.asks(&server, vkey, 0, &altered).status.success());
}
