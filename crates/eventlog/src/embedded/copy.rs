//! A history copied into a file, and a log that was restored: both are no log that anybody may write to yet.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use domain::{LogId, Position};

use super::heads::{ByName, Names};
use super::record::encode;
use super::storage::{LogFile, remove_drafts};
use super::store::{OpenError, Stage, Store, WriteError};
use super::{existing, make_missing};
use crate::copying::{CopyError, LogCopy, follow_on};
use crate::port::{NewEvent, ReadError, Recorded};

/// The most events of one commit: its one sync costs little per event, and they are a few megabytes.
const COMMIT_EVENTS: usize = 4096;
/// The most events that one read answers, and about the most bytes.
const READ: (usize, usize) = (4096, 4 * 1024 * 1024);

/// A file that a history is copied into. It holds the file's lock: nobody serves it meanwhile.
pub struct EmbeddedCopy {
    shared: Arc<Shared>,
    /// What the log is once it is finished.
    becomes: Stage,
}

struct Shared {
    store: Store,
    names: Names,
    log_id: LogId,
    /// Only the handle's own calls change it, one at a time.
    end: Mutex<End>,
}

/// Where the copy ends.
struct End {
    head: Position,
    last_by_stream: ByName,
    stage: Stage,
}

impl EmbeddedCopy {
    /// Opens the file for a copy of this log, and makes it if there is none; one that holds this log already is added to.
    /// Reads the whole file: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`CopyError`], as [`super::EmbeddedLog::open`], and for another log.
    pub fn open(path: &Path, log_id: LogId) -> Result<Self, CopyError> {
        Self::open_as(path, log_id, Stage::Whole)
    }

    /// The same for a log that comes from a backup: finished, it can be read and neither written nor trusted until
    /// [`settle`] says what came after it.
    ///
    /// # Errors
    /// As [`open`](Self::open), and for a log that is whole already: nothing is restored over it.
    pub fn open_restoring(path: &Path, log_id: LogId, end: Position) -> Result<Self, CopyError> {
        let copy = Self::open_as(path, log_id, Stage::Restored { end })?;
        let stage = copy.end().stage;
        if stage == Stage::Whole {
            let reason = "a log stands there already: restore into an empty folder".to_owned();
            return Err(OpenError::Unknown { path: path.to_owned(), reason }.into());
        }
        Ok(copy)
    }

    fn open_as(path: &Path, log_id: LogId, becomes: Stage) -> Result<Self, CopyError> {
        let on = |file: &Path| {
            let immediate = redb::Durability::Immediate;
            Store::new(file.to_owned(), Box::new(LogFile(file.to_owned())), immediate)
                .begun_as(Stage::Copying)
        };
        make_missing(path, log_id, on)?;
        let (store, names) = (on(path), Names::new());
        let checked = store.open(log_id, &names)?;
        if checked.log_id != log_id {
            return Err(CopyError::OtherLog { found: checked.log_id, wanted: log_id });
        }
        remove_drafts(path);
        let end = End { head: checked.head, last_by_stream: checked.last_by_stream, stage: checked.stage };
        let shared = Shared { store, names, log_id, end: Mutex::new(end) };
        Ok(Self { shared: Arc::new(shared), becomes })
    }

    fn end(&self) -> MutexGuard<'_, End> {
        self.shared.end()
    }

    async fn blocking<T: Send + 'static>(
        &self,
        run: impl FnOnce(&Shared) -> Result<T, CopyError> + Send + 'static,
    ) -> Result<T, CopyError> {
        let on = Arc::clone(&self.shared);
        let ran = tokio::task::spawn_blocking(move || run(&on)).await;
        ran.map_err(|error| CopyError::NotWritten { reason: error.to_string() })?
    }
}

impl Shared {
    /// Whole at every moment the lock is free.
    fn end(&self) -> MutexGuard<'_, End> {
        self.end.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes a commit's events. If we stop in it, all of them are there or none.
    fn commit(&self, events: &[Recorded]) -> Result<(), CopyError> {
        let mut end = self.end();
        let mut rows = Vec::with_capacity(events.len());
        // A commit that fails ends this handle's use, so what is noted here is never ahead of the file for long.
        for event in events {
            let name = self.names.name(event.stream.as_str());
            let previous = end.last_by_stream.insert(name, event.position).unwrap_or(Position::NONE);
            let new = NewEvent { id: event.id, payload: event.payload.clone() };
            rows.push(encode(event.position, previous, &event.stream, &new));
        }
        self.store.write(end.head.next(), &rows).map_err(not_written)?;
        end.head = Position::new(end.head.get() + rows.len() as u64);
        Ok(())
    }

    /// Says what the log is, durably, unless it says so already.
    fn enter(&self, stage: Stage) -> Result<(), CopyError> {
        let mut end = self.end();
        if end.stage != stage {
            self.store.enter(stage, None).map_err(not_written)?;
            end.stage = stage;
        }
        Ok(())
    }
}

fn not_written(error: WriteError) -> CopyError {
    let (WriteError::NotWritten(reason) | WriteError::Unknown(reason)) = error;
    CopyError::NotWritten { reason }
}

#[async_trait]
impl LogCopy for EmbeddedCopy {
    fn log_id(&self) -> LogId {
        self.shared.log_id
    }

    fn head(&self) -> Position {
        self.end().head
    }

    async fn read_after(&mut self, after: Position) -> Result<Vec<Recorded>, ReadError> {
        let (on, head) = (Arc::clone(&self.shared), self.head());
        let read =
            tokio::task::spawn_blocking(move || on.store.read_after(after, head, READ.0, READ.1)).await;
        read.map_err(|error| self.shared.store.unavailable(error))?
    }

    async fn write(&mut self, events: &[Recorded]) -> Result<(), CopyError> {
        follow_on(self.head(), events)?;
        let events = events.to_vec();
        self.blocking(move |shared| {
            shared.enter(Stage::Copying)?;
            events.chunks(COMMIT_EVENTS).try_for_each(|chunk| shared.commit(chunk))
        })
        .await
    }

    async fn finish(&mut self) -> Result<(), CopyError> {
        let becomes = self.becomes;
        self.blocking(move |shared| shared.enter(becomes)).await
    }
}

impl Drop for EmbeddedCopy {
    fn drop(&mut self) {
        self.shared.store.close();
    }
}

impl fmt::Debug for EmbeddedCopy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedCopy").field("path", &self.shared.store.path).finish_non_exhaustive()
    }
}

/// Makes a restored log one that is written and trusted again, under its own name or, where its end was lost, under another
/// one: whoever has seen the lost end must not take what is written from now on for its continuation. Reads the whole file.
/// Safe to repeat.
///
/// # Errors
/// [`OpenError`].
pub fn settle(path: &Path, log_id: LogId) -> Result<(), OpenError> {
    let store = existing(path)?;
    let checked = store.open(log_id, &Names::new())?;
    let entered = match checked.stage {
        Stage::Whole => Ok(()),
        Stage::Restored { .. } => store.enter(Stage::Whole, Some(log_id)),
        Stage::Copying => return Err(OpenError::Unfinished { path: path.to_owned() }),
    };
    store.close();
    entered.map_err(|error| {
        let (WriteError::NotWritten(reason) | WriteError::Unknown(reason)) = error;
        OpenError::Io { path: path.to_owned(), source: std::io::Error::other(reason) }
    })
}
