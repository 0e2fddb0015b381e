//! The index on disk, for a restart: everything up to one position, closed by a checksum.
//!
//! Little-endian: magic, format, reader level, log id, position, seven counts, CRC-32 of all this; tenants, owners, scope
//! sets, label sets, network sets and issuers in the order of their numbers; rows; CRC-32 of everything before. Neither
//! overlay nor lease is in it: what they said is in the log after the position, or must be proven anew.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::io;

use domain::{LogId, Position};
use thiserror::Error;

pub use read::read_snapshot;
pub(crate) use write::write;

const MAGIC: [u8; 8] = *b"rskindex";
/// Any change of the bytes is another format; there is no way between two, the log has everything.
const FORMAT: u32 = 2;
/// Magic, format, reader, log id, position, six counts of four bytes and one of eight.
const HEADER_BYTES: usize = 8 + 4 + 4 + 16 + 8 + 6 * 4 + 8;
/// The longest personal text in bytes: an event larger than a request's 64 KiB does not exist.
const MAX_TEXT: usize = 64 * 1024;

/// How many of each there are; number 0 of the shared values is always there and not written.
#[derive(Clone, Copy)]
struct Counts {
    tenants: u32,
    owners: u32,
    scopes: u32,
    labels: u32,
    networks: u32,
    issuers: u32,
    rows: u64,
}

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
