//! Where the views and the index snapshot are kept, and on which threads their work is done.

mod disk;
mod memory;

pub use disk::DiskStores;
pub use memory::MemoryStores;

use std::fmt;
use std::io;

use crate::tree::{Tree, TreeError};

/// The home of everything that a projection keeps. All of it can be rebuilt from the log.
pub trait Stores: Send + Sync + fmt::Debug {
    /// Opens the tree of a view, or makes it.
    ///
    /// # Errors
    /// [`TreeError::OpenFailed`].
    fn open_tree(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError>;

    /// Moves the tree of a view out of the way, so that the next opening makes a new one. Nobody may have it open.
    ///
    /// # Errors
    /// What the file system says.
    fn set_aside(&self, view: &'static str) -> io::Result<()>;

    /// Opens an empty tree beside the views' own, for comparing. What was opened so before is removed: one at a time.
    ///
    /// # Errors
    /// [`TreeError`].
    fn open_scratch(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError>;

    /// Removes what [`open_scratch`](Self::open_scratch) made. Nobody may have it open.
    ///
    /// # Errors
    /// What the file system says; nothing there is `Ok(())`.
    fn clear_scratch(&self) -> io::Result<()>;

    /// Replaces the index snapshot by what `write` writes: wholly and durably, or not at all.
    ///
    /// # Errors
    /// What `write` or the file system says; the last snapshot is then still there.
    fn save_snapshot(&self, write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()>;

    /// The last snapshot that was saved.
    ///
    /// # Errors
    /// What the file system says; none is `Ok(None)`.
    fn load_snapshot(&self) -> io::Result<Option<Box<dyn io::Read + Send>>>;

    /// Removes the snapshot, so that the next start begins at the first event.
    ///
    /// # Errors
    /// What the file system says; none is `Ok(())`.
    fn remove_snapshot(&self) -> io::Result<()>;

    /// Where its calls are to be made.
    fn work(&self) -> Work;
}

/// Where calls that may wait for a disk are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Where the caller is: nothing ever waits, and a simulation needs one order of events.
    Inline,
    /// On threads that may wait, so that the runtime's own never do.
    Blocking,
}

impl Work {
    /// Does `work` at the right place. Once begun it runs to its end, even if the returned future is dropped.
    pub(crate) async fn run<T: Send + 'static>(self, work: impl FnOnce() -> T + Send + 'static) -> T {
        match self {
            Self::Inline => work(),
            Self::Blocking => match tokio::task::spawn_blocking(work).await {
                Ok(value) => value,
                Err(error) => match error.try_into_panic() {
                    Ok(panic) => std::panic::resume_unwind(panic),
                    // The runtime is shutting down, and this task with it.
                    Err(_) => std::future::pending().await,
                },
            },
        }
    }
}
