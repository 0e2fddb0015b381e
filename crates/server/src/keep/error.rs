//! Why a log was not copied, backed up or restored: each says about which thing, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use application::CommandError;
use domain::{Position, TenantId};
use eventlog::jetstream::ConnectError;
use eventlog::{CopyError, OpenError, ReadError};
use proof::{ArchiveError, CheckpointError};
use thiserror::Error;

use crate::config::ConfigError;
use crate::node::StartError;

/// Why keeping a log failed.
#[derive(Debug, Error)]
pub enum KeepError {
    /// The places do not hold together.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A data folder is in use, or cannot be used.
    #[error(transparent)]
    Folder(#[from] StartError),
    /// There is nothing to keep.
    #[error("there is no log in {place}: name the data folder of a server")]
    NoLog {
        /// Where it was looked for.
        place: String,
    },
    /// The log was restored, and nobody said what came after.
    #[error(
        "the log in {place} was restored from a backup that ends at position {end}, and what came after is not known: run `rescind backup settle` first"
    )]
    Unsettled {
        /// Where it is.
        place: String,
        /// Where the backup ended.
        end: Position,
    },
    /// A server writes to it.
    #[error("a server is at work on the log on {place}: stop every server on it, then run this again")]
    Served {
        /// Where it is.
        place: String,
    },
    /// The log grew while it was copied.
    #[error(
        "the log on {place} went on from {was} to {is} while it was copied: stop every server on it, then run this again, which copies the rest"
    )]
    Grew {
        /// Where it is.
        place: String,
        /// Its head at the begin.
        was: Position,
        /// Its head at the end.
        is: Position,
    },
    /// The target has events that the source does not have.
    #[error(
        "the target ends at position {target} and the source at {from}: they parted, or source and target are mixed up"
    )]
    Longer {
        /// Where the target ends.
        target: Position,
        /// Where the source ends.
        from: Position,
    },
    /// The target has another event.
    #[error(
        "the target holds another event than the source at position {position}: they parted; choose an empty target"
    )]
    Differs {
        /// The first such position.
        position: Position,
    },
    /// What was written does not read back the same.
    #[error(
        "the copy does not hold what the source holds: {reason}; it stays unfinished, so nobody serves it"
    )]
    Unequal {
        /// What is wrong.
        reason: String,
    },
    /// The target has another seal.
    #[error("the target has another seal of tenant {tenant} than the source: choose an empty target")]
    SealDiffers {
        /// Whose.
        tenant: TenantId,
    },
    /// The backup is not what it says of itself.
    #[error("the backup is not what was written: {reason}; take another copy of it")]
    BackupDiffers {
        /// What is wrong.
        reason: String,
    },
    /// The events are not what was signed.
    #[error("the events are not those of the signed checkpoint of {size} events: {reason}")]
    Unsigned {
        /// The size of the signed tree.
        size: u64,
        /// What is wrong.
        reason: String,
    },
    /// No run has ended here.
    #[error(
        "{path} holds a backup of which no run has ended: run `rescind backup create` again, which goes on"
    )]
    NotWhole {
        /// The backup.
        path: PathBuf,
    },
    /// A part of a backup is not what it was.
    #[error("{path} is damaged: {reason}; take this file from another copy of the backup")]
    PartDamaged {
        /// The part.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It was asked for and is not at hand.
    #[error("the log's signers are not at hand: name the data folder of the server with --data")]
    NoSigner,
    /// A signature was asked for, and nothing was signed.
    #[error("the backup holds no checkpoint: it was taken from a server without a notary")]
    NoCheckpoint,
    /// Nothing is restored over what is there.
    #[error("{path} is not empty: restore into a new folder")]
    NotEmpty {
        /// The folder.
        path: PathBuf,
    },
    /// It is not known what came after the backup.
    #[error("{reason}")]
    Lost {
        /// What is known, and what has to be said.
        reason: String,
    },
    /// What was heard cannot be read, or is of another log.
    #[error("line {line} of {path} cannot be applied: {reason}")]
    Heard {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
    /// An event that was heard could not be written again.
    #[error("what was heard at position {position} of the lost end could not be applied")]
    NotApplied {
        /// Where it stood.
        position: Position,
        /// Why.
        #[source]
        source: CommandError,
    },
    /// An archive cannot be read or written.
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    /// A checkpoint does not read, or is not signed by whom it should.
    #[error("the checkpoint cannot be used: {0}")]
    Checkpoint(#[from] CheckpointError),
    /// A target cannot take the history.
    #[error(transparent)]
    Copy(#[from] CopyError),
    /// NATS is not reached, or its streams cannot be used.
    #[error(transparent)]
    Nats(#[from] ConnectError),
    /// The embedded log does not open.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The log or the seals cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A file or folder cannot be used.
    #[error("{path} cannot be used ({source})")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A server did not give what was asked of it.
    #[error("the server did not give what was asked: {reason}")]
    Server {
        /// Its code.
        code: String,
        /// What it said.
        reason: String,
    },
    /// A bug.
    #[error("{what} panicked; this is a bug in this program")]
    Panicked {
        /// What was being done.
        what: &'static str,
    },
}

impl KeepError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }

    /// A stable word for scripts.
    #[must_use]
    pub fn code(&self) -> &str {
        match self {
            Self::Config(_) => "config",
            Self::Folder(StartError::InUse { .. }) => "data_in_use",
            Self::Log(OpenError::InUse { .. }) => "data_in_use",
            Self::NoLog { .. } => "no_log",
            Self::Unsettled { .. } => "log_restored",
            Self::Served { .. } | Self::Grew { .. } => "log_served",
            Self::Longer { .. } | Self::Differs { .. } | Self::SealDiffers { .. } => "target_differs",
            Self::Copy(CopyError::OtherLog { .. } | CopyError::OtherFeed { .. }) => "target_differs",
            Self::Unequal { .. } => "copy_unequal",
            Self::BackupDiffers { .. } | Self::PartDamaged { .. } => "backup_damaged",
            Self::NotWhole { .. } => "backup_not_whole",
            Self::Unsigned { .. } | Self::Checkpoint(_) => "checkpoint_differs",
            Self::NoSigner => "no_signer",
            Self::NoCheckpoint => "no_checkpoint",
            Self::NotEmpty { .. } => "not_empty",
            Self::Lost { .. } => "end_unknown",
            Self::Heard { .. } => "heard_unreadable",
            Self::NotApplied { .. } => "not_applied",
            Self::Archive(ArchiveError::OtherLog { .. }) => "target_differs",
            Self::Archive(ArchiveError::Io { .. }) => "io",
            Self::Archive(_) => "backup_damaged",
            Self::Copy(_) => "copy_failed",
            Self::Nats(_) => "nats",
            Self::Log(_) | Self::Read(_) => "log",
            Self::Folder(_) | Self::Io { .. } => "io",
            Self::Server { code, .. } => code,
            Self::Panicked { .. } => "internal",
        }
    }
}
