//! NATS for a row: one node or three of this run's own, on loopback, each syncing before it acknowledges; or one that runs.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use domain::LogId;
use eventlog::jetstream::{JetStream, JetStreamConfig};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::rush::Failure;
use crate::settings::Nats;
use crate::site::Site;

/// One node is up in 0.1 s, three have a leader in 2 to 5 s.
const START_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// What a row leaves behind on a NATS that goes on running, if it is not removed.
const OURS: [&str; 6] =
    ["RESCIND_LOG", "RESCIND_PULSE", "RESCIND_FEED", "RESCIND_USAGE", "KV_RESCIND_FLEET", "KV_RESCIND_SEALS"];

/// NATS with JetStream, empty. Its nodes are stopped when it is dropped.
pub(crate) struct NatsPlace {
    pub(crate) url: String,
    pub(crate) replicas: usize,
    monitor_url: Option<String>,
    nodes: Vec<Node>,
    _folder: TempDir,
}

struct Node(Child);

impl Drop for Node {
    fn drop(&mut self) {
        // Already ended, or it ends now.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Ports of one node.
struct Ports {
    client: u16,
    monitor: u16,
    route: u16,
}

impl NatsPlace {
    /// Starts it, or reaches it and makes sure that nobody's log is there.
    pub(crate) async fn open(site: &Site, replicas: usize) -> Result<Arc<Self>, Failure> {
        let folder = site.temporary("nats")?;
        let place = match &site.settings.nats {
            Nats::None => return Err("no NATS is given".into()),
            Nats::Running(urls) => {
                let url = urls.iter().find(|url| url.split(',').count() == replicas).ok_or("no such NATS")?;
                Self { url: url.clone(), replicas, monitor_url: None, nodes: vec![], _folder: folder }
            }
            Nats::Binary(binary) => Self::start(binary, replicas, folder)?,
        };
        let js = place.reach().await?;
        if place.nodes.is_empty() && js.get_stream(OURS[0]).await.is_ok() {
            return Err(format!("there is a log on {} already: give one that is empty", place.url).into());
        }
        Ok(Arc::new(place))
    }

    fn start(binary: &Path, replicas: usize, folder: TempDir) -> Result<Self, Failure> {
        let ports: Vec<Ports> = (0..replicas).map(|_| Ports::free()).collect::<Result<_, _>>()?;
        let routes: Vec<String> =
            ports.iter().map(|ports| format!("nats://127.0.0.1:{}", ports.route)).collect();
        let mut nodes = Vec::new();
        for (number, ports) in ports.iter().enumerate() {
            let own = folder.path().join(format!("node{number}"));
            std::fs::create_dir_all(&own)?;
            let cluster = if replicas == 1 {
                String::new()
            } else {
                let route = ports.route;
                format!(
                    "cluster {{ name: bench, listen: \"127.0.0.1:{route}\", routes: [{}] }}\n",
                    routes.join(", ")
                )
            };
            let config = format!(
                "server_name: node{number}\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\njetstream {{ store_dir: \"{}\", sync_interval: always }}\n{cluster}",
                ports.client,
                ports.monitor,
                own.join("store").display(),
            );
            let file = own.join("nats.conf");
            std::fs::write(&file, config)?;
            let said = File::create(own.join("nats.log"))?;
            let mut command = Command::new(binary);
            command.arg("--config").arg(&file).stdin(Stdio::null());
            let child = command.stdout(said.try_clone()?).stderr(said).spawn();
            let told = |error| format!("{} cannot be started: {error}", binary.display());
            nodes.push(Node(child.map_err(told)?));
        }
        let listed = |port: fn(&Ports) -> u16, scheme: &str| {
            let urls = ports.iter().map(|ports| format!("{scheme}://127.0.0.1:{}", port(ports)));
            urls.collect::<Vec<_>>().join(",")
        };
        let (url, monitor_url) =
            (listed(|ports| ports.client, "nats"), listed(|ports| ports.monitor, "http"));
        Ok(Self { url, replicas, monitor_url: Some(monitor_url), nodes, _folder: folder })
    }

    /// A connection, once JetStream answers.
    pub(crate) async fn reach(&self) -> Result<Context, Failure> {
        let deadline = Instant::now() + START_WITHIN;
        loop {
            let why = match self.client().await {
                Ok(client) => {
                    let js = jetstream::new(client);
                    match js.query_account().await {
                        Ok(_) => return Ok(js),
                        Err(error) => error.to_string(),
                    }
                }
                Err(error) => error.to_string(),
            };
            if Instant::now() > deadline {
                return Err(format!("NATS at {} does not answer: {why}", self.url).into());
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// A connection of its own.
    pub(crate) async fn client(&self) -> Result<async_nats::Client, Failure> {
        Ok(async_nats::connect(self.url.split(',').collect::<Vec<_>>()).await?)
    }

    /// The log on it.
    pub(crate) async fn log(&self) -> Result<JetStream, Failure> {
        let config = JetStreamConfig {
            url: self.url.clone(),
            creds: None,
            nkey: None,
            ca: None,
            replicas: self.replicas,
            new_log_id: LogId::from_u128(1),
            monitor_url: self.monitor_url.clone(),
        };
        Ok(JetStream::connect(config).await?)
    }

    /// What a server is started with to use it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--log".to_owned(), self.url.clone()];
        arguments.extend(["--nats-replicas".to_owned(), self.replicas.to_string()]);
        if let Some(monitor) = &self.monitor_url {
            arguments.extend(["--nats-monitor".to_owned(), monitor.clone()]);
        }
        arguments
    }

    /// Removes what the row made, where it would stay.
    pub(crate) async fn clear(&self, more: &[&str]) -> Result<(), Failure> {
        if !self.nodes.is_empty() {
            return Ok(());
        }
        let js = self.reach().await?;
        for stream in OURS.iter().chain(more) {
            if js.get_stream(stream).await.is_ok() {
                js.delete_stream(stream).await?;
            }
        }
        Ok(())
    }
}

/// What the program says it is.
pub(crate) fn version(binary: &Path) -> Option<String> {
    let output =
        Command::new(binary).arg("--version").output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().rsplit(' ').next()?.to_owned())
}

impl Ports {
    fn free() -> Result<Self, Failure> {
        // All three are held until the last is chosen, so that they differ.
        let held = [listen()?, listen()?, listen()?];
        let port = |at: usize| held[at].local_addr().map(|address| address.port());
        Ok(Self { client: port(0)?, monitor: port(1)?, route: port(2)? })
    }
}

fn listen() -> std::io::Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
}
