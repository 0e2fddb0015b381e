//! The data folder: what lies where, and the lock that keeps a second server out.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use crate::node::start_error::StartError;

/// The file whose lock says that a server works here. Its content does not matter; the system drops the lock with the
/// process, however that ends.
const LOCK: &str = "serve.lock";

/// A data folder that no other server uses as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
}

impl Folder {
    /// Makes the folder if it is not there, for this user only, and locks it.
    pub(crate) fn take(path: &Path) -> Result<Self, StartError> {
        let failed = |source| StartError::io(path, source);
        make(path).map_err(failed)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))
            .map_err(failed)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(StartError::InUse { path: path.to_owned() }),
            Err(TryLockError::Error(source)) => Err(StartError::io(path, source)),
        }
    }

    /// The embedded log.
    pub(crate) fn log(&self) -> PathBuf {
        self.path.join("log.redb")
    }

    /// Only disposable things.
    pub(crate) fn views(&self) -> PathBuf {
        self.path.join("views")
    }

    /// What cannot be rebuilt from the log.
    pub(crate) fn records(&self) -> PathBuf {
        self.path.join("records")
    }

    /// The tree over the log, and its checkpoints.
    pub(crate) fn notary(&self) -> PathBuf {
        self.records().join("notary")
    }

    /// The tenants' seals of an embedded log.
    pub(crate) fn seals(&self) -> PathBuf {
        self.path.join("seals")
    }

    /// What the log's checkpoints are signed with.
    pub(crate) fn signer(&self) -> PathBuf {
        self.path.join("signer.key")
    }

    /// The first operator's key.
    pub(crate) fn operator_key(&self) -> PathBuf {
        self.path.join("operator.key")
    }
}

fn make(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_server_is_told_which_folder_is_in_use() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let first = Folder::take(&path).unwrap();
        let error = Folder::take(&path).unwrap_err();
        assert!(matches!(&error, StartError::InUse { path: named } if named.ends_with("data")), "{error}");
        assert!(error.to_string().contains("--data"));
        drop(first);
        Folder::take(&path).unwrap();
    }

    #[cfg(unix)]
    #[test]
    fn the_folder_is_for_its_user_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("data");
        let _folder = Folder::take(&path).unwrap();
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o700);
    }
}
