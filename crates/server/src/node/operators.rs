//! The first operator: its key is on disk before it stands in the log, so that no crash leaves an operator whom nobody has.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use application::{Application, Bootstrapped};
use domain::{ParsedKey, PlainKey};
use tracing::{info, warn};
use zeroize::Zeroizing;

use crate::node::start_error::StartError;

/// What a start did about operators.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FirstStart {
    /// The log was new: the first operator's key is in this file.
    NewOperator(PathBuf),
    /// Another operator was issued, as asked; its key is in this file.
    Recovered(PathBuf),
    /// An operator stands in the log already.
    Existing,
    /// A verify-only server makes no operator.
    NotAsked,
}

/// Sees to it that an operator stands in the log and that tenant `default` is open. Safe after a crash at any line.
pub(crate) async fn establish(
    application: &Application,
    path: &Path,
    recover: bool,
) -> Result<FirstStart, StartError> {
    let first_start = first_operator(application, path).await?;
    application.open_default_tenant().await?;
    application.look_for_seals().await;
    if recover && first_start == FirstStart::Existing {
        return recover_operator(application, path).await;
    }
    Ok(first_start)
}

async fn first_operator(application: &Application, path: &Path) -> Result<FirstStart, StartError> {
    let text = match read_key(path).map_err(|source| StartError::io(path, source))? {
        Some(text) => {
            // Written by an earlier start, which may have stopped before its append.
            let key =
                ParsedKey::parse(&text).map_err(|_| StartError::OperatorFile { path: path.to_owned() })?;
            let was_new = !application.is_bootstrapped().await?;
            return match (application.bootstrap(&key).await?, was_new) {
                (Bootstrapped::Ours, true) => Ok(FirstStart::NewOperator(path.to_owned())),
                (Bootstrapped::Ours, false) => Ok(FirstStart::Existing),
                (Bootstrapped::Another, _) => {
                    // Perhaps the operator of another log that this folder was used with: out of the way, not lost.
                    let aside = beside(path, "other");
                    fs::rename(path, &aside).map_err(|source| StartError::io(path, source))?;
                    warn!(file = %aside.display(), "the key in operator.key is of no operator of this log; it was renamed");
                    Ok(FirstStart::Existing)
                }
            };
        }
        None if application.is_bootstrapped().await? => return Ok(FirstStart::Existing),
        None => application.draw_first_operator().key,
    };
    write_key(path, &text).map_err(|source| StartError::io(path, source))?;
    // The key is on disk. If we stop here, the next start appends it.
    let key =
        ParsedKey::parse(text.expose()).map_err(|_| StartError::OperatorFile { path: path.to_owned() })?;
    match application.bootstrap(&key).await? {
        Bootstrapped::Ours => {
            info!(file = %path.display(), "the first operator was issued");
            Ok(FirstStart::NewOperator(path.to_owned()))
        }
        Bootstrapped::Another => {
            // Another server on this log was quicker; the key drawn here was never anybody's.
            fs::remove_file(path).map_err(|source| StartError::io(path, source))?;
            Ok(FirstStart::Existing)
        }
    }
}

async fn recover_operator(application: &Application, path: &Path) -> Result<FirstStart, StartError> {
    let issued = application.recover_operator().await?;
    let Some(key) = issued.key else { return Ok(FirstStart::Existing) };
    if path.exists() {
        let old = beside(path, "old");
        fs::rename(path, &old).map_err(|source| StartError::io(path, source))?;
    }
    write_key(path, &key).map_err(|source| StartError::io(path, source))?;
    info!(file = %path.display(), key.id = %issued.key_id, "another operator was issued, as asked");
    Ok(FirstStart::Recovered(path.to_owned()))
}

fn beside(path: &Path, what: &str) -> PathBuf {
    path.with_extension(format!("key.{what}"))
}

fn read_key(path: &Path) -> io::Result<Option<Zeroizing<String>>> {
    match fs::read_to_string(path) {
        Ok(text) => {
            let text = Zeroizing::new(text);
            Ok(Some(Zeroizing::new(text.trim().to_owned())))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Writes the key alone on one line, for this user only: wholly and durably, or not at all.
fn write_key(path: &Path, key: &PlainKey) -> io::Result<()> {
    let new = beside(path, "new");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&new)?;
    file.write_all(key.expose().as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()
}
