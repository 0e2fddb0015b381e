//! Where the record lies, and how one that does not open is set aside: kept, since nothing can make it again.

use std::fs;
use std::io;
use std::path::PathBuf;

use crate::stores::Work;
use crate::tree::{MemoryDisk, SledTree, Tree, TreeError};

/// The record's folder below the records.
const FOLDER: &str = "usage";
/// Between its name and the number of the time it was set aside.
const SET_ASIDE: &str = ".set-aside-";
/// Records set aside are never removed; more than these are a disk that fails again and again.
const SET_ASIDE_MAX: u32 = 1_000;
/// Bytes of pages that sled is asked to keep in memory: a summary and two numbers for each key in use.
const CACHE_BYTES: u64 = 32 << 20;

/// Where the record of usage lies.
#[derive(Clone, Debug)]
pub enum UsagePlace {
    /// In `usage/` below this folder, which is made if it is not there.
    Disk(PathBuf),
    /// In memory: for tests and simulations.
    Memory(MemoryDisk),
}

impl UsagePlace {
    pub(crate) fn open(&self) -> Result<Box<dyn Tree>, TreeError> {
        match self {
            Self::Disk(records) => {
                let failed = |error: io::Error| TreeError::Io { reason: error.to_string() };
                fs::create_dir_all(records).map_err(failed)?;
                Ok(Box::new(SledTree::open(&records.join(FOLDER), CACHE_BYTES)?))
            }
            Self::Memory(disk) => Ok(Box::new(disk.open())),
        }
    }

    /// Gives the record a name under which it is out of the way, and says which.
    pub(crate) fn set_aside(&self) -> io::Result<String> {
        match self {
            Self::Disk(records) => {
                let aside = (1..=SET_ASIDE_MAX).map(|n| records.join(format!("{FOLDER}{SET_ASIDE}{n}")));
                let mut free = aside.filter(|path| !path.exists());
                let path = free.next().ok_or_else(|| io::Error::other("too many records were set aside"))?;
                fs::rename(records.join(FOLDER), &path)?;
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
            Self::Disk(_) => Work::Blocking,
            Self::Memory(_) => Work::Inline,
        }
    }
}
