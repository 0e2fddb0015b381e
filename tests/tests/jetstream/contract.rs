//! The port's contract, on one server and on three: they differ more than they should.

use std::sync::Arc;

use async_trait::async_trait;
use eventlog::jetstream::{JetStream, JetStreamConfig};
use eventlog::{EventLog, LogPlace, SealStore, conformance, conformance_of_seals};
use tests::nats::{NatsCluster, NatsServer};

use crate::given::{config, outsider};

/// A case's log on a server that all cases share: the streams of the case before are gone.
struct Place {
    config: JetStreamConfig,
    open: Vec<JetStream>,
}

impl Place {
    async fn fresh(url: String, replicas: usize) -> Self {
        wipe(&url).await;
        Self { config: config(url, replicas, 7), open: Vec::new() }
    }
}

async fn wipe(url: &str) {
    let js = outsider(url).await;
    for stream in [
        "RESCIND_LOG",
        "RESCIND_PULSE",
        "RESCIND_FEED",
        "RESCIND_USAGE",
        "KV_RESCIND_FLEET",
        "KV_RESCIND_SEALS",
    ] {
        let _ = js.delete_stream(stream).await;
    }
}

#[async_trait]
impl LogPlace for Place {
    async fn open(&mut self) -> Arc<dyn EventLog> {
        let opened = JetStream::connect(self.config.clone()).await.unwrap();
        self.open.push(opened.clone());
        opened.log
    }

    async fn close(&mut self) {
        for opened in self.open.drain(..) {
            opened.shutdown().await;
        }
    }
}

async fn two_seal_stores(config: JetStreamConfig) -> [Arc<dyn SealStore>; 2] {
    wipe(&config.url).await;
    let first = JetStream::connect(config.clone()).await.unwrap();
    let second = JetStream::connect(config).await.unwrap();
    [Arc::new(first.seals), Arc::new(second.seals)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_on_one_server() {
    let server = NatsServer::start().await;
    conformance(async || Place::fresh(server.url(), 1).await).await;
    conformance_of_seals(async || two_seal_stores(config(server.url(), 1, 7)).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_on_three_servers() {
    let cluster = NatsCluster::start(3).await;
    conformance(async || Place::fresh(cluster.url(), 3).await).await;
    conformance_of_seals(async || two_seal_stores(config(cluster.url(), 3, 7)).await).await;
}
