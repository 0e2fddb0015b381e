//! A witness by C2SP tlog-witness, written from its specification, and servers that ask it to cosign.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use base64ct::{Base64, Encoding};
use ed25519_dalek::{Signer, SigningKey};
use proof::{Checkpoint, Hash, Vkey, check_growth, cosigned};
use serde_json::json;
use sha2::{Digest, Sha256};
use tests::server::{ServerSetup, TestServer};
use tokio::time::Instant;

const NAME: &str = "witness.example/w1";
/// When it says that it cosigned.
const TIME: u64 = 1_800_000_000;
/// Much more than a cosignature takes.
const PATIENCE: Duration = Duration::from_secs(60);

/// What it has cosigned last. Kept over its own restarts, as the specification asks.
type Seen = Arc<Mutex<Option<Checkpoint>>>;

struct Witness {
    url: String,
    vkey: Vkey,
    seen: Seen,
}

fn public_part() -> Vec<u8> {
    [&[4], SigningKey::from_bytes(&[5; 32]).verifying_key().to_bytes().as_slice()].concat()
}

fn id() -> [u8; 4] {
    let hash = Sha256::digest([NAME.as_bytes(), b"\n", &public_part()].concat());
    *hash.first_chunk().unwrap()
}

impl Witness {
    /// Serves on a port of its own, for as long as the test lives.
    fn start(seen: Seen) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let hex: String = id().iter().map(|byte| format!("{byte:02x}")).collect();
        let vkey = format!("{NAME}+{hex}+{}", Base64::encode_string(&public_part())).parse().unwrap();
        let shared = Arc::clone(&seen);
        thread::spawn(move || {
            for stream in listener.incoming() {
                answer(stream.unwrap(), &shared);
            }
        });
        Self { url, vkey, seen }
    }

    fn flag(&self) -> String {
        format!("{}={}", self.vkey, self.url)
    }

    fn size(&self) -> u64 {
        self.seen.lock().unwrap().as_ref().map_or(0, Checkpoint::size)
    }
}

/// One request and its answer; then the connection is closed.
fn answer(mut stream: TcpStream, seen: &Seen) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let (status, kind, text) = judge(&String::from_utf8(body).unwrap(), &mut seen.lock().unwrap());
    let head = format!("HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\nconnection: close\r\n");
    write!(stream, "{head}content-length: {}\r\n\r\n{text}", text.len()).unwrap();
}

fn judge(body: &str, seen: &mut Option<Checkpoint>) -> (u16, &'static str, String) {
    let (head, note) = body.split_once("\n\n").unwrap();
    let mut lines = head.lines();
    let old: u64 = lines.next().unwrap().strip_prefix("old ").unwrap().parse().unwrap();
    let hashes: Vec<Hash> = lines.map(|line| Hash::parse_hash(line).unwrap()).collect();
    let checkpoint = Checkpoint::parse(note.as_bytes()).unwrap();
    let known = seen.as_ref().map_or(0, Checkpoint::size);
    if old != known
        || (old == checkpoint.size() && seen.as_ref().is_some_and(|seen| seen.root() != checkpoint.root()))
    {
        return (409, "text/x.tlog.size", format!("{known}\n"));
    }
    let grown = seen
        .as_ref()
        .is_none_or(|seen| seen.size() == checkpoint.size() || check_growth(&hashes, seen, &checkpoint));
    if !grown || (old == 0 && !hashes.is_empty()) {
        return (422, "text/plain", String::new());
    }
    let (text, _) = note.split_once("\n\n").unwrap();
    let signature = SigningKey::from_bytes(&[5; 32]).sign(&cosigned(TIME, format!("{text}\n").as_bytes()));
    let timed = [id().as_slice(), &TIME.to_be_bytes(), &signature.to_bytes()].concat();
    *seen = Some(checkpoint);
    (200, "text/plain", format!("\u{2014} {NAME} {}\n", Base64::encode_string(&timed)))
}

fn until<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "not in time: {what}");
        thread::park_timeout(Duration::from_millis(20));
    }
}

fn issue(server: &TestServer) -> u64 {
    let body = json!({"owner": "campaign-team", "scopes": ["campaigns:send"]});
    let issued = server.admin().post("/v1/tenants/default/keys", &body).expect(201).json();
    issued["position"].as_u64().unwrap()
}

/// The last checkpoint, once it covers a position and is cosigned.
fn cosigned_checkpoint(server: &TestServer, witness: &Witness, position: u64) -> Checkpoint {
    let vkeys = [witness.vkey.clone()];
    until("a cosigned checkpoint", || {
        let text = server.admin().get("/v1/log/checkpoint").text;
        let checkpoint = Checkpoint::parse(text.as_bytes()).ok().filter(|last| last.size() >= position)?;
        let cosigned = checkpoint.cosigned_by(&vkeys).expect("no cosignature is ever bad");
        (cosigned == [(&vkeys[0], TIME)]).then_some(checkpoint)
    })
}

#[test]
fn a_witness_cosigns_each_checkpoint_also_after_restarts() {
    let witness = Witness::start(Seen::default());
    let setup = ServerSetup::embedded().arg("--witness").arg(witness.flag());
    let server = setup.start();
    let first = issue(&server);
    cosigned_checkpoint(&server, &witness, first);
    let second = issue(&server);
    let last = cosigned_checkpoint(&server, &witness, second);
    assert_eq!(witness.size(), last.size());
    // A server that starts does not know what the witness has seen, and is told.
    let server = server.kill9().start();
    let third = issue(&server);
    cosigned_checkpoint(&server, &witness, third);
}

#[test]
fn a_witness_that_is_away_holds_up_nothing_and_one_that_saw_more_is_told_of() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let witness = Witness::start(Seen::default());
    let away = format!("{}=http://{nobody}", witness.vkey);
    let server = ServerSetup::embedded().arg("--witness").arg(away).start();
    let position = issue(&server);
    let covers = || {
        let text = server.admin().get("/v1/log/checkpoint").text;
        Checkpoint::parse(text.as_bytes()).ok().filter(|last| last.size() >= position)
    };
    assert!(
        until("a checkpoint", covers).cosigned_by(std::slice::from_ref(&witness.vkey)).unwrap().is_empty()
    );
    drop(server);
    // The witness has seen a larger log under this origin: here, simply another one's checkpoint.
    let other = ServerSetup::embedded().start();
    let last = (0..9).map(|_| issue(&other)).max().unwrap();
    let larger = until("a larger log", || {
        let text = other.admin().get("/v1/log/checkpoint").text;
        Checkpoint::parse(text.as_bytes()).ok().filter(|checkpoint| checkpoint.size() >= last)
    });
    *witness.seen.lock().unwrap() = Some(larger);
    let cut = ServerSetup::embedded().arg("--witness").arg(witness.flag()).start();
    issue(&cut);
    until("an error", || cut.stderr().contains("has seen more of this log than there is").then_some(()));
}
