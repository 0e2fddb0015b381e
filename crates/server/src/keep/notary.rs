//! The notary's files in a data folder, as far as keeping a log goes: what is kept, given back and set aside.

use std::fs;
use std::io;
use std::path::Path;

use domain::LogId;
use proof::{Archive, put_durably, tile_levels};

use super::{Checkpoints, KeepError};
use crate::node::Folder;

/// Its folder below the folder of records.
pub(super) const FOLDER: &str = "notary";
const LEVELS: &str = "levels";
const CHECKPOINT: &str = "checkpoint";
const CHECKPOINTS: &str = "checkpoints";

/// The last checkpoint in a data folder and those before it; none where there is no notary.
pub(super) fn kept(data: &Path) -> Result<Option<Checkpoints>, KeepError> {
    let folder = data.join("records").join(FOLDER);
    let read = |name: &str| {
        let path = folder.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(KeepError::io(&path, source)),
        }
    };
    match read(CHECKPOINT)? {
        Some(last) => Ok(Some(Checkpoints { last, before: read(CHECKPOINTS)?.unwrap_or_default() })),
        None => Ok(None),
    }
}

/// Gives a notary's files back from a backup, so that the chain of checkpoints goes on; the checkpoint last, since it says
/// that the tree below it is there.
pub(super) fn give(archive: &Archive, folder: &Folder) -> Result<(), KeepError> {
    let Some(last) = archive.checkpoint()? else { return Ok(()) };
    let notary = folder.records().join(FOLDER);
    let levels = notary.join(LEVELS);
    let give = || -> io::Result<()> {
        fs::create_dir_all(&levels)?;
        let held = archive.levels();
        for level in 0..tile_levels(u64::MAX) {
            let from = held.file(level);
            if from.is_file() {
                put_durably(&levels.join(level.to_string()), &fs::read(from)?)?;
            }
        }
        put_durably(&notary.join(CHECKPOINTS), &archive.checkpoints().map_err(io::Error::other)?)?;
        put_durably(&notary.join(CHECKPOINT), &last)
    };
    give().map_err(|source| KeepError::io(&notary, source))
}

/// Takes a notary's files and signers out of the way when the log goes on under another name: both are of the log that was,
/// and the next start makes others.
pub(super) fn set_aside(folder: &Folder, was: LogId) -> Result<(), KeepError> {
    let notary = folder.records().join(FOLDER);
    let signer = folder.signer();
    for (path, aside) in [
        (&notary, folder.records().join(format!("{FOLDER}-of-{was}"))),
        (&signer, signer.with_added_extension(format!("of-{was}"))),
    ] {
        // If we stop here, the next run finds it out of the way.
        if path.exists() {
            fs::rename(path, &aside).map_err(|source| KeepError::io(path, source))?;
        }
    }
    Ok(())
}
