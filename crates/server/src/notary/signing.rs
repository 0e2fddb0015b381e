//! The signer file: made at the first start, read again when it changes.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use application::Ambient;
use proof::{SignerFile, Signers};
use zeroize::Zeroizing;

use crate::notary::errors::NotaryError;

/// A signer file is a line or two; what is larger is something else.
const MAX_BYTES: u64 = 64 * 1024;

/// What signs, as the file says.
pub(super) struct Signing {
    path: PathBuf,
    origin: String,
    /// When the file was last changed, as far as it was read.
    changed: Option<SystemTime>,
    signers: Signers,
}

impl Signing {
    /// Reads the file.
    pub(super) fn open(path: &Path, origin: &str) -> Result<Self, NotaryError> {
        let (signers, changed) = read(path, origin)?;
        Ok(Self { path: path.to_owned(), origin: origin.to_owned(), changed, signers })
    }

    /// Makes the file with one new signer. Durable on return, and only then anything is signed with it.
    pub(super) fn create(path: &Path, origin: &str, ambient: &dyn Ambient) -> Result<Self, NotaryError> {
        let mut seed = Zeroizing::new([0; 32]);
        ambient.fill(&mut *seed);
        write_new(path, SignerFile::create(origin, seed).expose())
            .map_err(|source| NotaryError::io(path, source))?;
        Self::open(path, origin)
    }

    /// What to sign with now. If the file has changed it is read again; a new one that is no good leaves the old one at work.
    pub(super) fn current(&mut self) -> (&Signers, Option<NotaryError>) {
        let changed = fs::metadata(&self.path).and_then(|file| file.modified()).ok();
        let mut error = None;
        if changed.is_some() && changed != self.changed {
            self.changed = changed;
            match read(&self.path, &self.origin) {
                Ok((signers, _)) => self.signers = signers,
                Err(bad) => error = Some(bad),
            }
        }
        (&self.signers, error)
    }

    /// What it signs with, as last read.
    pub(super) const fn signers(&self) -> &Signers {
        &self.signers
    }
}

fn read(path: &Path, origin: &str) -> Result<(Signers, Option<SystemTime>), NotaryError> {
    let io = |source| NotaryError::io(path, source);
    let file = fs::metadata(path).map_err(io)?;
    if file.len() > MAX_BYTES {
        return Err(io(io::Error::other("it is too large for a signer file")));
    }
    let signer = |reason| NotaryError::Signer { path: path.to_owned(), reason };
    let signers = SignerFile::new(fs::read_to_string(path).map_err(io)?).signers().map_err(signer)?;
    signers.check_origin(origin).map_err(signer)?;
    Ok((signers, file.modified().ok()))
}

/// A file that only its owner can read, and that was not there before.
fn write_new(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::File::open(folder)?.sync_all()
}
