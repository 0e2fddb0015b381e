//! Where a record lies, and how one that does not open is set aside: kept, since nothing can make it again.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::stores::Work;
use crate::tree::{MemoryDisk, SledTree, Tree, TreeError};

/// Between its name and the number of the time it was set aside.
const SET_ASIDE: &str = ".set-aside-";
/// Records set aside are never removed; more than these are a disk that fails again and again.
const SET_ASIDE_MAX: u32 = 1_000;
/// Bytes of pages that sled is asked to keep in memory: a summary and two numbers for each key in use.
const CACHE_BYTES: u64 = 32 << 20;

/// Where a record lies.
#[derive(Clone, Debug)]
pub enum RecordPlace {
    /// In a folder of this name below `records`, which is made if it is not there.
    Disk {
        /// The folder of all records.
        records: PathBuf,
        /// What this one is called.
        name: &'static str,
    },
    /// In memory: for tests and simulations.
    Memory(MemoryDisk),
}

impl RecordPlace {
    /// The record of usage below the folder of records.
    #[must_use]
    pub const fn usage(records: PathBuf) -> Self {
        Self::Disk { records, name: "usage" }
    }

    /// The record of webhooks below the folder of records.
    #[must_use]
    pub const fn webhooks(records: PathBuf) -> Self {
        Self::Disk { records, name: "webhooks" }
    }

    /// The record of receipts below the folder of records.
    #[must_use]
    pub const fn receipts(records: PathBuf) -> Self {
        Self::Disk { records, name: "receipts" }
    }

    /// Whether there is anything to open.
    #[must_use]
    pub fn is_there(&self) -> bool {
        match self {
            Self::Disk { records, name } => records.join(name).is_dir(),
            Self::Memory(_) => true,
        }
    }

    /// Opens it, or makes it. Blocks.
    ///
    /// # Errors
    /// [`TreeError`].
    pub fn open(&self) -> Result<Box<dyn Tree>, TreeError> {
        match self {
            Self::Disk { records, name } => {
                let failed = |error: io::Error| TreeError::Io { reason: error.to_string() };
                fs::create_dir_all(records).map_err(failed)?;
                Ok(Box::new(SledTree::open(&records.join(name), CACHE_BYTES)?))
            }
            Self::Memory(disk) => Ok(Box::new(disk.open())),
        }
    }

    /// Gives the record a name under which it is out of the way, and says which.
    ///
    /// # Errors
    /// When its folder cannot be renamed, or too many were set aside.
    pub fn set_aside(&self) -> io::Result<String> {
        match self {
            Self::Disk { records, name } => {
                let aside = (1..=SET_ASIDE_MAX).map(|n| records.join(format!("{name}{SET_ASIDE}{n}")));
                let mut free = aside.filter(|path| !path.exists());
                let path = free.next().ok_or_else(|| io::Error::other("too many records were set aside"))?;
                fs::rename(records.join(name), &path)?;
                Ok(path.display().to_string())
            }
            Self::Memory(disk) => {
                let tree = disk.open();
                let rows = tree.scan(b"", None, usize::MAX).map_err(io::Error::other)?;
                tree.apply(rows.into_iter().map(|(name, _)| (name, None)).collect())
                    .map_err(io::Error::other)?;
                Ok("nowhere: it was in memory".to_owned())
            }
        }
    }

    pub(crate) const fn work(&self) -> Work {
        match self {
            Self::Disk { .. } => Work::Blocking,
            Self::Memory(_) => Work::Inline,
        }
    }
}
