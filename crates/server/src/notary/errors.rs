//! Why a notary does not sign: each says what is wrong with which thing, and what to do.

use std::io;
use std::path::{Path, PathBuf};

use domain::Position;
use eventlog::ReadError;
use proof::{CheckpointError, SignerError};
use thiserror::Error;

/// Why a notary does not start, or stops.
#[derive(Debug, Error)]
pub enum NotaryError {
    /// A file cannot be used.
    #[error("{path} cannot be used ({source}); check its rights and the space on its disk")]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The signer file is no good.
    #[error("the signer file {path} cannot be used: {reason}")]
    Signer {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: SignerError,
    },
    /// There are checkpoints, and nothing to sign the next with.
    #[error(
        "the signer file {path} is not there, and this log has checkpoints that it signed: put it back; if it is lost, move \
         {folder} away and auditors will be told of another signer, or go on without with --notary off"
    )]
    SignerMissing {
        /// The file.
        path: PathBuf,
        /// Where the checkpoints are.
        folder: PathBuf,
    },
    /// The last checkpoint cannot be trusted.
    #[error(
        "the last checkpoint, {path}, cannot be trusted: {reason}; put it back from a backup, or the signers that made it"
    )]
    Checkpoint {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: CheckpointError,
    },
    /// Events that were signed are gone.
    #[error(
        "the log ends at position {head}, and its last checkpoint covers {size}: position {} is the first that is missing. \
         Put the log back from a backup that has it. If the loss is to be accepted, move {folder} away: a new tree begins, \
         and auditors who hold a checkpoint will be told that the log was cut",
        head.next()
    )]
    LogShorter {
        /// The log's end.
        head: Position,
        /// What was signed.
        size: Position,
        /// Where the checkpoints are.
        folder: PathBuf,
    },
    /// The log holds something else than what was signed.
    #[error(
        "the log differs from its last checkpoint, first at position {position}: nothing more is signed. Put the log back \
         from a backup; `rescind audit verify` on an archive tells more"
    )]
    LogDiffers {
        /// The first position that differs.
        position: Position,
    },
    /// The same, where the tree that would tell the position is damaged as well.
    #[error(
        "the first {size} events of the log give another root than its last checkpoint signs, and the notary's tree, which \
         would tell where, is damaged: nothing more is signed. Put the log back from a backup"
    )]
    RootDiffers {
        /// What was signed.
        size: Position,
    },
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The log did not answer.
    #[error("the log did not answer within {0} s; try again")]
    Slow(u64),
}

impl NotaryError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}
