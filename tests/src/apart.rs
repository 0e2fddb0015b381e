//! A cluster whose nodes and servers can be cut off from each other: every connection between them passes through a proxy.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use tempfile::TempDir;

use crate::nats::NatsCluster;
use crate::proxy::Proxy;

/// The fewest of which one can be lost.
pub const NODES: usize = 3;

/// Where nobody listens. A node that a node was told of by another goes there, not past the proxies.
const NOWHERE: &str = "127.0.0.1:9";

/// Three `nats-server`s with a proxy on each way between two of them. Stopped when dropped.
#[derive(Debug)]
pub struct Apart {
    ways: Vec<Way>,
    /// The nodes themselves.
    pub cluster: NatsCluster,
    clients: Vec<SocketAddr>,
    _dir: TempDir,
}

/// The connections that one node makes to another.
#[derive(Debug)]
struct Way {
    from: usize,
    to: usize,
    proxy: Proxy,
}

impl Apart {
    /// Starts the nodes; to be called within a runtime, which carries the proxies.
    ///
    /// # Panics
    /// As [`NatsCluster::start`].
    pub async fn start() -> Self {
        let dir = tempfile::Builder::new().prefix("nats-").tempdir().expect("a folder for the servers");
        let drawn = Mutex::new((Vec::new(), Vec::new()));
        let cluster = NatsCluster::start_configured(|ports| {
            let [client, route, _] = ports;
            let ways: Vec<Way> = ways(route);
            let configs = (0..NODES).map(|node| (host(node), write(dir.path(), node, ports, &ways)));
            let configs = configs.collect();
            *drawn.lock() =
                (ways, (0..NODES).map(|node| SocketAddr::new(IpAddr::V4(host(node)), client)).collect());
            configs
        })
        .await;
        let (ways, clients) = drawn.into_inner();
        Self { ways, cluster, clients, _dir: dir }
    }

    /// A way to every node for one client, apart from everybody else's.
    #[must_use]
    pub fn doors(&self) -> Doors {
        Doors { proxies: self.clients.iter().map(|client| Proxy::start(*client)).collect() }
    }

    /// From now on nothing passes between this node and the others, and nobody is told.
    pub fn isolate(&self, node: usize) {
        for way in self.ways.iter().filter(|way| way.from == node || way.to == node) {
            way.proxy.half_open();
        }
    }

    /// Everything passes again.
    pub fn rejoin(&self) {
        for way in &self.ways {
            way.proxy.restore_and_close();
        }
    }
}

/// The ways of one client to the nodes.
#[derive(Debug)]
pub struct Doors {
    proxies: Vec<Proxy>,
}

impl Doors {
    /// What the client is told.
    #[must_use]
    pub fn url(&self) -> String {
        let urls = self.proxies.iter().map(|proxy| format!("nats://{}", proxy.address()));
        urls.collect::<Vec<_>>().join(",")
    }

    /// Closes all ways but that to one node.
    pub fn leave_only(&self, node: usize) {
        for (_, proxy) in self.proxies.iter().enumerate().filter(|(to, _)| *to != node) {
            proxy.cut();
        }
    }

    /// Closes the way to one node.
    pub fn close(&self, node: usize) {
        self.proxies[node].cut();
    }

    /// Nothing passes any more, and nobody is told.
    pub fn half_open(&self) {
        for proxy in &self.proxies {
            proxy.half_open();
        }
    }

    /// Everything passes again.
    pub fn restore(&self) {
        for proxy in &self.proxies {
            proxy.restore_and_close();
        }
    }
}

fn host(node: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, u8::try_from(node + 1).expect("there are few nodes"))
}

fn ways(route: u16) -> Vec<Way> {
    let pairs = (0..NODES).flat_map(|from| (0..NODES).map(move |to| (from, to)));
    let pairs = pairs.filter(|(from, to)| from != to);
    pairs
        .map(|(from, to)| Way { from, to, proxy: Proxy::start(SocketAddr::new(IpAddr::V4(host(to)), route)) })
        .collect()
}

fn write(dir: &Path, node: usize, [client, route, monitor]: [u16; 3], ways: &[Way]) -> PathBuf {
    let routes = ways.iter().filter(|way| way.from == node);
    let routes: Vec<String> = routes.map(|way| format!("nats://{}", way.proxy.address())).collect();
    let (host, folder) = (host(node), dir.join(format!("node{node}")));
    let store = folder.join("store");
    // Nobody hears of another way from a node: neither clients nor nodes.
    let config = format!(
        "server_name: node{node}\nlisten: \"{host}:{client}\"\nhttp: \"{host}:{monitor}\"\n\
         jetstream {{ store_dir: \"{}\", sync_interval: always }}\n\
         cluster {{ name: campaigns, listen: \"{host}:{route}\", advertise: \"{NOWHERE}\", no_advertise: true,\n\
         routes: [\n{}\n] }}\n",
        store.display(),
        routes.join("\n"),
    );
    fs::create_dir_all(&folder).expect("a folder for a node can be made");
    let path = folder.join("nats.conf");
    fs::write(&path, config).expect("a node's configuration can be written");
    path
}
