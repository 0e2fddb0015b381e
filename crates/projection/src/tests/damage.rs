//! Damage and absence: a sled folder that is no good, a store that fails while it runs, a log that goes away or lies.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use domain::{LogId, Position, RevokeReason, Standing, StreamName};
use eventlog::{
    AppendError, Durability, EventLog, Follower, MemoryLog, Outcome, Pulse, ReadError, Recorded, StreamId,
    Unit,
};

use crate::given::{Log, PATIENCE, caught_up, config, key_id, key_stream, revoke, tenant, wait};
use crate::stores::{DiskStores, MemoryStores, Stores, Work};
use crate::tree::{Batch, Pair, SledTree, Tree, TreeError};
use crate::{KeyQuery, Projection, QueryError, Stage};

async fn keys_are_shown(projection: &Projection, keys: usize) {
    let page = projection.keys().list(KeyQuery::all(tenant("acme"))).await.unwrap();
    assert_eq!(page.keys.len(), keys);
}

fn folders(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Keeps views on disk, stops, does something to the folder of the view `keys`, and starts again.
async fn survives(meddle: impl FnOnce(&Path) -> Option<SledTree>) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new().with_keys(1..=20).await;
    let stores = || Arc::new(DiskStores::open(dir.path()).unwrap());
    let projection = log.start(stores()).await;
    caught_up(&projection, Position::new(21)).await;
    projection.stop().await;
    let held = meddle(&dir.path().join("keys"));
    let projection = log.start(stores()).await;
    caught_up(&projection, Position::new(21)).await;
    keys_are_shown(&projection, 20).await;
    drop(held);
    projection.stop().await;
    folders(dir.path())
}

const REBUILT: [&str; 7] =
    ["history", "index.snapshot", "keys", "keys.set-aside-1", "notices", "tenants", "times"];

#[tokio::test]
async fn a_view_is_as_it_was_when_nobody_meddles() {
    let untouched = survives(|_| None).await;
    assert_eq!(untouched, ["history", "index.snapshot", "keys", "notices", "tenants", "times"]);
}

#[tokio::test]
async fn a_deleted_view_comes_back() {
    let deleted = survives(|keys| {
        fs::remove_dir_all(keys).unwrap();
        None
    });
    assert_eq!(deleted.await, ["history", "index.snapshot", "keys", "notices", "tenants", "times"]);
}

#[tokio::test]
async fn a_view_of_garbage_is_set_aside_and_rebuilt() {
    let garbage = survives(|keys| {
        for file in fs::read_dir(keys).unwrap() {
            let file = file.unwrap().path();
            if file.is_file() {
                let length = usize::try_from(fs::metadata(&file).unwrap().len()).unwrap();
                fs::write(file, vec![0xa5; length]).unwrap();
            }
        }
        None
    });
    assert_eq!(garbage.await, REBUILT);
}

#[tokio::test]
async fn a_view_that_is_a_file_is_set_aside_and_rebuilt() {
    let file = survives(|keys| {
        fs::remove_dir_all(keys).unwrap();
        fs::write(keys, b"what is this").unwrap();
        None
    });
    assert_eq!(file.await, REBUILT);
}

#[tokio::test]
async fn a_view_that_somebody_else_has_open_is_set_aside_and_rebuilt() {
    assert_eq!(survives(|keys| Some(SledTree::open(keys, 1 << 20).unwrap())).await, REBUILT);
}

#[tokio::test]
async fn a_view_of_another_form_is_set_aside_and_rebuilt() {
    let strange = survives(|keys| {
        let tree = SledTree::open(keys, 1 << 20).unwrap();
        tree.apply(vec![(crate::view::META.to_vec(), Some(vec![200]))]).unwrap();
        tree.flush().unwrap();
        None
    });
    assert_eq!(strange.await, REBUILT);
}

/// Stores whose trees do what a test says.
#[derive(Clone, Debug, Default)]
struct Failing {
    inner: MemoryStores,
    /// Reading a row finds damage.
    damaged: Arc<AtomicBool>,
    /// Writing panics.
    panics: Arc<AtomicBool>,
    /// So many writes fail as on a full disk.
    full: Arc<AtomicU64>,
    /// How often a view was set aside.
    set_aside: Arc<AtomicU64>,
}

struct FailingTree {
    inner: Box<dyn Tree>,
    on: Failing,
}

impl Tree for FailingTree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        if key.starts_with(b"r") && self.on.damaged.swap(false, Ordering::SeqCst) {
            return Err(TreeError::damaged("a page has a wrong checksum"));
        }
        self.inner.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, TreeError> {
        self.inner.scan(prefix, after, limit)
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Pair>, TreeError> {
        self.inner.last(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<(), TreeError> {
        assert!(!self.on.panics.swap(false, Ordering::SeqCst), "a store that panics");
        let full = self.on.full.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1));
        if full.is_ok() {
            return Err(TreeError::Io { reason: "no space left on device".to_owned() });
        }
        self.inner.apply(batch)
    }

    fn flush(&self) -> Result<(), TreeError> {
        self.inner.flush()
    }
}

impl Stores for Failing {
    fn open_tree(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        let inner = self.inner.open_tree(view)?;
        Ok(if view == "keys" { Box::new(FailingTree { inner, on: self.clone() }) } else { inner })
    }

    fn set_aside(&self, view: &'static str) -> io::Result<()> {
        self.set_aside.fetch_add(1, Ordering::SeqCst);
        self.inner.set_aside(view)
    }

    fn open_scratch(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        self.inner.open_scratch(view)
    }

    fn clear_scratch(&self) -> io::Result<()> {
        self.inner.clear_scratch()
    }

    fn save_snapshot(&self, write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
        self.inner.save_snapshot(write)
    }

    fn load_snapshot(&self) -> io::Result<Option<Box<dyn io::Read + Send>>> {
        self.inner.load_snapshot()
    }

    fn remove_snapshot(&self) -> io::Result<()> {
        self.inner.remove_snapshot()
    }

    fn work(&self) -> Work {
        self.inner.work()
    }
}

#[tokio::test(start_paused = true)]
async fn a_reader_that_meets_damage_has_the_view_rebuilt() {
    let log = Log::new().with_keys(1..=20).await;
    let stores = Failing::default();
    let projection = log.start(Arc::new(stores.clone())).await;
    caught_up(&projection, Position::new(21)).await;
    stores.damaged.store(true, Ordering::SeqCst);
    let failed = projection.keys().one(&tenant("acme"), key_id(3)).await;
    assert!(matches!(failed, Err(QueryError::Failed { view: "keys", .. })), "{failed:?}");
    let mut status = projection.keys().status();
    let rebuilding = status.wait_for(|status| status.stage != Stage::Ready);
    tokio::time::timeout(PATIENCE, rebuilding).await.expect("it is set aside").unwrap();
    let meanwhile = projection.keys().one(&tenant("acme"), key_id(3)).await;
    assert!(matches!(meanwhile, Err(QueryError::NotReady { view: "keys", .. })), "{meanwhile:?}");
    caught_up(&projection, Position::new(21)).await;
    keys_are_shown(&projection, 20).await;
    assert_eq!(stores.set_aside.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_is_rebuilt_and_the_others_go_on() {
    let log = Log::new().with_keys(1..=20).await;
    let stores = Failing::default();
    let projection = log.start(Arc::new(stores.clone())).await;
    caught_up(&projection, Position::new(21)).await;
    stores.panics.store(true, Ordering::SeqCst);
    let head = log.append(&key_stream("acme", 3), revoke(RevokeReason::Policy)).await;
    caught_up(&projection, head).await;
    let key = projection.keys().one(&tenant("acme"), key_id(3)).await.unwrap().unwrap();
    assert_eq!(key.standing, Standing::Revoked);
    assert_eq!(stores.set_aside.load(Ordering::SeqCst), 1);
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_waited_for_and_nothing_is_thrown_away() {
    let log = Log::new().with_keys(1..=20).await;
    let stores = Failing::default();
    let projection = log.start(Arc::new(stores.clone())).await;
    caught_up(&projection, Position::new(21)).await;
    stores.full.store(5, Ordering::SeqCst);
    let head = log.append(&key_stream("acme", 3), revoke(RevokeReason::Policy)).await;
    caught_up(&projection, head).await;
    assert_eq!(stores.set_aside.load(Ordering::SeqCst), 0);
    assert_eq!(stores.full.load(Ordering::SeqCst), 0);
}

/// A log that is away, or has a hole, when a test says so.
#[derive(Clone, Debug)]
struct Bent {
    inner: MemoryLog,
    away: Arc<AtomicBool>,
    /// Leaves out the event at this position; 0 = none.
    hole: Arc<AtomicU64>,
}

struct BentFollower {
    inner: Box<dyn Follower>,
    log: Bent,
}

fn away() -> ReadError {
    ReadError::Unavailable { reason: "nobody answers".to_owned() }
}

#[async_trait]
impl Follower for BentFollower {
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError> {
        let events = self.inner.next().await?;
        if self.log.away.load(Ordering::SeqCst) {
            return Err(away());
        }
        let hole = self.log.hole.load(Ordering::SeqCst);
        Ok(events.into_iter().filter(|event| event.position.get() != hole).collect())
    }
}

#[async_trait]
impl EventLog for Bent {
    fn log_id(&self) -> LogId {
        self.inner.log_id()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError> {
        self.inner.append(unit).await
    }

    async fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError> {
        self.inner.read_stream(stream, after).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        if self.away.load(Ordering::SeqCst) { Err(away()) } else { self.inner.head().await }
    }

    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        let inner = self.inner.follow(after).await?;
        Ok(Box::new(BentFollower { inner, log: self.clone() }))
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        self.inner.pulse().await
    }
}

fn bent(log: &Log) -> Bent {
    Bent { inner: log.log.clone(), away: Arc::default(), hole: Arc::default() }
}

#[tokio::test(start_paused = true)]
async fn a_log_that_goes_away_is_followed_again_when_it_is_back() {
    let log = Log::new().with_keys(1..=20).await;
    let port = bent(&log);
    port.away.store(true, Ordering::SeqCst);
    let projection = Projection::start(config(Arc::new(MemoryStores::new())), Arc::new(port.clone())).await;
    tokio::time::sleep(PATIENCE).await;
    assert!(projection.progress().iter().all(|worker| worker.status.stage == Stage::Opening));
    let early = projection.keys().one(&tenant("acme"), key_id(3)).await;
    assert!(matches!(early, Err(QueryError::NotReady { .. })), "{early:?}");
    port.away.store(false, Ordering::SeqCst);
    caught_up(&projection, Position::new(21)).await;
    port.away.store(true, Ordering::SeqCst);
    let head = log.append(&key_stream("acme", 3), revoke(RevokeReason::Policy)).await;
    tokio::time::sleep(PATIENCE).await;
    keys_are_shown(&projection, 20).await;
    assert_eq!(projection.index.applied(), Position::new(21));
    port.away.store(false, Ordering::SeqCst);
    caught_up(&projection, head).await;
    port.away.store(true, Ordering::SeqCst);
    tokio::time::timeout(PATIENCE, projection.stop()).await.expect("it stops while the log is away");
}

#[tokio::test(start_paused = true)]
async fn a_hole_stops_everything_before_it_and_forgets_the_saved_index() {
    let log = Log::new().with_keys(1..=20).await;
    let stores = MemoryStores::new();
    log.projection(&stores).await.stop().await;
    let port = bent(&log);
    let projection = Projection::start(config(Arc::new(stores.clone())), Arc::new(port.clone())).await;
    caught_up(&projection, Position::new(21)).await;
    port.hole.store(23, Ordering::SeqCst);
    for n in 1..=3 {
        log.append(&key_stream("acme", n), revoke(RevokeReason::Policy)).await;
    }
    for mut status in [projection.index_status(), projection.keys().status(), projection.notices().status()] {
        let stopped = status.wait_for(|status| status.stage == Stage::Stopped);
        let status = *tokio::time::timeout(PATIENCE, stopped).await.expect("it stops").unwrap();
        assert!(status.applied < Position::new(23), "{status:?}");
    }
    let revoked = projection.index.key(&tenant("acme"), key_id(1)).unwrap();
    assert_eq!(revoked.key.standing, Standing::Revoked, "what came before the hole is true");
    assert!(projection.index.applied() < Position::new(23));
    tokio::time::timeout(PATIENCE, projection.stop()).await.expect("it stops");
    assert!(stores.snapshot().is_none());
}

#[tokio::test(start_paused = true)]
async fn an_unreadable_event_refuses_its_key_and_all_else_goes_on() {
    let log = Log::new().with_keys(1..=20).await;
    let rescind = StreamName::Tenant(domain::TenantId::operators());
    log.append(&rescind, crate::given::open()).await;
    log.append(&key_stream("rescind", 100), crate::given::issue(1)).await;
    for stream in [key_stream("acme", 3), key_stream("acme", 99), rescind] {
        log.append_bytes(&stream, b"\xff".to_vec()).await;
    }
    let zeta = StreamName::Tenant(tenant("zeta"));
    log.append(&zeta, crate::given::open()).await;
    log.append_bytes(&zeta, b"\xff".to_vec()).await;
    let stores = MemoryStores::new();
    let projection = log.projection(&stores).await;
    for n in [3, 99] {
        let key = projection.keys().one(&tenant("acme"), key_id(n)).await.unwrap().unwrap();
        let state = projection.index.key(&tenant("acme"), key_id(n)).unwrap();
        assert_eq!((key.standing, state.key.standing), (Standing::Quarantined, Standing::Quarantined));
        assert_eq!((key.revision, key.position), (state.key.revision, state.last));
    }
    let tenants = projection.tenants().list(None, 10).await.unwrap().tenants;
    let quarantined: Vec<_> = tenants.iter().map(|row| (row.tenant.as_str(), row.quarantined)).collect();
    assert_eq!(quarantined, [("acme", false), ("rescind", false), ("zeta", true)]);
    for row in &tenants {
        assert_eq!(projection.index.tenant(&row.tenant).unwrap().quarantined, row.quarantined);
    }
    let shown = projection.history().events(&key_stream("acme", 3), Position::NONE, 9).await.unwrap();
    assert_eq!(shown.events[1].export()["unreadable"], "the bytes are not a protobuf envelope");
    // Taking away is always possible.
    for n in [3, 99] {
        let head = log.append(&key_stream("acme", n), revoke(RevokeReason::Compromised)).await;
        wait(projection.index_status(), head).await;
        wait(projection.keys().status(), head).await;
        let key = projection.keys().one(&tenant("acme"), key_id(n)).await.unwrap().unwrap();
        assert_eq!(key.standing, Standing::Revoked);
        let state = projection.index.key(&tenant("acme"), key_id(n)).unwrap();
        assert_eq!((state.key.standing, state.key.revision), (Standing::Revoked, key.revision));
    }
}
