//! A new file for one key, which only its owner may read and which never takes the place of another.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::exit::Exit;
use crate::failure::Failure;

/// A new file for one key, removed again unless the key came to lie in it.
pub(super) struct KeyFile {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl KeyFile {
    pub(super) fn create(path: &Path) -> Result<Self, Failure> {
        let created = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        let file = created.map_err(|error| {
            Failure::new(
                Exit::Error,
                "key_file",
                format!("cannot create {}; no key was issued", path.display()),
            )
            .because(error.to_string())
            .remedy("choose a path that does not exist yet, in a folder that does")
        })?;
        Ok(Self { path: path.to_owned(), file, kept: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes the text that holds the key, with an end of line.
    pub(super) fn keep(&mut self, text: &str) -> Result<(), Failure> {
        let parts = [text.as_bytes(), b"\n"];
        let mut written = parts.into_iter().try_for_each(|part| self.file.write_all(part));
        written = written.and_then(|()| self.file.sync_all());
        written.map_err(|error| {
            Failure::io(format!("cannot write the key to {}", self.path.display()), &error)
                .remedy("its secret is lost: revoke the key as superseded and issue another")
        })?;
        self.kept = true;
        Ok(())
    }
}

impl Drop for KeyFile {
    fn drop(&mut self) {
        if !self.kept {
            drop(fs::remove_file(&self.path));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_key_file_is_new_private_and_gone_without_a_key() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("mailer.key");
        drop(KeyFile::create(&path).unwrap());
        assert!(!path.exists(), "no key, no file");

        let mut file = KeyFile::create(&path).unwrap();
        file.keep("rsk_live_x").unwrap();
        drop(file);
        assert_eq!(fs::read_to_string(&path).unwrap(), "rsk_live_x\n");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(KeyFile::create(&path).is_err(), "a file that is there is not written over");
    }
}
