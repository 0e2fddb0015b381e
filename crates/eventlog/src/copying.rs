//! The way in for a history that was written elsewhere: what every adapter promises about a log that is being copied.

use std::fmt;

use async_trait::async_trait;
use domain::{LogId, Position};
use thiserror::Error;

use crate::embedded::OpenError;
use crate::jetstream::ConnectError;
use crate::port::{ReadError, Recorded};

/// A place that a history is copied into, event by event as it stands elsewhere.
///
/// **Not a log.** From the first [`write`](Self::write) until [`finish`](Self::finish) nobody can open the place as a log:
/// half a history would let keys pass that the other half revokes. That mark is durable before the first event is.
///
/// **The same history.** It has the log id that it was opened with, and events keep their positions, ids, streams and bytes.
/// Each is stored as if it had been appended right after its stream's event before it; so once it is finished, expectations
/// are judged and repeated units are known as on the log that it came from.
///
/// **Durability.** What `write` returned from is on disk. Opened again, `head` tells where to go on.
///
/// **Alone.** Nobody else writes: a place that ends elsewhere than this handle left it fails the next write.
#[async_trait]
pub trait LogCopy: Send + fmt::Debug {
    /// The history's own name.
    fn log_id(&self) -> LogId;

    /// The position of the last event that is there.
    fn head(&self) -> Position;

    /// Some of the events after a position below the head, at least one, without a hole.
    ///
    /// # Errors
    /// [`ReadError`].
    async fn read_after(&mut self, after: Position) -> Result<Vec<Recorded>, ReadError>;

    /// Adds events, the first of them right after the head. All of them are durable on return; after an error some of the
    /// first may be.
    ///
    /// # Errors
    /// [`CopyError`].
    async fn write(&mut self, events: &[Recorded]) -> Result<(), CopyError>;

    /// Makes it a log: durable on return, and safe to repeat.
    ///
    /// # Errors
    /// [`CopyError`].
    async fn finish(&mut self) -> Result<(), CopyError>;
}

/// Why a history could not be copied on. What is there stays, and the copy can go on later.
#[derive(Debug, Error)]
pub enum CopyError {
    /// Another history stands there.
    #[error("the target holds log {found}, and the copy is of log {wanted}: choose another target")]
    OtherLog {
        /// Whose history stands there.
        found: LogId,
        /// Whose was to be copied.
        wanted: LogId,
    },
    /// The feed beside the target has announced what the history does not have.
    #[error("the stream of notices there does not belong to this history: {reason}")]
    OtherFeed {
        /// What it has.
        reason: String,
    },
    /// The events do not follow what is there.
    #[error("event {position} cannot be copied right after event {head}")]
    NotNext {
        /// The first event given.
        position: Position,
        /// Where the target ends.
        head: Position,
    },
    /// It ends elsewhere than the copy left it.
    #[error("somebody else writes to the target: {reason}")]
    NotAlone {
        /// What was seen.
        reason: String,
    },
    /// An event could not be stored now.
    #[error("the target cannot be written now: {reason}")]
    NotWritten {
        /// What went wrong.
        reason: String,
    },
    /// The target cannot be read.
    #[error("the target cannot be read")]
    Read(#[from] ReadError),
    /// The file does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// NATS is not reached, or its streams cannot be used.
    #[error(transparent)]
    Connect(#[from] ConnectError),
}

/// Whether these events can be written after that one: the first right behind it, and dense.
pub(crate) fn follow_on(head: Position, events: &[Recorded]) -> Result<(), CopyError> {
    let mut due = head;
    for event in events {
        due = due.next();
        if event.position != due {
            let before = Position::new(due.get() - 1);
            return Err(CopyError::NotNext { position: event.position, head: before });
        }
    }
    Ok(())
}
