//! Servers started from what `rescind nats config` wrote, Rescind on them, and consumers with their credentials.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use async_nats::{Client, ConnectError, ConnectOptions, Event};
use serde_json::Value;
use tempfile::TempDir;

use tests::nats::NatsCluster;
use tests::server::{Admin, ServerSetup, TestServer, binary};

/// Whatever is awaited here takes milliseconds; on a loaded machine, seconds.
pub(crate) const SOON: Duration = Duration::from_secs(30);
/// How long one answer may take before it is none: what must not be answered waits so long.
pub(crate) const ANSWER: Duration = Duration::from_secs(5);

pub(crate) const CONSUMERS: [&str; 3] = ["acme/mailer", "acme/reports", "beta/mailer"];

pub(crate) struct Scene {
    pub(crate) nats: NatsCluster,
    pub(crate) server: TestServer,
    pub(crate) admin: Admin,
    pub(crate) dir: TempDir,
}

/// A consumer's connection, and what the server complained of.
pub(crate) struct Heard {
    pub(crate) client: Client,
    pub(crate) complaints: Arc<Mutex<Vec<String>>>,
}

pub(crate) fn rescind(arguments: &[&str]) -> Output {
    Command::new(binary()).args(arguments).output().expect("the binary is built with the tests")
}

#[track_caller]
pub(crate) fn told(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("--json prints JSON")
}

/// Writes a configuration for these consumers; the ports stay those of before when there were any.
pub(crate) fn configure(out: &Path, ports: [u16; 3], nodes: &[String], consumers: &[&str]) -> Value {
    let ports = ports.map(|port| port.to_string());
    let mut arguments = vec!["nats", "config", "--json", "--out", out.to_str().unwrap()];
    arguments.extend(["--port", &ports[0], "--cluster-port", &ports[1], "--monitor-port", &ports[2]]);
    arguments.extend(nodes.iter().flat_map(|node| ["--node", node.as_str()]));
    arguments.extend(consumers.iter().flat_map(|consumer| ["--consumer", *consumer]));
    told(&rescind(&arguments))
}

impl Scene {
    /// So many nodes, Rescind on them with two tenants, and a durable for each consumer. `change` may alter the accounts.
    pub(crate) async fn set(nodes: u8, change: impl Fn(String) -> String) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("nats");
        let hosts: Vec<Ipv4Addr> = (1..=nodes).map(|n| Ipv4Addr::new(127, 0, 0, n)).collect();
        let names: Vec<String> =
            hosts.iter().enumerate().map(|(n, host)| format!("node{n}={host}")).collect();
        let nats = NatsCluster::start_configured(|ports| {
            let written = configure(&out, ports, &names, &CONSUMERS);
            let accounts = out.join("accounts.conf");
            fs::write(&accounts, change(fs::read_to_string(&accounts).unwrap())).unwrap();
            let configs = written["configs"].as_array().unwrap().iter();
            hosts.iter().copied().zip(configs.map(|config| PathBuf::from(config.as_str().unwrap()))).collect()
        })
        .await;
        let replicas = if nodes > 1 { "3" } else { "1" };
        let setup = ServerSetup::nats(&nats.url()).arg("--nats-nkey").arg(out.join("rescind.nkey"));
        let setup = setup.arg("--nats-monitor").arg(nats.monitor_url()).arg("--nats-replicas").arg(replicas);
        let server = tokio::task::spawn_blocking(move || setup.start()).await.unwrap();
        let admin = server.admin();
        admin.open_tenant("acme");
        admin.open_tenant("beta");
        let scene = Self { nats, server, admin, dir };
        // Twice: what is there stays.
        for consumer in CONSUMERS.iter().chain(&CONSUMERS) {
            scene.make_durable(consumer);
        }
        scene
    }

    pub(crate) fn make_durable(&self, consumer: &str) {
        let nkey = self.path("rescind.nkey");
        let url = self.nats.url();
        let made = rescind(&[
            "nats",
            "durable",
            consumer,
            "--json",
            "--log",
            &url,
            "--nats-nkey",
            nkey.to_str().unwrap(),
        ]);
        assert_eq!(told(&made)["durable"], consumer.replace('/', "_"));
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("nats").join(name)
    }

    fn seed(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap().trim().to_owned()
    }

    /// As a consumer, by the seed and the prefix that it was given.
    pub(crate) async fn consumer(&self, durable: &str) -> Heard {
        self.let_in(durable).await.expect("a consumer of the configuration is let in")
    }

    /// The same for one who may not be let in.
    pub(crate) async fn let_in(&self, durable: &str) -> Result<Heard, ConnectError> {
        let complaints = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&complaints);
        let options = ConnectOptions::with_nkey(self.seed(&format!("consumers/{durable}.nkey")))
            .custom_inbox_prefix(format!("_INBOX_{durable}"))
            .request_timeout(Some(ANSWER))
            .event_callback(move |event| {
                if let Event::ServerError(error) = &event {
                    heard.lock().unwrap().push(error.to_string());
                }
                std::future::ready(())
            });
        let urls: Vec<String> = self.nats.urls();
        Ok(Heard { client: options.connect(urls).await?, complaints })
    }

    /// As Rescind itself, to look at what became of an attempt.
    pub(crate) async fn inside(&self) -> Context {
        let options = ConnectOptions::with_nkey(self.seed("rescind.nkey"));
        jetstream::new(options.connect(self.nats.urls()).await.unwrap())
    }
}

impl Heard {
    /// Where a consumer finds JetStream.
    pub(crate) fn api(&self) -> Context {
        jetstream::with_prefix(self.client.clone(), "rescind.api")
    }
}
