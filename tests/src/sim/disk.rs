//! Where a node keeps its views: memory that can lose what was not flushed, or sled in a folder of its own.

use std::fmt;
use std::io;
use std::sync::Arc;

use projection::stores::{DiskStores, MemoryStores, Stores, Work};
use projection::tree::{MemoryDisk, Pair, Tree, TreeError};
use tempfile::TempDir;

/// The views that every node keeps.
pub(crate) const VIEWS: [&str; 5] = ["keys", "history", "tenants", "notices", "times"];
/// More rows than any simulated view has.
const ALL_ROWS: usize = 1_000_000;

pub(crate) enum Disk {
    Memory(MemoryStores),
    Sled(Arc<InlineDisk>),
}

impl Disk {
    pub(crate) fn memory(prepare: fn(&MemoryDisk)) -> Self {
        let stores = MemoryStores::new();
        for view in VIEWS {
            prepare(&stores.disk(view));
        }
        Self::Memory(stores)
    }

    pub(crate) fn sled() -> io::Result<Self> {
        let dir = tempfile::Builder::new().prefix("sim-").tempdir()?;
        let stores = DiskStores::open(dir.path())?;
        Ok(Self::Sled(Arc::new(InlineDisk { stores, _dir: dir })))
    }

    pub(crate) fn stores(&self) -> Arc<dyn Stores> {
        match self {
            Self::Memory(stores) => Arc::new(stores.clone()),
            Self::Sled(stores) => Arc::clone(stores) as Arc<dyn Stores>,
        }
    }

    /// Forgets what was not flushed, but for so many batches of each view as `keep` says of those that are there. A folder
    /// keeps all: a killed process leaves its writes to the system.
    pub(crate) fn crash(&self, mut keep: impl FnMut(usize) -> usize) {
        if let Self::Memory(stores) = self {
            for view in VIEWS {
                let disk = stores.disk(view);
                disk.crash_keeping(keep(disk.unflushed()));
            }
        }
    }

    /// Changes one byte of the saved index, if there is one.
    pub(crate) fn damage_snapshot(&self, at: u64) {
        if let Self::Memory(stores) = self
            && let Some(mut bytes) = stores.snapshot()
            && !bytes.is_empty()
        {
            let at = usize::try_from(at % bytes.len() as u64).unwrap_or(0);
            bytes[at] ^= 0x10;
            stores.set_snapshot(Some(bytes));
        }
    }

    /// All rows of a view that nobody has open.
    pub(crate) fn dump(&self, view: &'static str) -> Result<Vec<Pair>, TreeError> {
        self.stores().open_tree(view)?.scan(b"", None, ALL_ROWS)
    }
}

/// The product's own folder of sled views, its work done where the caller is: the order of things stays one.
pub(crate) struct InlineDisk {
    stores: DiskStores,
    /// The folder goes with the node.
    _dir: TempDir,
}

impl fmt::Debug for InlineDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InlineDisk")
    }
}

impl Stores for InlineDisk {
    fn open_tree(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        self.stores.open_tree(view)
    }

    fn set_aside(&self, view: &'static str) -> io::Result<()> {
        self.stores.set_aside(view)
    }

    fn open_scratch(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        self.stores.open_scratch(view)
    }

    fn clear_scratch(&self) -> io::Result<()> {
        self.stores.clear_scratch()
    }

    fn save_snapshot(&self, write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
        self.stores.save_snapshot(write)
    }

    fn load_snapshot(&self) -> io::Result<Option<Box<dyn io::Read + Send>>> {
        self.stores.load_snapshot()
    }

    fn remove_snapshot(&self) -> io::Result<()> {
        self.stores.remove_snapshot()
    }

    fn work(&self) -> Work {
        Work::Inline
    }
}
