//! The tree on disk: sled 0.34, its default tree alone.

use std::ops::Bound;
use std::path::Path;
use std::time::Duration;

use eventlog::catch_foreign;

use super::{Batch, Pair, Tree, TreeError};

/// How long to wait for another handle on the same folder to let go: a tree that was just closed in this process still
/// writes in sled's own threads for a moment.
const LOCK_WAIT: Duration = Duration::from_secs(2);
const LOCK_RETRY: Duration = Duration::from_millis(20);
/// Whose panics are caught here.
const DATABASE: &str = "sled";

/// One sled tree in a folder of its own.
#[derive(Debug)]
pub struct SledTree {
    db: sled::Db,
}

impl SledTree {
    /// Opens the tree in `dir`, or makes it. sled keeps roughly `cache_bytes` of pages in memory, at times several times
    /// that. Blocks; a lock that somebody holds is waited for a bounded time.
    ///
    /// # Errors
    /// [`TreeError::OpenFailed`], also where sled panics.
    pub fn open(dir: &Path, cache_bytes: u64) -> Result<Self, TreeError> {
        let mut waited = Duration::ZERO;
        loop {
            match Self::open_once(dir, cache_bytes) {
                Err(TreeError::OpenFailed { reason })
                    if reason.contains("acquire lock") && waited < LOCK_WAIT =>
                {
                    std::thread::sleep(LOCK_RETRY);
                    waited += LOCK_RETRY;
                }
                settled => return settled,
            }
        }
    }

    fn open_once(dir: &Path, cache_bytes: u64) -> Result<Self, TreeError> {
        // No flusher of sled's own: its half second is beyond our control, and the view's worker flushes by its policy.
        let config = sled::Config::new().path(dir).cache_capacity(cache_bytes).flush_every_ms(None);
        match catch_foreign(DATABASE, || config.open()) {
            Ok(Ok(db)) => Ok(Self { db }),
            Ok(Err(error)) => Err(TreeError::OpenFailed { reason: error.to_string() }),
            Err(_) => Err(TreeError::OpenFailed { reason: "sled panicked in opening it".to_owned() }),
        }
    }
}

/// sled panics where it meets what it did not expect; to us that is damage like any other.
fn guarded<T>(work: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, TreeError> {
    match catch_foreign(DATABASE, work) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(sled::Error::Io(error))) => Err(TreeError::Io { reason: error.to_string() }),
        Ok(Err(error)) => Err(TreeError::Damaged { reason: error.to_string() }),
        Err(_) => Err(TreeError::damaged("sled panicked")),
    }
}

fn pair((key, value): (sled::IVec, sled::IVec)) -> Pair {
    (key.to_vec(), value.to_vec())
}

impl Tree for SledTree {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        guarded(|| Ok(self.db.get(key)?.map(|value| value.to_vec())))
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, TreeError> {
        let start = match after {
            Some(after) if after >= prefix => Bound::Excluded(after),
            Some(_) | None => Bound::Included(prefix),
        };
        guarded(|| {
            let mut pairs = Vec::new();
            for item in self.db.range::<&[u8], _>((start, Bound::Unbounded)).take(limit) {
                let item = item?;
                if !item.0.starts_with(prefix) {
                    break;
                }
                pairs.push(pair(item));
            }
            Ok(pairs)
        })
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Pair>, TreeError> {
        guarded(|| Ok(self.db.scan_prefix(prefix).next_back().transpose()?.map(pair)))
    }

    fn apply(&self, batch: Batch) -> Result<(), TreeError> {
        let mut sled_batch = sled::Batch::default();
        for (key, value) in batch {
            match value {
                Some(value) => sled_batch.insert(key, value),
                None => sled_batch.remove(key),
            }
        }
        guarded(|| self.db.apply_batch(sled_batch))
    }

    fn flush(&self) -> Result<(), TreeError> {
        guarded(|| self.db.flush().map(|_| ()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::conformance;

    #[test]
    fn sled_conforms() {
        let dir = tempfile::tempdir().unwrap();
        conformance::check(&|| SledTree::open(dir.path(), 16 << 20));
    }

    #[test]
    fn what_is_no_sled_folder_does_not_open() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("conf"), b"not a configuration of sled's").unwrap();
        std::fs::write(dir.path().join("db"), b"not a log of sled's").unwrap();
        assert!(matches!(SledTree::open(dir.path(), 1 << 20), Err(TreeError::OpenFailed { .. })));
    }
}
