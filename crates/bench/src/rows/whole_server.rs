//! A server with all keys: how soon it is ready again, what it weighs, what its folder weighs.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use domain::{LogId, Position};
use eventlog::{EmbeddedLog, EventLog};
use tokio::time::Instant;

use crate::program::Program;
use crate::row::{Better, Contest, Figures, Row};
use crate::rush::Failure;
use crate::site::Site;
use crate::sown::Sown;

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let restart = |name: &str, ending, about: &str| {
        let row = Row::new(name, ("ms", Better::Less), about, move |site| prepare(site, ending));
        row.measuring(&[("ready", "ms", Better::Less), ("lists", "ms", Better::Less)])
    };
    let memory = "resident memory of a ready server for each key, less that of one without keys; and the index by its own count";
    let disk = "bytes on disk for each event, against the event's own bytes: the log, and all views";
    vec![
        restart(
            "restart",
            Ending::Stopped,
            "from the start to ready, and to lists that answer, after a graceful stop",
        ),
        restart("restart-killed", Ending::Killed, "the same after kill -9"),
        Row::new("memory", ("bytes/key", Better::Less), memory, prepare_memory),
        Row::new("disk", ("bytes/event", Better::Less), disk, prepare_disk)
            .measuring(&[("log", "bytes/event", Better::Less), ("views", "bytes/event", Better::Less)])
            .at_most(1),
    ]
}

#[derive(Clone, Copy)]
enum Ending {
    Stopped,
    Killed,
}

struct Restarting {
    site: Arc<Site>,
    sown: Arc<Sown>,
    ending: Ending,
}

async fn prepare(site: Arc<Site>, ending: Ending) -> Result<Box<dyn Contest>, Failure> {
    let sown = site.sown().await?;
    let contest = Restarting { site, sown, ending };
    // The first start follows whatever ended before it.
    contest.restart().await?;
    Ok(Box::new(contest))
}

impl Restarting {
    async fn restart(&self) -> Result<Figures, Failure> {
        let began = Instant::now();
        let mut server = Program::start(&self.site.settings.program, &self.sown.data, &[]).await?;
        let ready = began.elapsed();
        server.wait_views().await?;
        let lists = began.elapsed();
        server.get("/v1/tenants/acme/keys?limit=1").await?.succeeded()?;
        server.settle().await?;
        match self.ending {
            Ending::Stopped => server.stop().await?,
            Ending::Killed => server.kill()?,
        }
        Ok(vec![ready.as_secs_f64() * 1e3, lists.as_secs_f64() * 1e3])
    }
}

#[async_trait]
impl Contest for Restarting {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        self.restart().await
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        Ok(None)
    }
}

struct Weighing {
    site: Arc<Site>,
    sown: Arc<Sown>,
}

async fn prepare_memory(site: Arc<Site>) -> Result<Box<dyn Contest>, Failure> {
    let sown = site.sown().await?;
    Ok(Box::new(Weighing { site, sown }))
}

impl Weighing {
    /// Of a server that has come to rest after its start.
    async fn resident(&self, data: &Path) -> Result<f64, Failure> {
        let mut server = Program::start(&self.site.settings.program, data, &[]).await?;
        server.wait_views().await?;
        server.settle().await?;
        let bytes = server.resident_bytes()?;
        server.stop().await?;
        Ok(bytes as f64)
    }
}

#[async_trait]
impl Contest for Weighing {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let empty = self.site.temporary("empty")?;
        let without = self.resident(&empty.path().join("data")).await?;
        let with = self.resident(&self.sown.data).await?;
        Ok(vec![(with - without) / self.sown.keys as f64])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        let mut table = crate::floor::table::Table::default();
        for n in 0..self.sown.keys {
            table.insert(domain::KeyId::from_u128(n as u128), [7; 16]);
        }
        Ok(Some(vec![table.bytes() as f64 / self.sown.keys as f64]))
    }
}

struct OnDisk(Arc<Sown>);

async fn prepare_disk(site: Arc<Site>) -> Result<Box<dyn Contest>, Failure> {
    Ok(Box::new(OnDisk(site.sown().await?)))
}

#[async_trait]
impl Contest for OnDisk {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let (events, _) = self.events().await?;
        let size = |name: &str| bytes_in(&self.0.data.join(name));
        Ok(vec![size("log.redb")? as f64 / events, size("views")? as f64 / events])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        let (events, bytes) = self.events().await?;
        Ok(Some(vec![bytes / events; 2]))
    }
}

impl OnDisk {
    /// How many, and their own bytes.
    async fn events(&self) -> Result<(f64, f64), Failure> {
        let log = EmbeddedLog::open(&self.0.data.join("log.redb"), LogId::from_u128(1))?;
        let head = log.head().await?;
        let mut follower = log.follow(Position::NONE).await?;
        let (mut bytes, mut at) = (0, Position::NONE);
        while at < head {
            for event in follower.next().await? {
                bytes += event.payload.len();
                at = event.position;
            }
        }
        Ok((head.get() as f64, bytes as f64))
    }
}

/// Of the file, or of all files below the folder.
fn bytes_in(path: &Path) -> Result<u64, Failure> {
    let metadata = std::fs::metadata(path)?;
    if !metadata.is_dir() {
        return Ok(metadata.len());
    }
    let mut bytes = 0;
    for entry in std::fs::read_dir(path)? {
        bytes += bytes_in(&entry?.path())?;
    }
    Ok(bytes)
}
