//! The key index on disk for a fast restart: when it is saved, and what makes a saved one useless.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use domain::{LogId, Position};
use thiserror::Error;
use verify::{IndexWriter, KeyIndex, SnapshotError, SnapshotHeader, new_index, read_snapshot};
use wire::READER_LEVEL;

use crate::stores::Stores;

/// A snapshot is due after so many events: fewer are followed again within half a second.
pub(crate) const SNAPSHOT_EVENTS: u64 = 250_000;

/// But no sooner than so long after the last, since the index stands still while it is written.
pub(crate) const SNAPSHOT_AFTER: Duration = Duration::from_secs(60);

/// Why a saved index is not used.
#[derive(Debug, Error)]
enum Useless {
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error("the file cannot be opened: {0}")]
    Io(#[from] io::Error),
    #[error("it was written at reader level {found}, this build reads at {READER_LEVEL}")]
    OlderReader { found: u32 },
    #[error("its position {position} is beyond the head {head} of the log")]
    AheadOfLog { position: Position, head: Position },
}

/// Saves the index as it is at `position`. Blocks.
pub(crate) fn save(
    stores: &dyn Stores,
    writer: &IndexWriter,
    log_id: LogId,
    position: Position,
) -> io::Result<()> {
    let header = SnapshotHeader { log_id, position, reader: READER_LEVEL };
    stores.save_snapshot(&mut |out| writer.write_snapshot(&header, out))
}

/// The saved index, or an empty one. `head` is the log's, where it could be read. Blocks.
pub(crate) fn load(
    stores: &dyn Stores,
    log_id: LogId,
    head: Option<Position>,
    max_staleness: Duration,
) -> (Arc<KeyIndex>, IndexWriter) {
    match read(stores, log_id, head, max_staleness) {
        Ok(Some((index, writer))) => {
            tracing::info!(
                log.position = index.applied().get(),
                keys = index.key_count(),
                "the saved key index was read"
            );
            (index, writer)
        }
        Ok(None) => new_index(max_staleness),
        Err(useless) => {
            tracing::warn!(reason = %useless, "the saved key index is not used; it is rebuilt from the log");
            metrics::counter!("rescind_view_rebuilds_total", "view" => "index").increment(1);
            new_index(max_staleness)
        }
    }
}

fn read(
    stores: &dyn Stores,
    log_id: LogId,
    head: Option<Position>,
    max_staleness: Duration,
) -> Result<Option<(Arc<KeyIndex>, IndexWriter)>, Useless> {
    let Some(file) = stores.load_snapshot()? else { return Ok(None) };
    let (header, index, writer) = read_snapshot(file, log_id, READER_LEVEL, max_staleness)?;
    // What was unreadable to its writer may be readable here.
    if header.reader < READER_LEVEL {
        return Err(Useless::OlderReader { found: header.reader });
    }
    match head.filter(|head| header.position > *head) {
        Some(head) => Err(Useless::AheadOfLog { position: header.position, head }),
        None => Ok(Some((index, writer))),
    }
}
