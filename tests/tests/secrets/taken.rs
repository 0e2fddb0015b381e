//! What leaves a server: what listeners were told meanwhile, and what somebody takes away after an erasure.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};
use tests::server::{Admin, ServerSetup, TestServer, binary};

/// Notices come within milliseconds, a checkpoint within a second; a loaded machine takes its time.
const ARRIVE_WITHIN: Duration = Duration::from_secs(60);

/// What was heard so far, on a thread that ends with the test's process.
#[derive(Clone, Default)]
struct Heard {
    text: Arc<(Mutex<String>, Condvar)>,
}

impl Heard {
    fn add(&self, bytes: &[u8]) {
        self.text.0.lock().unwrap().push_str(&String::from_utf8_lossy(bytes));
        self.text.1.notify_all();
    }

    /// All of it, once it tells this.
    #[track_caller]
    fn until(&self, told: &str) -> String {
        let heard = self.text.0.lock().unwrap();
        let waited = self.text.1.wait_timeout_while(heard, ARRIVE_WITHIN, |heard| !heard.contains(told));
        let (heard, timed_out) = waited.unwrap();
        assert!(!timed_out.timed_out(), "{told} was not told; heard was: {heard}");
        heard.clone()
    }
}

/// Who listened all the time: a reader of the feed, and a receiver of webhooks.
pub(crate) struct Listeners {
    feed: Heard,
    webhook: Heard,
}

impl Listeners {
    pub(crate) fn of(server: &TestServer, admin: &Admin, tenant: &str) -> Self {
        let (feed, webhook) = (Heard::default(), Heard::default());
        let stream = subscribed(server, tenant);
        let heard = feed.clone();
        thread::spawn(move || keep_all(stream, &heard));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let url = format!("http://{}/hooks", listener.local_addr().unwrap());
        let heard = webhook.clone();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let _ = receive(&stream, &heard);
            }
        });
        let _ = admin.post("/v1/webhooks", &json!({"tenant": tenant, "url": url})).expect(201);
        feed.until("hello");
        Self { feed, webhook }
    }

    /// All that both were told, once they were told of this.
    pub(crate) fn heard(&self, last: &str) -> [(&'static str, String); 2] {
        [("the live feed", self.feed.until(last)), ("a webhook's deliveries", self.webhook.until(last))]
    }
}

fn subscribed(server: &TestServer, tenant: &str) -> TcpStream {
    let host = server.url().trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).unwrap();
    let key = server.operator_key();
    let request = format!(
        "GET /v1/feed?tenant={tenant} HTTP/1.1\r\nhost: {host}\r\nauthorization: Bearer {key}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

fn keep_all(mut stream: TcpStream, heard: &Heard) {
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        heard.add(&piece[..read]);
    }
}

/// One request, with its headers, and the answer that it arrived.
fn receive(stream: &TcpStream, heard: &Heard) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    let (mut request, mut length) = (String::new(), 0);
    while reader.read_line(&mut request)? > 2 {
        let line = request.lines().next_back().unwrap_or_default().to_lowercase();
        if let Some(told) = line.strip_prefix("content-length:") {
            length = told.trim().parse().unwrap_or(0);
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    heard.add(request.as_bytes());
    heard.add(&body);
    let mut stream = stream;
    stream.write_all(b"HTTP/1.1 204 Said\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
}

/// What a verb prints, that has to succeed.
#[track_caller]
pub(crate) fn rescind(server: &TestServer, arguments: &[&str]) -> String {
    let mut command = Command::new(binary());
    command.args(arguments).env("RESCIND_URL", server.url()).env("RESCIND_KEY", server.operator_key());
    let output = command.output().expect("the binary is built with the tests");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{arguments:?}: {}: {said}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// Waits until all there is is signed.
fn signed(admin: &Admin) {
    let head = admin.get("/readyz?verbose").json()["checks"]["log"]["head"].as_u64();
    let looks = ARRIVE_WITHIN.as_millis() / 20;
    let covers = |text: &str| text.lines().nth(1).and_then(|size| size.parse::<u64>().ok());
    let is_signed = (0..looks).any(|_| {
        let there = covers(&admin.get("/v1/log/checkpoint").text) >= head;
        if !there {
            thread::park_timeout(Duration::from_millis(20));
        }
        there
    });
    assert!(is_signed, "no checkpoint covers {head:?}");
}

/// What is taken away after an erasure: the log as a sheet and as a table, an export, a backup.
/// The folders are below `folder`; what was printed is answered.
pub(crate) fn taken_away(server: &TestServer, admin: &Admin, folder: &Path) -> Vec<(&'static str, String)> {
    signed(admin);
    let (export, backup) = (folder.join("export"), folder.join("backup"));
    let texts = [&export, &backup].map(|path| path.to_str().expect("a path in UTF-8").to_owned());
    let [export, backup] = &texts;
    let csv = rescind(server, &["audit", "replay", "--format", "csv"]);
    assert!(csv.lines().count() > 10 && csv.contains("OwnerErased"), "the sheet tells what happened: {csv}");
    let mut told = vec![
        ("a sheet", csv),
        ("a table", rescind(server, &["audit", "replay", "--format", "table"])),
        ("an export", rescind(server, &["audit", "export", export])),
        ("a backup", rescind(server, &["backup", "create", backup])),
    ];
    // Both are archives: all that was ever appended is there and proven, the erased person's events too.
    let signer = admin.get("/v1/log/signers").expect(200).json()["signers"][0].clone();
    let signer = signer.as_str().expect("the log has a signer");
    for archive in [export, backup] {
        let known = format!("{archive}/checkpoint");
        let arguments = ["audit", "verify", archive, "--signer", signer, "--known", &known, "--json"];
        let report: Value = serde_json::from_str(&rescind(server, &arguments)).unwrap();
        assert_eq!((&report["good"], &report["findings"]), (&json!(true), &json!([])), "{report}");
        assert_eq!(report["events"], report["checkpoint"], "all of it is signed: {report}");
        told.push(("a verification", report.to_string()));
    }
    told
}

/// A server on what a backup gives back, and on the signer, which is kept elsewhere; with all that its operator knows.
pub(crate) fn restored(backup: &Path, into: &Path, of: &TestServer) -> (TestServer, Admin) {
    let (backup, data) = (backup.to_str().unwrap(), into.join("data"));
    let known = format!("{backup}/checkpoint");
    let mut restore = Command::new(binary());
    restore.args(["backup", "restore", backup, "--data", data.to_str().unwrap(), "--known", &known]);
    let output = restore.output().expect("the binary is built with the tests");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(fs::metadata(data.join("seals/subjects.seals")).unwrap().len() > 0, "seals came back");
    fs::copy(of.data().join("signer.key"), data.join("signer.key")).expect("the log has a signer");
    let server = ServerSetup::embedded().data_in(&data).spawn();
    server.wait_ready();
    let admin = server.admin_with(&of.operator_key());
    (server, admin)
}
