//! Why a log was not copied, backed up or restored: each says about which thing, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use domain::{Position, TenantId};
use eventlog::jetstream::ConnectError;
use eventlog::{CopyError, OpenError, ReadError};
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
    pub const fn code(&self) -> &'static str {
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
            Self::Copy(_) => "copy_failed",
            Self::Nats(_) => "nats",
            Self::Log(_) | Self::Read(_) => "log",
            Self::Folder(_) | Self::Io { .. } => "io",
            Self::Panicked { .. } => "internal",
        }
    }
}
