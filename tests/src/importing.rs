//! The import of many keys, interrupted twice: the client is killed, then the server, and every key stands once.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::server::{Admin, ServerSetup, TestServer};

/// The tenant that is imported into.
const TENANT: &str = "acme";
/// Tokens that are verified at the end, spread over all lines.
const SAMPLE: u64 = 1_000;
/// Far above what a line takes on a busy machine.
const KEYS_WITHIN: Duration = Duration::from_secs(600);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// An import that is to be interrupted.
#[derive(Clone, Debug)]
pub struct Importing {
    /// How many keys.
    pub lines: u64,
    /// The log to serve from.
    pub setup: ServerSetup,
    /// The binary that serves and imports.
    pub program: PathBuf,
}

/// How long it took.
#[derive(Clone, Copy, Debug)]
pub struct Imported {
    /// Lines a second of the first import, interruptions included.
    pub per_second: f64,
    /// Lines a second when every key was known.
    pub known_per_second: f64,
    /// Keys that the views had yet to show when the import was over.
    pub behind: u64,
}

/// The token that another system gave out for a line.
#[must_use]
pub fn token(line: u64) -> String {
    format!("sender_{line:08}_{:016x}", line.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// The digest of a token as that system kept it.
#[must_use]
pub fn digest(token: &str) -> String {
    Sha256::digest(token).iter().fold(String::with_capacity(64), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

/// Writes so many lines.
///
/// # Errors
/// When the file cannot be written.
pub fn write_lines(path: &Path, lines: u64) -> std::io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in 1..=lines {
        let key = json!({
            "digest": digest(&token(line)), "owner": format!("list-sender-{}", line % 1_000), "scopes": ["campaigns:send"],
            "labels": {"service": format!("mailer-{}", line % 50)}, "name": format!("campaign {line}"),
        });
        writeln!(file, "{key}")?;
    }
    file.flush()
}

impl Importing {
    /// Imports everything, with two interruptions, and again.
    ///
    /// # Errors
    /// What was lost, doubled or not as told.
    pub fn run(&self) -> Result<Imported, String> {
        let folder = TempDir::new().map_err(|error| error.to_string())?;
        let file = folder.path().join("keys.ndjson");
        write_lines(&file, self.lines).map_err(|error| error.to_string())?;
        // Whoever comes back has to find the server where it was.
        let listen = format!("127.0.0.1:{}", free_port().map_err(|error| error.to_string())?);
        let setup = self.setup.clone().arg("--listen").arg(listen).program(self.program.clone());
        let server = setup.start();
        server.admin().open_tenant(TENANT);
        let before = Stand::of(&server.admin())?;

        let begun = Instant::now();
        let mut client = self.client(&server, &file)?;
        wait_for_keys(&server.admin(), before.keys + self.lines / 4)?;
        client.kill().and_then(|()| client.wait()).map_err(|error| error.to_string())?;
        let client = self.client(&server, &file)?;
        wait_for_keys(&server.admin(), before.keys + self.lines / 2)?;
        let setup = server.kill9();
        let server = setup.start();
        let first = finished(client)?;
        let took = begun.elapsed().as_secs_f64();
        let count = |summary: &Value, name: &str| summary[name].as_u64().unwrap_or_default();
        if count(&first, "imported") + count(&first, "known") != self.lines || count(&first, "refused") != 0 {
            return Err(format!("of {} lines the client told {first}", self.lines));
        }
        let admin = server.admin();
        let behind = behind(&admin);
        self.check(&admin, &before)?;

        let begun = Instant::now();
        let again = finished(self.client(&server, &file)?)?;
        let known_took = begun.elapsed().as_secs_f64();
        if count(&again, "imported") != 0 || count(&again, "known") != self.lines {
            return Err(format!("the second time the client told {again}"));
        }
        self.check(&admin, &before)?;
        drop(server.stop());
        let rate = |seconds: f64| self.lines as f64 / seconds;
        Ok(Imported { per_second: rate(took), known_per_second: rate(known_took), behind })
    }

    fn client(&self, server: &TestServer, file: &Path) -> Result<Child, String> {
        let mut command = Command::new(&self.program);
        command.arg("import").arg(file).args(["--tenant", TENANT, "--json"]);
        command.env("RESCIND_URL", server.url()).env("RESCIND_KEY", server.operator_key());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().map_err(|error| format!("the client cannot be started: {error}"))
    }

    /// One key and one event a line, and each of a sample passes by its old token.
    fn check(&self, admin: &Admin, before: &Stand) -> Result<(), String> {
        let now = Stand::of(admin)?;
        let made = (now.keys - before.keys, now.head - before.head);
        if made != (self.lines, self.lines) {
            return Err(format!("{} lines made {} keys by {} events", self.lines, made.0, made.1));
        }
        let step = (self.lines / SAMPLE).max(1);
        let tokens: Vec<String> =
            (1..=self.lines).step_by(usize::try_from(step).unwrap_or(1)).map(token).collect();
        for tokens in tokens.chunks(500) {
            let requests: Vec<Value> = tokens
                .iter()
                .map(|token| json!({"key": token, "tenant": TENANT, "scope": "campaigns:send"}))
                .collect();
            let answer = admin.post("/v1/verify/batch", &json!({"requests": requests})).json();
            let valid = answer["results"]
                .as_array()
                .map_or(0, |results| results.iter().filter(|result| result["verdict"] == "valid").count());
            if valid != tokens.len() {
                return Err(format!("of {} imported tokens {valid} are valid: {answer}", tokens.len()));
            }
        }
        Ok(())
    }
}

/// Where a server's log and index stand.
struct Stand {
    keys: u64,
    head: u64,
}

impl Stand {
    fn of(admin: &Admin) -> Result<Self, String> {
        let head = &admin.get("/readyz?verbose").json()["checks"]["log"]["head"];
        let head = head.as_u64().ok_or("the server does not tell its log's head")?;
        // All of it, not what the index happens to have.
        let verified = admin.post(&format!("/v1/verify?min_position={head}"), &json!({"key": "none"}));
        if verified.status != 200 {
            return Err(format!("the index does not reach the log's head: {}", verified.text));
        }
        Ok(Self { keys: keys(admin).ok_or("the server does not tell how many keys there are")?, head })
    }
}

fn keys(admin: &Admin) -> Option<u64> {
    let metrics = admin.get("/metrics").text;
    metrics.lines().find_map(|line| line.strip_prefix("rescind_index_keys "))?.parse().ok()
}

/// How far the slowest view is behind.
fn behind(admin: &Admin) -> u64 {
    let metrics = admin.get("/metrics").text;
    let lags = metrics.lines().filter(|line| line.starts_with("rescind_projection_lag_events{"));
    lags.filter_map(|line| line.rsplit_once(' ')?.1.parse().ok()).max().unwrap_or_default()
}

fn wait_for_keys(admin: &Admin, enough: u64) -> Result<(), String> {
    let deadline = Instant::now() + KEYS_WITHIN;
    while keys(admin).is_none_or(|keys| keys < enough) {
        if Instant::now() > deadline {
            return Err(format!("there were not {enough} keys in time"));
        }
        std::thread::park_timeout(LOOK_AGAIN);
    }
    Ok(())
}

fn finished(client: Child) -> Result<Value, String> {
    let ended = client.wait_with_output().map_err(|error| error.to_string())?;
    let stderr = String::from_utf8_lossy(&ended.stderr);
    if !ended.status.success() {
        return Err(format!("the client ended with {}: {stderr}", ended.status));
    }
    serde_json::from_slice(&ended.stdout).map_err(|error| format!("{error}: {stderr}"))
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}
