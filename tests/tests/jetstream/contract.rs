//! The port's contract, on one server and on three: they differ more than they should.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use domain::{LogId, OwnerTag, Position, Subject};
use eventlog::jetstream::{JetStream, JetStreamConfig, JetStreamCopy};
use eventlog::{
    CopyError, CopyPlace, EventLog, LogCopy, LogPlace, SealStore, SubjectSeal, conformance,
    conformance_of_copies, conformance_of_seals,
};
use tests::nats::{NatsCluster, NatsServer};
use tokio::time::timeout;

use crate::given::{PATIENCE, config, connect, outsider};

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

#[async_trait]
impl CopyPlace for Place {
    async fn copy(&mut self, of: LogId, until: Position) -> Result<Box<dyn LogCopy>, CopyError> {
        let copy = JetStreamCopy::open(self.config.clone(), of, until).await?;
        self.open.push(copy.beside.clone());
        Ok(Box::new(copy))
    }

    async fn open_log(&mut self) -> Result<Arc<dyn EventLog>, String> {
        let opened = JetStream::connect(self.config.clone()).await.map_err(|error| error.to_string())?;
        self.open.push(opened.clone());
        Ok(opened.log)
    }

    async fn close(&mut self) {
        LogPlace::close(self).await;
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
    conformance_of_copies(async || Place::fresh(server.url(), 1).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_contract_holds_on_three_servers() {
    let cluster = NatsCluster::start(3).await;
    conformance(async || Place::fresh(cluster.url(), 3).await).await;
    conformance_of_seals(async || two_seal_stores(config(cluster.url(), 3, 7)).await).await;
    conformance_of_copies(async || Place::fresh(cluster.url(), 3).await).await;
}

/// What replaces a message leaves its bytes on the disk, until NATS rewrites the block that they are in.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_destroyed_seal_is_overwritten_where_it_lies() {
    let server = NatsServer::start().await;
    let seals = connect(&server).await.seals;
    let subject =
        |owner| Subject { tenant: "acme".parse().unwrap(), owner: OwnerTag::from_bytes([owner; 16]) };
    let whole = |byte| SubjectSeal { generation: 1, secret: Some([byte; 32]) };
    for (owner, byte) in [(1, 0xa5), (2, 0x5a)] {
        seals.put_subject_seal(&subject(owner), &whole(byte)).await.unwrap();
    }
    let lies_there = |byte: u8| {
        let mut all = Vec::new();
        files(&server.store(), &mut all);
        all.iter().any(|path| fs::read(path).unwrap_or_default().windows(32).any(|part| part == [byte; 32]))
    };
    // A message is acknowledged from memory, and in its block some milliseconds later.
    until(|| lies_there(0xa5) && lies_there(0x5a)).await;
    seals.destroy_subject_seal(&subject(1), 1).await.unwrap();
    until(|| !lies_there(0xa5)).await;
    assert!(lies_there(0x5a), "another's seal is gone");
}

async fn until(holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, wait).await.expect("NATS writes what it acknowledged");
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path().is_dir() {
            true => files(&entry.path(), found),
            false => found.push(entry.path()),
        }
    }
}
