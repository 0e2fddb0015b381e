//! `rescind nats config`: writes what nats-server is started with, and a seed for each who is let in.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;
use serde_json::json;

use super::consumer::Consumer;
use super::files::Files;
use super::text::{self, API, Common, Node, Tls, Users};
use crate::confirm::quoted;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::output::Output;

/// The seed that `serve` uses.
const OWN_SEED: &str = "rescind.nkey";
/// The record of usage alone takes 1 GiB.
const GIB_MIN: u32 = 2;

/// Write the configuration of NATS: one server, or a cluster of 3 or 5
#[derive(Args, Debug)]
#[command(after_help = "\
Whoever is let in has a seed in a file of mode 0600: rescind.nkey for the server's --nats-nkey, consumers/TENANT_NAME.nkey for each
consumer. A consumer reads its tenant's notices live on rescind.live.TENANT.>, hints of revocations ahead of them on
rescind.hints.TENANT.>, and all notices through its durable, which the verb `durable` makes; nothing else.

Run again, seeds stay and the configuration is written anew: so consumers are added and taken away. Then have each server
reload, `nats-server --signal reload`, twice: what a new account takes from another is there with the second.

Examples:
  rescind nats config --out nats --consumer acme/mailer
  rescind nats config --out nats --insecure --node a=192.0.2.1 --node b=192.0.2.2 --node c=192.0.2.3 --consumer acme/mailer")]
pub(crate) struct Config {
    /// The folder for configuration and seeds; made if it is not there
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// A consumer of one tenant's notices; may be repeated
    #[arg(long = "consumer", value_name = "TENANT/NAME")]
    consumers: Vec<Consumer>,
    /// A server and the address that it listens on; repeat it for a cluster [default: nats=127.0.0.1]
    #[arg(long = "node", value_name = "NAME=HOST", value_parser = node)]
    nodes: Vec<Node>,
    /// Where clients connect
    #[arg(long, value_name = "PORT", default_value_t = 4222)]
    port: u16,
    /// Where the nodes of a cluster meet
    #[arg(long, value_name = "PORT", default_value_t = 6222)]
    cluster_port: u16,
    /// Where a server tells how it is set up
    #[arg(long, value_name = "PORT", default_value_t = 8222)]
    monitor_port: u16,
    /// Where a server keeps its streams
    #[arg(long, value_name = "DIR", default_value = "jetstream", value_parser = path)]
    store: String,
    /// Disk that a server's streams may take, in GB
    #[arg(long, value_name = "GB", default_value_t = 10, value_parser = clap::value_parser!(u32).range(i64::from(GIB_MIN)..=1_000_000))]
    max_file: u32,
    /// Memory that a server's consumers may take, in MB
    #[arg(long, value_name = "MB", default_value_t = 256, value_parser = clap::value_parser!(u32).range(16..=1_000_000))]
    max_memory: u32,
    /// PEM certificate of each server, for clients and for the other nodes
    #[arg(long, value_name = "FILE", requires_all = ["tls_key", "tls_ca"], value_parser = path)]
    tls_cert: Option<String>,
    /// PEM private key of that certificate
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_parser = path)]
    tls_key: Option<String>,
    /// The authority that signed the certificates
    #[arg(long, value_name = "FILE", requires = "tls_cert", value_parser = path)]
    tls_ca: Option<String>,
    /// Plain text on addresses that others can reach: only in a network of your own
    #[arg(long)]
    insecure: bool,
    #[command(flatten)]
    output: Output,
}

impl Config {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        let nodes = self.nodes()?;
        let files = Files::open(&self.out)?;
        let mut consumers = self.consumers.clone();
        consumers.sort();
        consumers.dedup();
        let seed = |consumer: &Consumer| format!("consumers/{}.nkey", consumer.durable());
        let users = Users {
            rescind: files.user(OWN_SEED)?,
            consumers: consumers
                .iter()
                .map(|consumer| Ok((consumer.clone(), files.user(&seed(consumer))?)))
                .collect::<Result<_, Failure>>()?,
        };
        let common = self.common();
        let password = (nodes.len() > 1).then(|| files.password("routes.password")).transpose()?;
        files.write("accounts.conf", &text::accounts(&users, &common, nodes.len()))?;
        let mut configs = Vec::new();
        for node in &nodes {
            let name = format!("{}.conf", node.name);
            let password = password.as_ref().map(|password| password.as_str());
            files.write(&name, &text::node(node, &nodes, &common, password))?;
            configs.push(files.path(&name));
        }
        let own_seed = files.path(OWN_SEED);
        let written = json!({
            "configs": configs,
            "nkey": own_seed,
            "consumers": consumers.iter().map(|consumer| json!({
                "consumer": consumer.to_string(), "durable": consumer.durable(), "nkey": files.path(&seed(consumer)),
                "inbox_prefix": format!("_INBOX_{}", consumer.durable()), "api_prefix": API,
                "live": format!("rescind.live.{}.>", consumer.tenant), "hints": format!("rescind.hints.{}.>", consumer.tenant),
            })).collect::<Vec<_>>(),
        });
        let shown = |path: &PathBuf| quoted(&path.display().to_string());
        self.output.show(&written, |_| {
            let mut lines: Vec<_> =
                configs.iter().map(|config| format!("nats-server --config {}", shown(config))).collect();
            lines.push(format!("rescind serve {}", self.access(&nodes, &shown(&own_seed))));
            for consumer in &consumers {
                let access = self.log_and_seed(&nodes, &shown(&own_seed));
                lines.push(format!("rescind nats durable {consumer} {access}"));
            }
            lines
        })?;
        Ok(Exit::Ok)
    }

    /// One server or a cluster that can lose one, on addresses that nobody else hears.
    fn nodes(&self) -> Result<Vec<Node>, Failure> {
        let mut nodes = self.nodes.clone();
        if nodes.is_empty() {
            nodes.push(Node { name: "nats".to_owned(), host: "127.0.0.1".to_owned() });
        }
        let mut names: Vec<_> = nodes.iter().map(|node| &node.name).collect();
        names.sort();
        names.dedup();
        if names.len() != nodes.len() || names.iter().any(|name| *name == "accounts") {
            return Err(Failure::usage("each node has its own name, and none is `accounts`"));
        }
        if ![1, 3, 5].contains(&nodes.len()) {
            return Err(Failure::usage(
                "a cluster has 3 or 5 nodes: with 2 or 4, one more may fail and no more be lost",
            ));
        }
        let is_private = |host: &str| {
            host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
        };
        if self.tls_cert.is_none() && !self.insecure && !nodes.iter().all(|node| is_private(&node.host)) {
            return Err(Failure::usage("others can reach these addresses")
                .because("notices and the words between the nodes would pass in plain text")
                .remedy("give --tls-cert, --tls-key and --tls-ca, or --insecure in a network of your own"));
        }
        Ok(nodes)
    }

    fn common(&self) -> Common {
        let files = self.tls_cert.clone().zip(self.tls_key.clone()).zip(self.tls_ca.clone());
        Common {
            port: self.port,
            cluster_port: self.cluster_port,
            monitor_port: self.monitor_port,
            store: self.store.clone(),
            file_gib: self.max_file,
            memory_mib: self.max_memory,
            tls: files.map(|((cert, key), ca)| Tls { cert, key, ca }),
        }
    }

    /// What `serve` needs to get in, and to know that acknowledged means on disk.
    fn access(&self, nodes: &[Node], seed: &str) -> String {
        let monitors: Vec<_> =
            nodes.iter().map(|node| format!("http://{}:{}", node.host, self.monitor_port)).collect();
        let replicas = if nodes.len() > 1 { " --nats-replicas 3" } else { "" };
        format!("{} --nats-monitor {}{replicas}", self.log_and_seed(nodes, seed), monitors.join(","))
    }

    fn log_and_seed(&self, nodes: &[Node], seed: &str) -> String {
        let scheme = if self.tls_cert.is_some() { "tls" } else { "nats" };
        let urls: Vec<_> =
            nodes.iter().map(|node| format!("{scheme}://{}:{}", node.host, self.port)).collect();
        let ca = self.tls_ca.as_ref().map(|ca| format!(" --nats-ca {}", quoted(ca))).unwrap_or_default();
        format!("--log {} --nats-nkey {seed}{ca}", urls.join(","))
    }
}

/// `NAME=HOST`. Both stand in the configuration as they are.
fn node(text: &str) -> Result<Node, &'static str> {
    const FORM: &str = "a node is NAME=HOST, such as a=192.0.2.1";
    let (name, host) = text.split_once('=').ok_or(FORM)?;
    let fits = |text: &str, more: &[u8]| {
        (1..=253).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || more.contains(&b))
    };
    let host = match host.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]"),
        _ => host.to_owned(),
    };
    let is_host = fits(&host, b".-") || host.starts_with('[');
    if fits(name, b"-_") && is_host { Ok(Node { name: name.to_owned(), host }) } else { Err(FORM) }
}

/// A path that can stand between quotes as it is.
fn path(text: &str) -> Result<String, &'static str> {
    if text.is_empty() || text.contains(['"', '\\', '\'']) || text.chars().any(char::is_control) {
        return Err("the configuration of NATS cannot hold such a path");
    }
    Ok(text.to_owned())
}
