//! Where the database's bytes lie, and whether a sync of them ever failed.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use redb::backends::FileBackend;
use redb::{BackendError, StorageBackend};

/// Gives the log's bytes, again after a failure: each call what is on disk now, locked against every other opener.
pub(super) trait Storage: Send + Sync {
    fn open(&self, sync_failed: Arc<AtomicBool>) -> io::Result<Watched>;
}

/// The log in a file of its own.
pub(super) struct LogFile(pub(super) PathBuf);

impl Storage for LogFile {
    fn open(&self, sync_failed: Arc<AtomicBool>) -> io::Result<Watched> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(&self.0)?;
        if file.metadata()?.len() == 0 {
            sync_folder_of(&self.0)?;
        }
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Watched { inner: Box::new(backend), sync_failed })
    }
}

/// Makes a new name in a folder survive a power cut. Without it, the file's own syncs are of no use.
pub(super) fn sync_folder_of(path: &Path) -> io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

impl<B: StorageBackend, F: Fn() -> io::Result<B> + Send + Sync> Storage for F {
    fn open(&self, sync_failed: Arc<AtomicBool>) -> io::Result<Watched> {
        Ok(Watched { inner: Box::new(self()?), sync_failed })
    }
}

/// A backend that remembers that a sync failed. After that the system may have dropped what it could not write and still
/// show it to readers, so nobody in this process can know what is on disk.
#[derive(Debug)]
pub(super) struct Watched {
    inner: Box<dyn StorageBackend>,
    sync_failed: Arc<AtomicBool>,
}

impl StorageBackend for Watched {
    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.inner.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.inner.sync_data().inspect_err(|_| self.sync_failed.store(true, Ordering::SeqCst))
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.inner.write(offset, data)
    }

    fn close(&self) -> io::Result<()> {
        self.inner.close()
    }

    fn try_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_range(start, end)
    }

    fn try_lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.try_lock_shared_range(start, end)
    }

    fn lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_range(start, end)
    }

    fn lock_shared_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.lock_shared_range(start, end)
    }

    fn unlock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<(), BackendError> {
        self.inner.unlock_range(start, end)
    }

    fn query_lock_range(&self, start: Bound<u64>, end: Bound<u64>) -> Result<bool, BackendError> {
        self.inner.query_lock_range(start, end)
    }
}
