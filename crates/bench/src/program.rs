//! `rescind serve` as a process of its own, as users run it.

use std::fs::File;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::load::{Answer, Line, request};
use crate::rush::Failure;

/// A start reads the whole log: about ten seconds for ten million events.
const START_WITHIN: Duration = Duration::from_secs(300);
/// A graceful stop finishes requests for 10 s and then saves index and views.
const STOP_WITHIN: Duration = Duration::from_secs(120);
/// How long views may take to follow without coming any further: one event may change a million rows.
const VIEWS_WITHIN: Duration = Duration::from_secs(120);
/// How long the work behind a turn may go on.
const QUIET_WITHIN: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
/// Over how long a process must be quiet to count as such.
const QUIET_FOR: Duration = Duration::from_millis(300);
/// Hundredths of a second of processor time in that: what leases, pulses and reports of usage take.
const QUIET_TICKS: u64 = 2;

/// A running server. Killed when dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) operator: String,
}

impl Program {
    /// Starts it and waits until it is ready; views may follow.
    pub(crate) async fn start(program: &Path, data: &Path, more: &[&str]) -> Result<Self, Failure> {
        std::fs::create_dir_all(data)?;
        let said = data.with_extension("said");
        let child = Command::new(program)
            .args(["serve", "--listen", "127.0.0.1:0", "--log-level", "warn", "--data"])
            .arg(data)
            .args(more)
            // Settings of whoever measures are not what is measured.
            .env_clear()
            .stdin(Stdio::null())
            .stdout(File::create(&said)?)
            .stderr(File::create(data.with_extension("log"))?)
            .spawn()?;
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), operator: String::new() };
        let deadline = Instant::now() + START_WITHIN;
        server.address = loop {
            let text = std::fs::read_to_string(&said)?;
            let url = text.split_once("listening on http://").and_then(|(_, rest)| rest.split_once(' '));
            if let Some((address, _)) = url {
                break address.parse()?;
            }
            server.check(deadline, "listen")?;
            sleep(LOOK_AGAIN).await;
        };
        while server.get("/readyz").await.map_or(0, |answer| answer.status) != 200 {
            server.check(deadline, "become ready")?;
            sleep(LOOK_AGAIN).await;
        }
        std::fs::read_to_string(data.join("operator.key"))?.trim().clone_into(&mut server.operator);
        Ok(server)
    }

    fn check(&mut self, deadline: Instant, what: &str) -> Result<(), Failure> {
        if let Some(status) = self.child.try_wait()? {
            return Err(format!("the server ended ({status}) before it did {what}").into());
        }
        if Instant::now() > deadline {
            return Err(format!("the server did not {what} in time").into());
        }
        Ok(())
    }

    /// A request as this server's operator, whole.
    pub(crate) fn request(&self, method: &str, path: &str, body: Option<&Value>) -> bytes::Bytes {
        request(method, path, &self.operator, body)
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Failure> {
        Line::open(self.address).await?.ask(&self.request("GET", path, None)).await
    }

    /// Sends a command and expects success.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, Failure> {
        let answer = Line::open(self.address).await?.ask(&self.request("POST", path, Some(body))).await?;
        answer.succeeded()
    }

    pub(crate) async fn open_tenant(&self, tenant: &str) -> Result<(), Failure> {
        self.post("/v1/tenants", &json!({"tenant": tenant})).await.map(drop)
    }

    /// Waits until every view has caught up.
    pub(crate) async fn wait_views(&mut self) -> Result<(), Failure> {
        let (mut deadline, mut before) = (Instant::now() + VIEWS_WITHIN, 0);
        loop {
            let told: Value = serde_json::from_slice(&self.get("/readyz?verbose").await?.body)?;
            let views = told["checks"]["progress"].as_array().cloned().unwrap_or_default();
            if !views.is_empty() && views.iter().all(|view| view["stage"] == "ready") {
                return Ok(());
            }
            let applied: u64 = views.iter().filter_map(|view| view["applied"].as_u64()).sum();
            if applied > before {
                (before, deadline) = (applied, Instant::now() + VIEWS_WITHIN);
            }
            self.check(deadline, "show all views")?;
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Waits until it has nothing left to do, so that the next turn does not pay for this one.
    pub(crate) async fn settle(&self) -> Result<(), Failure> {
        let deadline = Instant::now() + QUIET_WITHIN;
        let mut before = self.ticks()?;
        loop {
            sleep(QUIET_FOR).await;
            let now = self.ticks()?;
            if now - before <= QUIET_TICKS || Instant::now() > deadline {
                return Ok(());
            }
            before = now;
        }
    }

    /// Hundredths of a second that processors worked for it.
    fn ticks(&self) -> Result<u64, Failure> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))?;
        // The name in brackets may hold anything; what is counted comes 11 fields behind it.
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let field = |at: usize| fields.get(at).and_then(|text| text.parse::<u64>().ok());
        field(11)
            .zip(field(12))
            .map(|(user, system)| user + system)
            .ok_or_else(|| "no process times here".into())
    }

    /// Resident memory.
    pub(crate) fn resident_bytes(&self) -> Result<u64, Failure> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.map(|kib| kib << 10).ok_or_else(|| "resident memory is not known here".into())
    }

    /// Asks it to stop and waits until it has.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).ok_or("no process id")?;
        kill_process(pid, Signal::TERM)?;
        let deadline = Instant::now() + STOP_WITHIN;
        while self.child.try_wait()?.is_none() {
            if Instant::now() > deadline {
                return Err("the server did not stop in time".into());
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Ends it without warning.
    pub(crate) fn kill(mut self) -> Result<(), Failure> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Already ended, or it ends now: nobody is left to tell otherwise.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
