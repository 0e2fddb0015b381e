//! The views' home in memory: for the simulation, which crashes it.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use parking_lot::Mutex;

use super::{Stores, Work};
use crate::tree::{MemoryDisk, Tree, TreeError};

/// Trees and a snapshot in memory. A clone is another hold on the same, so that it outlives the process it stands for.
#[derive(Clone, Debug, Default)]
pub struct MemoryStores {
    disks: Arc<Mutex<BTreeMap<&'static str, MemoryDisk>>>,
    snapshot: Arc<Mutex<Option<Vec<u8>>>>,
}

impl MemoryStores {
    /// Nothing is kept yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The disk of one view, for crashing it and for looking into it.
    #[must_use]
    pub fn disk(&self, view: &'static str) -> MemoryDisk {
        self.disks.lock().entry(view).or_default().clone()
    }

    /// Forgets all that was not flushed, in all views. The snapshot is durable once it is saved.
    pub fn crash(&self) {
        for disk in self.disks.lock().values() {
            disk.crash();
        }
    }

    /// Forgets what was not flushed, but for the first `batches` of each view: a cut in the middle of writing out.
    pub fn crash_keeping(&self, batches: usize) {
        for disk in self.disks.lock().values() {
            disk.crash_keeping(batches);
        }
    }

    /// The bytes of the last snapshot.
    #[must_use]
    pub fn snapshot(&self) -> Option<Vec<u8>> {
        self.snapshot.lock().clone()
    }

    /// Puts other bytes in the snapshot's place, or takes it away.
    pub fn set_snapshot(&self, bytes: Option<Vec<u8>>) {
        *self.snapshot.lock() = bytes;
    }
}

impl Stores for MemoryStores {
    fn open_tree(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        Ok(Box::new(self.disk(view).open()))
    }

    fn set_aside(&self, view: &'static str) -> io::Result<()> {
        self.disks.lock().remove(view);
        Ok(())
    }

    fn open_scratch(&self, _view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        Ok(Box::new(MemoryDisk::default().open()))
    }

    fn clear_scratch(&self) -> io::Result<()> {
        Ok(())
    }

    fn save_snapshot(&self, write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
        let mut bytes = Vec::new();
        write(&mut bytes)?;
        *self.snapshot.lock() = Some(bytes);
        Ok(())
    }

    fn load_snapshot(&self) -> io::Result<Option<Box<dyn io::Read + Send>>> {
        Ok(self.snapshot().map(|bytes| Box::new(io::Cursor::new(bytes)) as Box<dyn io::Read + Send>))
    }

    fn remove_snapshot(&self) -> io::Result<()> {
        self.set_snapshot(None);
        Ok(())
    }

    fn work(&self) -> Work {
        Work::Inline
    }
}
