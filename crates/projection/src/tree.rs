//! One ordered tree of bytes: all that a view needs from its store, so that sled can be exchanged.

pub mod conformance;
mod memory;
mod sled_tree;

pub use memory::{MemoryDisk, MemoryTree};
pub use sled_tree::SledTree;

use thiserror::Error;

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// Changes that are applied together or not at all: a value to put, or none to remove. Each key at most once.
pub type Batch = Vec<(Vec<u8>, Option<Vec<u8>>)>;

/// An ordered tree of bytes.
///
/// **Atomic.** After a crash at any moment a batch of [`apply`](Self::apply) is there whole or not at all, and never without
/// the batches that were applied before it.
///
/// **Durable.** What was applied before a [`flush`](Self::flush) that returned survives; what came after it may be lost.
///
/// **Concurrent.** One writer and any number of readers. A reader that scans while a batch is applied may see a part of it.
pub trait Tree: Send + Sync {
    /// The value of a key.
    ///
    /// # Errors
    /// [`TreeError`].
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError>;

    /// The first `limit` pairs in ascending order whose key begins with `prefix` and is above `after`.
    ///
    /// # Errors
    /// [`TreeError`].
    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, TreeError>;

    /// The last pair whose key begins with `prefix`.
    ///
    /// # Errors
    /// [`TreeError`].
    fn last(&self, prefix: &[u8]) -> Result<Option<Pair>, TreeError>;

    /// Makes all changes of a batch, or none.
    ///
    /// # Errors
    /// [`TreeError`]; what was applied is then not known, and the tree must be opened anew.
    fn apply(&self, batch: Batch) -> Result<(), TreeError>;

    /// Makes durable what was applied before.
    ///
    /// # Errors
    /// [`TreeError`].
    fn flush(&self) -> Result<(), TreeError>;
}

/// Why a tree cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum TreeError {
    /// It could not be opened, or the store panicked in opening it.
    #[error("the store does not open: {reason}")]
    OpenFailed {
        /// What went wrong, one lower-case clause.
        reason: String,
    },
    /// What it holds is not what was written.
    #[error("the store is damaged: {reason}")]
    Damaged {
        /// What is wrong, one lower-case clause.
        reason: String,
    },
    /// The disk did not do as asked: full, gone, failing.
    #[error("the store cannot be read or written: {reason}")]
    Io {
        /// What went wrong, one lower-case clause.
        reason: String,
    },
}

impl TreeError {
    /// A row that no writer of ours makes.
    pub(crate) fn damaged(reason: &str) -> Self {
        Self::Damaged { reason: reason.to_owned() }
    }
}
