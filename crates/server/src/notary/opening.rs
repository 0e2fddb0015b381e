//! How a notary starts: what was signed is held against the log before anything more is signed.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use application::Ambient;
use domain::{Position, Timestamp};
use eventlog::EventLog;
use proof::{Checkpoint, Frontier, Hash, LevelWriter, Levels, leaf_hash, origin_of};
use tokio::time::timeout;
use tracing::{info, warn};

use crate::notary::chain::Chain;
use crate::notary::errors::NotaryError;
use crate::notary::signing::Signing;
use crate::notary::worker::Work;
use crate::notary::{CHECKPOINT, CHECKPOINTS, LEVELS, Notary, Published};

/// So many of the signed events are compared before the start goes on, the last ones; the worker compares those before them
/// while the server serves, and signs nothing until then. At a million a second this is a fifth of one.
const COMPARED_AT_START: u64 = 200_000;
/// How long the log may take for its next events: they are all there.
pub(super) const NEXT_WITHIN: Duration = Duration::from_secs(10);

/// Opens the notary of a log, and makes its signer where nothing was ever signed.
///
/// # Errors
/// [`NotaryError`]: above all when the log is shorter than its last checkpoint, or differs from it.
pub(crate) async fn open(
    folder: PathBuf,
    signer: &Path,
    log: &Arc<dyn EventLog>,
    ambient: &Arc<dyn Ambient>,
) -> Result<(Arc<Notary>, Work), NotaryError> {
    let origin = origin_of(log.log_id());
    let io = |source| NotaryError::io(&folder, source);
    fs::create_dir_all(&folder).map_err(io)?;
    let path = folder.join(CHECKPOINT);
    let last = match read_dated(&path) {
        Ok(read) => Some(read),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(source) => return Err(NotaryError::io(&path, source)),
    };
    let signing = match (signer.exists(), &last) {
        (true, _) => Signing::open(signer, &origin)?,
        (false, None) => {
            info!(file = %signer.display(), "a signer was made: auditors need its public part, see `rescind audit signer show`");
            Signing::create(signer, &origin, &**ambient)?
        }
        (false, Some(_)) => return Err(NotaryError::SignerMissing { path: signer.to_owned(), folder }),
    };
    let vkeys: Vec<_> = signing.signers().vkeys().cloned().collect();
    let last = last.map(|(bytes, signed_at)| {
        let checkpoint = Checkpoint::parse(&bytes)?;
        checkpoint.signed_by(&origin, &vkeys)?;
        Ok((checkpoint, signed_at))
    });
    let last = last.transpose().map_err(|reason| NotaryError::Checkpoint { path, reason })?;
    let levels = Levels::new(folder.join(LEVELS));
    let (writer, compared_from) = match &last {
        Some((last, _)) => compare_with_log(last, &levels, &**log, &folder).await?,
        None => (levels.write_on(Frontier::default()).map_err(io)?, 0),
    };
    let chain = Chain::open(folder.join(CHECKPOINTS)).map_err(io)?;
    let published = last.as_ref().map(|(last, signed_at)| Published::of(last, *signed_at));
    let notary = Arc::new(Notary::new(log.log_id(), (&folder, signer), published, vkeys));
    let work = Work::new(
        Arc::clone(&notary),
        Arc::clone(log),
        Arc::clone(ambient),
        (writer, signing, chain),
        compared_from,
    );
    Ok((notary, work))
}

/// A file and when it was written.
fn read_dated(path: &Path) -> std::io::Result<(Vec<u8>, Timestamp)> {
    let bytes = fs::read(path)?;
    let written = fs::metadata(path)?.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok((bytes, Timestamp::from_millis(u64::try_from(written.as_millis()).unwrap_or(0))))
}

/// Files and signers again, after one of them refused: from the last checkpoint on.
pub(super) fn reopen(notary: &Notary) -> Result<(LevelWriter, Signing, Chain), NotaryError> {
    let io = |source| NotaryError::io(&notary.folder, source);
    let levels = notary.levels();
    let size = notary.covers().get();
    let frontier =
        Frontier::of(size, &levels).map_err(|error| io(std::io::Error::other(error.to_string())))?;
    let writer = levels.write_on(frontier).map_err(io)?;
    let signing = Signing::open(&notary.signer, &notary.origin())?;
    Ok((writer, signing, Chain::open(notary.folder.join(CHECKPOINTS)).map_err(io)?))
}

/// The tree that the last checkpoint signed, ready to go on, and from which leaf on it was compared with the log.
async fn compare_with_log(
    last: &Checkpoint,
    levels: &Levels,
    log: &dyn EventLog,
    folder: &Path,
) -> Result<(LevelWriter, u64), NotaryError> {
    let size = last.size();
    let head =
        timeout(NEXT_WITHIN, log.head()).await.map_err(|_| NotaryError::Slow(NEXT_WITHIN.as_secs()))??;
    if head.get() < size {
        return Err(NotaryError::LogShorter { head, size: Position::new(size), folder: folder.to_owned() });
    }
    let stored = Frontier::of(size, levels).ok().filter(|frontier| frontier.root() == last.root());
    let Some(frontier) = stored else {
        return mend(last, levels, log, None).await.map(|writer| (writer, 0));
    };
    let from = size.saturating_sub(COMPARED_AT_START);
    match compare(levels, log, from, size).await {
        Ok(()) => {}
        Err(NotaryError::LogDiffers { position }) => {
            return mend(last, levels, log, Some(position)).await.map(|writer| (writer, 0));
        }
        Err(error) => return Err(error),
    }
    // What an earlier run wrote behind its last checkpoint was never signed; it is cut here and comes again from the log.
    let writer = levels.write_on(frontier).map_err(|source| NotaryError::io(folder, source))?;
    Ok((writer, from))
}

/// Holds the log's events behind one position, up to another, against the leaves that were signed.
pub(super) async fn compare(
    levels: &Levels,
    log: &dyn EventLog,
    from: u64,
    to: u64,
) -> Result<(), NotaryError> {
    let differs = |position| NotaryError::LogDiffers { position: Position::new(position) };
    let mut compared = from;
    let mut follower = if from < to { Some(log.follow(Position::new(from)).await?) } else { None };
    while let Some(follower) = follower.as_mut().filter(|_| compared < to) {
        let next = timeout(NEXT_WITHIN, follower.next()).await;
        let mut events = next.map_err(|_| NotaryError::Slow(NEXT_WITHIN.as_secs()))??;
        events.truncate(usize::try_from(to - compared).unwrap_or(usize::MAX));
        let signed = levels.hashes(0, compared, events.len()).map_err(|_| differs(compared + 1))?;
        let (signed, _) = signed.as_chunks::<32>();
        for (event, signed) in events.iter().zip(signed) {
            if leaf_hash(event.position, &event.payload).0 != *signed {
                return Err(differs(event.position.get()));
            }
        }
        compared += events.len() as u64;
    }
    Ok(())
}

/// Log and tree differ: the log is right if its events have the root that was signed, and then the tree is made anew. If not,
/// the tree is left as it is, since it tells where the log parts from it.
pub(super) async fn mend(
    last: &Checkpoint,
    levels: &Levels,
    log: &dyn EventLog,
    differs: Option<Position>,
) -> Result<LevelWriter, NotaryError> {
    let mut frontier = Frontier::default();
    read(log, last.size(), |leaf| {
        frontier.push(leaf, |_, _| {});
        Ok(())
    })
    .await?;
    if frontier.root() != last.root() {
        return Err(match differs {
            Some(position) => NotaryError::LogDiffers { position },
            None => NotaryError::RootDiffers { size: Position::new(last.size()) },
        });
    }
    warn!("the notary's tree was damaged; it is made anew from the log, which has the signed root");
    let io = |source| NotaryError::io(&levels.file(0), source);
    let mut writer = levels.write_on(Frontier::default()).map_err(io)?;
    read(log, last.size(), |leaf| writer.push(leaf).map_err(io)).await?;
    writer.sync().map_err(io)?;
    Ok(writer)
}

/// The leaves of the log's first events, which are all there.
async fn read(
    log: &dyn EventLog,
    size: u64,
    mut take: impl FnMut(Hash) -> Result<(), NotaryError>,
) -> Result<(), NotaryError> {
    let mut follower = log.follow(Position::NONE).await?;
    let mut taken = 0;
    while taken < size {
        let next = timeout(NEXT_WITHIN, follower.next()).await;
        let mut events = next.map_err(|_| NotaryError::Slow(NEXT_WITHIN.as_secs()))??;
        events.truncate(usize::try_from(size - taken).unwrap_or(usize::MAX));
        for event in &events {
            take(leaf_hash(event.position, &event.payload))?;
        }
        taken += events.len() as u64;
    }
    Ok(())
}
