//! The files of a set-up: secrets drawn once and kept, texts written anew; all for their owner alone.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use application::{Ambient, SystemAmbient};
use nkeys::{KeyPair, KeyPairType};
use zeroize::Zeroizing;

use crate::exit::Exit;
use crate::failure::Failure;

/// The folder of a set-up.
pub(super) struct Files {
    folder: PathBuf,
}

impl Files {
    /// Makes the folder if it is not there.
    pub(super) fn open(folder: &Path) -> Result<Self, Failure> {
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        for folder in [folder.to_owned(), folder.join("consumers")] {
            builder.create(&folder).map_err(|error| unusable(&folder, &error))?;
        }
        Ok(Self { folder: folder.to_owned() })
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The public key of the user whose seed is in this file; drawn if there is none.
    pub(super) fn user(&self, name: &str) -> Result<String, Failure> {
        let seed = self.secret(name, || {
            let mut raw = Zeroizing::new([0; 32]);
            SystemAmbient.fill(&mut *raw);
            let pair = KeyPair::new_from_raw(KeyPairType::User, *raw);
            pair.and_then(|pair| pair.seed()).map_err(|error| error.to_string())
        })?;
        let pair = KeyPair::from_seed(&seed).ok().filter(|_| seed.starts_with("SU"));
        let pair = pair.ok_or_else(|| {
            Failure::new(
                Exit::Config,
                "nats_seed",
                format!("{} holds no seed of a NATS user", self.path(name).display()),
            )
            .remedy("move the file away, and another one is drawn; whoever uses it needs the new one")
        })?;
        Ok(pair.public_key())
    }

    /// A word that the servers of a cluster know each other by; drawn if there is none.
    pub(super) fn password(&self, name: &str) -> Result<Zeroizing<String>, Failure> {
        let word = self.secret(name, || {
            let mut raw = Zeroizing::new([0; 32]);
            SystemAmbient.fill(&mut *raw);
            Ok(raw.iter().map(|byte| format!("{byte:02x}")).collect())
        })?;
        if word.len() == 64 && word.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Ok(word);
        }
        Err(Failure::new(
            Exit::Config,
            "nats_seed",
            format!("{} is not what was written", self.path(name).display()),
        )
        .remedy("move the file away, and another one is drawn for all nodes"))
    }

    /// What stands in a file, or what is drawn into it now. Never written over: somebody uses it.
    fn secret(
        &self,
        name: &str,
        draw: impl FnOnce() -> Result<String, String>,
    ) -> Result<Zeroizing<String>, Failure> {
        let path = self.path(name);
        match fs::read_to_string(&path) {
            Ok(text) => return Ok(Zeroizing::new(Zeroizing::new(text).trim().to_owned())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(unusable(&path, &error)),
        }
        let secret = draw()
            .map(Zeroizing::new)
            .map_err(|why| Failure::new(Exit::Error, "nats_seed", "no seed can be drawn").because(why))?;
        let mut file = OpenOptions::new();
        let file = file.write(true).create_new(true).mode(0o600).open(&path);
        let written = file.and_then(|mut file| {
            file.write_all(secret.as_bytes())?;
            file.write_all(b"\n")?;
            file.sync_all()
        });
        written.map_err(|error| unusable(&path, &error))?;
        Ok(secret)
    }

    /// Writes a text in place of what was there, whole or not at all: a server may read it at any moment.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<(), Failure> {
        let path = self.path(name);
        let write = || -> io::Result<()> {
            let mut file = tempfile::NamedTempFile::new_in(&self.folder)?;
            file.write_all(text.as_bytes())?;
            file.as_file().set_permissions(fs::Permissions::from_mode(0o600))?;
            file.as_file().sync_all()?;
            file.persist(&path)?;
            Ok(())
        };
        write().map_err(|error| unusable(&path, &error))
    }
}

fn unusable(path: &Path, error: &io::Error) -> Failure {
    Failure::io(format!("{} cannot be used", path.display()), error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_is_drawn_once_for_its_owner_alone() {
        let dir = tempfile::tempdir().unwrap();
        let files = Files::open(&dir.path().join("nats")).unwrap();
        let user = files.user("rescind.nkey").unwrap();
        assert!(user.starts_with('U') && user.len() == 56, "{user}");
        assert_eq!(files.user("rescind.nkey").unwrap(), user, "the seed is kept");
        assert_ne!(files.user("consumers/acme_mailer.nkey").unwrap(), user);
        files.write("nats.conf", "a").unwrap();
        files.write("nats.conf", "b").unwrap();
        for (name, mode) in [
            ("rescind.nkey", 0o600),
            ("consumers/acme_mailer.nkey", 0o600),
            ("nats.conf", 0o600),
            (".", 0o700),
        ] {
            let found = fs::metadata(files.path(name)).unwrap().permissions().mode() & 0o777;
            assert_eq!(found, mode, "{name}");
        }
        fs::write(files.path("rescind.nkey"), "rsk").unwrap();
        assert!(files.user("rescind.nkey").is_err(), "what is no seed is not replaced");
        assert_eq!(fs::read_to_string(files.path("rescind.nkey")).unwrap(), "rsk");
        assert_eq!(files.password("routes").unwrap(), files.password("routes").unwrap());
    }
}
