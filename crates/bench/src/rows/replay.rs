//! Reading the whole log again: into the index, and into the view of keys.

use std::sync::Arc;

use async_trait::async_trait;
use domain::LogId;
use eventlog::jetstream::JetStream;
use eventlog::{EmbeddedLog, EventLog};
use parking_lot::Mutex;
use projection::stores::{DiskStores, MemoryStores, Stores};
use projection::tree::Batch;
use projection::{Keeps, Projection, ProjectionConfig, Stage, Status};
use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::block_in_place;
use tokio::time::Instant;

use super::commands::event_bytes;
use super::commands_nats::rush_on;
use super::keys_apart::{KeysApart, write_rows};
use crate::floor::disk::Redb;
use crate::floor::stream::{Publishing, RawStream, STREAM};
use crate::nats::NatsPlace;
use crate::row::{Better, Contest, Figures, Needs, Row};
use crate::rush::{CALLERS, Failure, STALENESS};
use crate::site::Site;

/// The most events of a log on NATS: issuing them takes longest of all.
const ON_NATS: usize = 200_000;
/// Of the view of keys: each takes a minute.
const MOST_TURNS: usize = 3;
/// The most events into the view of keys.
const VIEWED: usize = 1_000_000;
/// Rows of one commit, and messages of one batch, where a floor is filled.
const FILLED_BY: usize = 1_000;

/// The rows.
pub(crate) fn rows() -> Vec<Row> {
    let rate = ("events/s", Better::More);
    vec![
        Row::new(
            "replay-index",
            rate,
            "the index rebuilt from the embedded log, all keys, against reading as many rows of the same size from redb",
            embedded,
        ),
        Row::new(
            "replay-index-r1",
            rate,
            "the index rebuilt from NATS, at most 200,000 keys, against a raw pull of as many messages of the same size",
            on_nats,
        )
        .needing(Needs::Nats(1)),
        Row::new(
            "replay-views",
            rate,
            "the view of keys rebuilt in sled, at most 1,000,000 keys, against writing the same rows into sled in the same batches",
            viewed,
        )
        .at_most(MOST_TURNS),
    ]
}

fn config(stores: Arc<dyn Stores>, keeps: Keeps) -> ProjectionConfig {
    ProjectionConfig { stores, keeps, max_staleness: STALENESS }
}

async fn ready(mut status: watch::Receiver<Status>) -> Result<(), Failure> {
    status.wait_for(|status| status.stage == Stage::Ready).await?;
    Ok(())
}

/// Events a second into an index that begins with nothing.
async fn index_of(log: &Arc<dyn EventLog>) -> Result<f64, Failure> {
    let head = log.head().await?;
    let began = Instant::now();
    let stores = Arc::new(MemoryStores::new());
    let projection = Projection::start(config(stores, Keeps::IndexOnly), Arc::clone(log)).await;
    ready(projection.index_status()).await?;
    let took = began.elapsed();
    let applied = projection.index.applied();
    projection.stop().await;
    if applied != head {
        return Err(format!("the index has {applied} of {head} events").into());
    }
    Ok(head.get() as f64 / took.as_secs_f64())
}

struct Embedded {
    log: Arc<dyn EventLog>,
    floor: Redb,
    _folder: TempDir,
}

async fn embedded(site: Arc<Site>) -> Result<Box<dyn Contest>, Failure> {
    let (sown, folder) = (site.sown().await?, site.temporary("replay")?);
    let log = EmbeddedLog::open(&sown.data.join("log.redb"), LogId::from_u128(1))?;
    let (bytes, events) = (event_bytes(&log).await?, usize::try_from(log.head().await?.get())?);
    let mut floor = Redb::create(folder.path(), bytes)?;
    floor.write(events, FILLED_BY)?;
    Ok(Box::new(Embedded { log: Arc::new(log), floor, _folder: folder }))
}

#[async_trait]
impl Contest for Embedded {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        Ok(vec![index_of(&self.log).await?])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        Ok(Some(vec![self.floor.read()?]))
    }
}

struct OnNats {
    log: Arc<dyn EventLog>,
    opened: JetStream,
    floor: RawStream,
    place: Arc<NatsPlace>,
    _folder: TempDir,
}

async fn on_nats(site: Arc<Site>) -> Result<Box<dyn Contest>, Failure> {
    let place = NatsPlace::open(&site, 1).await?;
    let folder = site.temporary("replay")?;
    let (rush, opened) = rush_on(&place, &folder, Keeps::IndexOnly).await?;
    let keys = ON_NATS.min(site.settings.keys);
    // As many as fill an atomic batch.
    rush.issue_by(FILLED_BY.max(CALLERS), keys, usize::MAX, &Arc::default()).await?;
    let log = Arc::clone(&rush.log);
    rush.stop().await;
    let mut floor = RawStream::create(place.reach().await?, 1, event_bytes(&*log).await?).await?;
    floor.publish(usize::try_from(log.head().await?.get())?, Publishing::Batches(FILLED_BY)).await?;
    Ok(Box::new(OnNats { log, opened, floor, place, _folder: folder }))
}

#[async_trait]
impl Contest for OnNats {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        Ok(vec![index_of(&self.log).await?])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        Ok(Some(vec![self.floor.pull().await?]))
    }

    async fn end(self: Box<Self>) -> Result<(), Failure> {
        self.opened.shutdown().await;
        self.place.clear(&[STREAM]).await
    }
}

struct Viewed {
    site: Arc<Site>,
    log: Arc<dyn EventLog>,
    events: u64,
    /// What the view writes, batch by batch.
    batches: Vec<Batch>,
}

async fn viewed(site: Arc<Site>) -> Result<Box<dyn Contest>, Failure> {
    let sown = site.sown_with(site.settings.keys.min(VIEWED)).await?;
    let log: Arc<dyn EventLog> =
        Arc::new(EmbeddedLog::open(&sown.data.join("log.redb"), LogId::from_u128(1))?);
    let events = log.head().await?.get();
    let batches = Arc::new(Mutex::new(Vec::new()));
    follow_keys(&log, KeysApart::recorded(Arc::clone(&batches))).await?;
    let batches = std::mem::take(&mut *batches.lock());
    Ok(Box::new(Viewed { site, log, events, batches }))
}

/// Until the view of keys is ready; the index and the other views are in memory and done before.
async fn follow_keys(log: &Arc<dyn EventLog>, stores: KeysApart) -> Result<std::time::Duration, Failure> {
    let began = Instant::now();
    let projection = Projection::start(config(Arc::new(stores), Keeps::Everything), Arc::clone(log)).await;
    ready(projection.keys().status()).await?;
    let took = began.elapsed();
    projection.stop().await;
    Ok(took)
}

#[async_trait]
impl Contest for Viewed {
    async fn ours(&mut self) -> Result<Figures, Failure> {
        let folder = self.site.temporary("views")?;
        let disk = DiskStores::open(folder.path())?;
        let took = follow_keys(&self.log, KeysApart::on_disk(disk)).await?;
        Ok(vec![self.events as f64 / took.as_secs_f64()])
    }

    async fn floor(&mut self) -> Result<Option<Figures>, Failure> {
        let folder = self.site.temporary("sled")?;
        let took = block_in_place(|| write_rows(folder.path(), &self.batches))?;
        Ok(Some(vec![self.events as f64 / took.as_secs_f64()]))
    }
}
