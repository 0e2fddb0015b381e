//! Where the database's bytes lie, and whether a sync of them ever failed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
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

/// The log in a file of its own, which must be there.
pub(super) struct LogFile(pub(super) PathBuf);

impl Storage for LogFile {
    fn open(&self, sync_failed: Arc<AtomicBool>) -> io::Result<Watched> {
        let file = OpenOptions::new().read(true).write(true).open(&self.0)?;
        let backend = FileBackend::new(file).map_err(io::Error::other)?;
        Ok(Watched { inner: Box::new(backend), sync_failed })
    }
}

/// The most unfinished files beside a log: as many crashes in the middle of a first start as can be meant.
const MAX_DRAFTS: u32 = 8;

fn draft_path(path: &Path, number: u32) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.{number}"))
}

/// Makes a new file that is whole before it has its name: `fill` writes and syncs a draft beside it. redb cannot open a file
/// whose first bytes were being written when the power went, and nobody could tell that file from a damaged log.
/// If another process is faster, its file stands.
pub(super) fn create_whole<E: From<io::Error>>(
    path: &Path,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<(), E> {
    let draft = new_draft(path)?;
    let filled = fill(&draft);
    let named = filled.and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error.into()),
        _ => Ok(()),
    });
    // If we stop here, the draft stays until the next open removes it.
    let _ = fs::remove_file(&draft);
    named?;
    Ok(sync_folder_of(path)?)
}

fn new_draft(path: &Path) -> io::Result<PathBuf> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    for number in 0..MAX_DRAFTS {
        let draft = draft_path(path, number);
        match options.open(&draft) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
            opened => return opened.map(|_| draft),
        }
    }
    Err(io::Error::other(format!(
        "{MAX_DRAFTS} unfinished files lie beside it, remove {}*",
        draft_path(path, 0).display()
    )))
}

/// Removes what crashes in the middle of a first start left. Called with the log itself open, so nobody is making it.
pub(super) fn remove_drafts(path: &Path) {
    for number in 0..MAX_DRAFTS {
        let _ = fs::remove_file(draft_path(path, number));
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
