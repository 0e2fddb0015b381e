//! Why a node does not start: each says what is wrong with which thing, and what to do.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use application::CommandError;
use eventlog::OpenError;
use eventlog::jetstream::ConnectError;
use thiserror::Error;

use crate::config::ConfigError;
use crate::notary::NotaryError;

/// Why a durable is not made.
#[derive(Debug, Error)]
pub enum DurableError {
    /// NATS is not named, or in two ways.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It is not reached, or refuses.
    #[error(transparent)]
    Nats(#[from] ConnectError),
}

/// Why a node does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// Another server works on this folder.
    #[error(
        "the data folder {path} is in use by another `rescind serve`: stop that one, or give this one its own --data"
    )]
    InUse {
        /// The folder.
        path: PathBuf,
    },
    /// A file or folder cannot be used.
    #[error("{path} cannot be used ({source}){}", remedy(source))]
    Io {
        /// Which one.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address} ({source}){}", listen_remedy(source))]
    Listen {
        /// Which one.
        address: SocketAddr,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The certificate or its key cannot be used.
    #[error("{setting}: {path} cannot be used: {reason}")]
    Tls {
        /// Which setting names it.
        setting: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The list of a scanner's public keys cannot be used.
    #[error(
        "leaks_github_keys: the file cannot be used: {reason}; it is GitHub's list of public keys, as JSON"
    )]
    LeakKeys {
        /// What is wrong.
        reason: String,
    },
    /// The embedded log does not open.
    #[error(transparent)]
    Log(#[from] OpenError),
    /// The log on NATS cannot be used.
    #[error(transparent)]
    Nats(#[from] ConnectError),
    /// The notary does not start.
    #[error("the notary does not start: {0}")]
    Notary(#[from] NotaryError),
    /// `operator.key` holds something else than a key.
    #[error("{path} holds no key: move it away; if the operator is lost, start once with --recover-operator")]
    OperatorFile {
        /// The file.
        path: PathBuf,
    },
    /// The first operator or tenant could not be written.
    #[error("the first operator cannot be established: {0}; start again, which goes on where this stopped")]
    Bootstrap(#[from] CommandError),
    /// A bug.
    #[error("opening {what} panicked; this is a bug in this program")]
    Panicked {
        /// What was being opened.
        what: &'static str,
    },
}

impl StartError {
    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        Self::Io { path: path.to_owned(), source }
    }
}

fn remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": free space on that disk; nothing was lost"
        }
        io::ErrorKind::PermissionDenied => {
            ": give this user the right to write there, or choose another --data"
        }
        io::ErrorKind::ReadOnlyFilesystem => ": it is mounted read-only; choose another --data",
        _ => "",
    }
}

fn listen_remedy(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::AddrInUse => ": another program listens there; stop it, or choose another --listen",
        io::ErrorKind::AddrNotAvailable => {
            ": this machine does not have that address; choose another --listen"
        }
        io::ErrorKind::PermissionDenied => {
            ": ports below 1024 need a right that this user lacks; choose another --listen"
        }
        _ => "",
    }
}
