//! `backup restore`: a backup into an empty data folder, as a log that is trusted only once it is known what came after.

use std::fs;
use std::path::Path;

use domain::{LogId, Position};
use eventlog::{EmbeddedCopy, EmbeddedSeals, LogCopy, Recorded};
use proof::{Events, Hash, LogEvent, Vkey};
use tokio::runtime::Runtime;

use super::backup::{About, Backup};
use super::create::read_seals;
use super::{KeepError, Progress, parts, seals, verify};
use crate::node::Folder;
use crate::planted::Bug;

/// Events written at a time.
const PIECE: usize = 4096;

/// What was restored.
#[derive(Clone, Debug, PartialEq)]
pub struct Restored {
    /// Whose history it is.
    pub log_id: LogId,
    /// The last event that is known.
    pub head: Position,
    /// The root over all of them.
    pub root: Hash,
    /// When the backup was made, RFC 3339.
    pub made_at: String,
    /// How many seals were given back; none if the backup has none.
    pub seals: Option<usize>,
    /// How many files of records were given back; none if the backup has none.
    pub records: Option<usize>,
    /// Whether the log's signers were given back.
    pub signer: bool,
}

/// Restores a backup, which is verified first, into a data folder that is empty or where an earlier run was stopped.
///
/// # Errors
/// [`KeepError`]. What is there before the end is no log that a server opens.
pub fn restore(
    root: &Path,
    data: &Path,
    signers: &[Vkey],
    progress: &Progress,
) -> Result<Restored, KeepError> {
    let (backup, about) = Backup::open(root)?;
    let (verified, tree) = verify::check(&backup, &about, signers, progress)?;
    check_empty(data)?;
    let folder = Folder::take(data)?;
    let runtime = Runtime::new().map_err(|error| KeepError::io(data, error))?;
    let (log_id, end) = (verified.log_id, Position::new(tree.size()));
    let mut copy = EmbeddedCopy::open_restoring(&folder.log(), log_id, end)?;
    runtime.block_on(fill(&backup, &mut copy, progress))?;
    give_parts(&backup, &about, &folder, &runtime)?;
    super::notary::give(&backup.archive, &folder)?;
    // If we stop before this line, the folder holds no log. From here on it holds one that is read and not trusted.
    runtime.block_on(copy.finish())?;
    drop(copy);
    if Bug::TrustsRestored.is_planted() {
        eventlog::settle(&folder.log(), log_id)?;
    }
    Ok(Restored {
        log_id,
        head: end,
        root: tree.root(),
        made_at: verified.made_at,
        seals: verified.seals,
        records: verified.records,
        signer: verified.signer,
    })
}

/// A folder in which a restore has begun says so by its log; any other has to be empty.
fn check_empty(data: &Path) -> Result<(), KeepError> {
    let entries = match fs::read_dir(data) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(source) => return Err(KeepError::io(data, source)),
    };
    let mut others = false;
    for entry in entries {
        let name = entry.map_err(|source| KeepError::io(data, source))?.file_name();
        if name == "log.redb" {
            // Whether it is half restored or something else is told by whoever opens it.
            return Ok(());
        }
        let of_a_start = name == "serve.lock" || name.to_string_lossy().starts_with(".log.redb.");
        others |= !of_a_start;
    }
    if others { Err(KeepError::NotEmpty { path: data.to_owned() }) } else { Ok(()) }
}

/// Compares what an earlier run has written, and adds the rest.
async fn fill(backup: &Backup, copy: &mut dyn LogCopy, progress: &Progress) -> Result<(), KeepError> {
    progress.begin(backup.archive.last().get());
    let mut events = backup.archive.events(Position::NONE);
    let (mut at, there) = (Position::NONE, copy.head());
    while at < there {
        for written in copy.read_after(at).await? {
            at = written.position;
            let held = next(&mut events)?;
            if held.is_none_or(|held| recorded(held).ok() != Some(written)) {
                return Err(KeepError::Differs { position: at });
            }
        }
    }
    loop {
        let mut piece = Vec::with_capacity(PIECE);
        while piece.len() < PIECE
            && let Some(event) = next(&mut events)?
        {
            piece.push(recorded(event)?);
        }
        if piece.is_empty() {
            return Ok(());
        }
        copy.write(&piece).await?;
        progress.reach(copy.head().get());
    }
}

fn next(events: &mut Events) -> Result<Option<LogEvent>, KeepError> {
    Ok(events.next().transpose()?)
}

fn recorded(event: LogEvent) -> Result<Recorded, KeepError> {
    let LogEvent { position, stream, id, payload } = event;
    let stream = stream.parse().map_err(|_| KeepError::BackupDiffers {
        reason: format!("the event at position {position} names no stream"),
    })?;
    Ok(Recorded { position, stream, id, payload })
}

fn give_parts(backup: &Backup, about: &About, folder: &Folder, runtime: &Runtime) -> Result<(), KeepError> {
    if let Some(part) = &about.seals {
        let path = folder.seals();
        let store = EmbeddedSeals::open(&path).map_err(|source| KeepError::io(&path, source))?;
        runtime.block_on(seals::take_in(&store, read_seals(&backup.root, part)?))?;
    }
    for part in about.records.iter().flatten() {
        // Below the folder of the run, which is named after it.
        let own = part.path.split_once('/').map_or(part.path.as_str(), |(_, own)| own);
        parts::give_file(&backup.root, part, &folder.records().join(own))?;
    }
    if let Some(part) = &about.signer {
        parts::give_file(&backup.root, part, &folder.signer())?;
    }
    Ok(())
}
