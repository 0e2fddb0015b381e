//! The view of keys apart from all others: on disk alone, or with its batches kept; and the same batches into bare sled.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use projection::stores::{DiskStores, MemoryStores, Stores, Work};
use projection::tree::{Batch, Pair, Tree, TreeError};
use tokio::time::Instant;

use crate::rush::Failure;

const VIEW: &str = "keys";
/// As the view's own.
const CACHE_BYTES: u64 = 128 << 20;
/// As often as a view flushes while it has much to take in.
const FLUSH_EVERY: usize = 50;

type Batches = Arc<Mutex<Vec<Batch>>>;

/// Everything in memory but the view of keys: that is on disk, or its batches are kept.
#[derive(Clone, Debug)]
pub(super) struct KeysApart {
    memory: MemoryStores,
    disk: Option<DiskStores>,
    batches: Option<Batches>,
}

impl KeysApart {
    pub(super) fn on_disk(disk: DiskStores) -> Self {
        Self { memory: MemoryStores::new(), disk: Some(disk), batches: None }
    }

    pub(super) fn recorded(batches: Batches) -> Self {
        Self { memory: MemoryStores::new(), disk: None, batches: Some(batches) }
    }
}

/// The same batches in bare sled: how long that takes.
pub(super) fn write_rows(folder: &Path, batches: &[Batch]) -> Result<Duration, Failure> {
    let began = Instant::now();
    let sled = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES).flush_every_ms(None).open()?;
    for (n, batch) in batches.iter().enumerate() {
        let mut rows = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => rows.insert(key.clone(), value.clone()),
                None => rows.remove(key.clone()),
            }
        }
        sled.apply_batch(rows)?;
        if n % FLUSH_EVERY == FLUSH_EVERY - 1 {
            sled.flush()?;
        }
    }
    sled.flush()?;
    Ok(began.elapsed())
}

struct Recorder {
    inner: Box<dyn Tree>,
    batches: Batches,
}

impl Tree for Recorder {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        self.inner.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, TreeError> {
        self.inner.scan(prefix, after, limit)
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Pair>, TreeError> {
        self.inner.last(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<(), TreeError> {
        self.batches.lock().push(batch.clone());
        self.inner.apply(batch)
    }

    fn flush(&self) -> Result<(), TreeError> {
        self.inner.flush()
    }
}

impl Stores for KeysApart {
    fn open_tree(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        let inner = match &self.disk {
            Some(disk) if view == VIEW => disk.open_tree(view)?,
            _ => self.memory.open_tree(view)?,
        };
        Ok(match &self.batches {
            Some(batches) if view == VIEW => Box::new(Recorder { inner, batches: Arc::clone(batches) }),
            _ => inner,
        })
    }

    fn set_aside(&self, view: &'static str) -> io::Result<()> {
        self.memory.set_aside(view)
    }

    fn open_scratch(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        self.memory.open_scratch(view)
    }

    fn clear_scratch(&self) -> io::Result<()> {
        self.memory.clear_scratch()
    }

    fn save_snapshot(&self, write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
        self.memory.save_snapshot(write)
    }

    fn load_snapshot(&self) -> io::Result<Option<Box<dyn io::Read + Send>>> {
        self.memory.load_snapshot()
    }

    fn remove_snapshot(&self) -> io::Result<()> {
        self.memory.remove_snapshot()
    }

    fn work(&self) -> Work {
        Work::Blocking
    }
}
