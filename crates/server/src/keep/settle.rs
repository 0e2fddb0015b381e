//! `backup settle`: what came after a backup is applied, or said to be lost; then the restored log is trusted again.

use std::path::{Path, PathBuf};

use application::{Ambient, SystemAmbient};
use domain::{LogId, Position};
use eventlog::{EmbeddedLog, EmbeddedSeals, EventLog, settle as settle_log};
use proof::{Checkpoint, Frontier, Hash};
use serde_json::json;
use tokio::runtime::Runtime;
use wire::format_rfc3339;

use super::heard::{self, Applied};
use super::{KeepError, Progress, records};
use crate::node::Folder;

/// The record of restores below the folder of records: a line of JSON each, only ever added to.
const RESTORES: &str = "restores.ndjson";

/// What is known of the time after the backup.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// Checkpoints of this log, from anywhere, each as it was served.
    pub checkpoints: Vec<Vec<u8>>,
    /// Files of notices, a CloudEvent a line, as `watch --json` prints them.
    pub heard: Vec<PathBuf>,
    /// The position that the restored log ends at, said by who takes the loss of whatever came after.
    pub accepted: Option<Position>,
}

/// How a restored log goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Settled {
    /// The log's name before.
    pub was: LogId,
    /// Its name from now on: another one if its end was lost.
    pub log_id: LogId,
    /// Where the backup ended.
    pub end: Position,
    /// The root over all events up to there.
    pub root: Hash,
    /// What was applied of the lost end.
    pub applied: Applied,
}

/// Settles the restored log in a data folder. A run that is stopped leaves it unsettled; run again it has the same effect.
///
/// # Errors
/// [`KeepError`]; [`KeepError::Lost`] says what has to be said first.
pub fn settle(data: &Path, known: &Known, progress: &Progress) -> Result<Option<Settled>, KeepError> {
    let place = format!("embedded:{}", data.display());
    if !data.join("log.redb").is_file() {
        return Err(KeepError::NoLog { place });
    }
    let folder = Folder::take(data)?;
    let runtime = Runtime::new().map_err(|error| KeepError::io(data, error))?;
    let log = EmbeddedLog::open_settling(&folder.log())?;
    let Some(end) = log.restored() else { return Ok(None) };
    let was = log.log_id();
    let root = runtime.block_on(judge(&log, end, known, progress))?;
    let lost = known.accepted.is_some();
    let mut applied = Applied::default();
    if lost {
        let notices = heard::read(&known.heard, was, end)?;
        let seals = folder.seals();
        let seals = EmbeddedSeals::open(&seals).map_err(|source| KeepError::io(&seals, source))?;
        applied = runtime.block_on(heard::apply(&log, seals, was, end, notices))?;
    }
    drop(log);
    let log_id = if lost { LogId::from_u128(SystemAmbient.draw_ulid()) } else { was };
    let settled = Settled { was, log_id, end, root, applied };
    // What was applied is durable. The record comes before the log is trusted: a restore that nobody can see afterwards
    // would be worse than one that is on record twice.
    record(&folder, &settled, known)?;
    if lost {
        super::notary::set_aside(&folder, was)?;
        records::rename_log(&folder, was, log_id)?;
    }
    settle_log(&folder.log(), log_id)?;
    Ok(Some(settled))
}

/// Whether enough is known to go on; the root at the end of the backup.
async fn judge(
    log: &EmbeddedLog,
    end: Position,
    known: &Known,
    progress: &Progress,
) -> Result<Hash, KeepError> {
    let lost = |reason: String| KeepError::Lost { reason };
    let origin = proof::origin_of(log.log_id());
    let mut checkpoints = Vec::new();
    for bytes in &known.checkpoints {
        let checkpoint = Checkpoint::parse(bytes)?;
        if checkpoint.origin() != origin {
            return Err(lost(format!(
                "a checkpoint is of {}, and this log is {origin}",
                checkpoint.origin()
            )));
        }
        checkpoints.push(checkpoint);
    }
    let root = grow(log, end, &checkpoints, progress).await?;
    let further = checkpoints.iter().map(Checkpoint::size).max().filter(|size| *size > end.get());
    let accept = format!(
        "to go on without it, pass --accept-loss {end}, with --heard for all notices that anybody has of it"
    );
    match (known.accepted, further) {
        (Some(accepted), _) if accepted != end => Err(lost(format!(
            "the backup ends at position {end}, not at {accepted}: --accept-loss names the position after which all is lost"
        ))),
        (Some(_), _) => Ok(root),
        (None, Some(size)) => Err(lost(format!(
            "a checkpoint of {size} events is known and the backup ends at position {end}: {} events are lost; restore a newer backup, or {accept}",
            size - end.get()
        ))),
        (None, None) if !known.heard.is_empty() => {
            Err(lost(format!("notices alone do not tell all that came after position {end}; {accept}")))
        }
        (None, None) if checkpoints.is_empty() => Err(lost(format!(
            "it is not known what came after position {end}: name the newest checkpoint that anybody has with --known; {accept}"
        ))),
        (None, None) => Ok(root),
    }
}

/// The root at the end of the backup; every known checkpoint up to there is compared on the way.
async fn grow(
    log: &EmbeddedLog,
    end: Position,
    known: &[Checkpoint],
    progress: &Progress,
) -> Result<Hash, KeepError> {
    progress.begin(end.get());
    let mut tree = Frontier::default();
    let mut follower = log.follow(Position::NONE).await?;
    while tree.size() < end.get() {
        for event in follower.next().await? {
            if event.position > end {
                break;
            }
            tree.push(proof::leaf_hash(event.position, &event.payload), |_, _| {});
            for checkpoint in known {
                super::create::compare(&tree, Some(checkpoint))?;
            }
        }
        progress.reach(tree.size());
    }
    Ok(tree.root())
}

/// Adds a line to the record of restores; durable on return.
fn record(folder: &Folder, settled: &Settled, known: &Known) -> Result<(), KeepError> {
    let path = folder.records().join(RESTORES);
    let line = json!({
        "settled_at": format_rfc3339(SystemAmbient.now()),
        "was": settled.was.to_string(), "log_id": settled.log_id.to_string(),
        "end": settled.end.get(), "root": settled.root.to_string(),
        "loss_accepted": known.accepted.is_some(), "known_checkpoints": known.checkpoints.len(),
        "revoked": settled.applied.revoked, "recalled": settled.applied.recalled,
        "suspended": settled.applied.suspended, "closed": settled.applied.closed,
        "unknown_keys": settled.applied.unknown,
    });
    let append = || -> std::io::Result<()> {
        std::fs::create_dir_all(folder.records())?;
        let mut lines = match std::fs::read(&path) {
            Ok(lines) => lines,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(error) => return Err(error),
        };
        lines.extend_from_slice(line.to_string().as_bytes());
        lines.push(b'\n');
        proof::put_durably(&path, &lines)
    };
    append().map_err(|source| KeepError::io(&path, source))
}
