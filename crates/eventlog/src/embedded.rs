//! The log in one file beside the server: redb, group commit, every page and event checked when it is opened.

mod copy;
mod follow;
pub(crate) mod heads;
mod queue;
mod record;
mod seals;
mod storage;
mod store;
mod subjects;
mod writer;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::JoinHandle;
use std::time::Duration;

use async_trait::async_trait;
use domain::{LogId, Position};
use redb::StorageBackend;
use tokio::sync::{oneshot, watch};

use self::follow::EmbeddedFollower;
use self::heads::{ByName, Names};
use self::queue::{Answer, Queue, Waiting};
use self::storage::{LogFile, create_whole};
use self::store::{Stage, Store};
use crate::port::{
    AppendError, Durability, EventLog, Follower, Outcome, Pulse, ReadError, Recorded, StreamId, Unit,
};

pub use self::copy::{EmbeddedCopy, settle};
pub use self::seals::EmbeddedSeals;
pub use self::store::OpenError;

/// A log in one file, open in this process alone. A clone is a second handle; the last one to go closes the file, and
/// followers that are still held then answer [`ReadError::Unavailable`].
///
/// **What is checked when.** Opening reads the whole file, about a second of one core for a million events: redb
/// compares the checksum of every page, then every event is read in order and its own checksum, position and place in
/// its stream are compared. So damage inside refuses to open; a commit that a crash tore is rolled back, it was never
/// acknowledged. (One case cannot be told apart: pages of the very last commit that go bad after a crash look like a
/// torn commit.) Later every event is compared with its own checksum, position and stream again each time it is read,
/// since the disk may go bad under a running server.
///
/// **What is in memory.** The last position of every stream, about 36 bytes a stream, made by that first read. On disk an
/// event names the one before it in its stream; so a commit writes at the end of the file only, whichever streams it
/// touches, and there is no index that could disagree with the events.
///
/// **Threads.** One named `log-writer` is spawned by opening and joined by closing; whatever waits when a commit ends goes
/// into the next one. Reads of many events run on tokio's blocking threads.
///
/// **Failed writes.** A commit that fails is [`AppendError::MayHaveHappened`], since redb cannot say. The file is then
/// closed, opened and checked anew as at a start, reads go on, and after a second units are let in again; a full disk thus
/// heals by itself. If the disk failed to *sync*, nothing that it shows can be believed: the log stays closed until the
/// process is restarted.
///
/// **Restored.** A log from a backup is read like any other, but takes no event and gives no lease until [`settle`] has said
/// what came after it: what it shows may have been taken back since.
#[derive(Clone)]
pub struct EmbeddedLog {
    open: Arc<Open>,
}

/// Held by handles, and closes the log when the last one goes. Followers and the writer hold [`Shared`] only.
struct Open {
    shared: Arc<Shared>,
    writer: Option<JoinHandle<()>>,
}

/// What callers, followers and the writer share.
struct Shared {
    log_id: LogId,
    /// Where the backup ended that this log was restored from, as long as nobody said what came after.
    restored: Option<Position>,
    /// Whether events are taken all the same: by whoever is about to say it.
    settling: bool,
    store: Store,
    names: Names,
    /// Last positions of streams, of committed events only; the writer writes.
    heads: RwLock<ByName>,
    /// The writer writes; changed after `heads`, so never ahead of them.
    committed: watch::Sender<Committed>,
    queue: Queue,
}

/// What everybody may know: events up to `head` are on disk.
#[derive(Clone, Copy)]
struct Committed {
    head: Position,
    closed: bool,
}

impl EmbeddedLog {
    /// Opens the log in this file, and makes it with `new_log_id` if there is none. Reads the whole file: call it where
    /// blocking is allowed.
    ///
    /// # Errors
    /// [`OpenError`]; the file is then as it was, but for a commit that a crash tore.
    pub fn open(path: &Path, new_log_id: LogId) -> Result<Self, OpenError> {
        let durability = redb::Durability::Immediate;
        let on = |file: &Path| Store::new(file.to_owned(), Box::new(LogFile(file.to_owned())), durability);
        make_missing(path, new_log_id, on)?;
        let log = Self::with(on(path), new_log_id, false)?;
        storage::remove_drafts(path);
        Ok(log)
    }

    /// Opens a restored log so that events can be added to it, for whoever will [`settle`] it: until then nobody else can.
    ///
    /// # Errors
    /// [`OpenError`].
    pub fn open_settling(path: &Path) -> Result<Self, OpenError> {
        // A log is there, so none is begun under this name.
        Self::with(existing(path)?, LogId::from_u128(0), true)
    }

    /// Where the backup ended that this log was restored from, as long as nobody has said what came after it.
    #[must_use]
    pub fn restored(&self) -> Option<Position> {
        self.shared().restored
    }

    /// Opens a log whose bytes lie elsewhere than in a file; `name` stands for the path in what is said about it.
    /// `storage` is asked again after a failed write, and gives what is durable then. If it is empty a log is begun in it; a
    /// power cut in the middle of that leaves bytes that no log can be opened on.
    ///
    /// # Errors
    /// [`OpenError`], as [`open`](Self::open).
    pub fn open_with_backend<B: StorageBackend>(
        name: &Path,
        storage: impl Fn() -> io::Result<B> + Send + Sync + 'static,
        new_log_id: LogId,
    ) -> Result<Self, OpenError> {
        let store = Store::new(name.to_owned(), Box::new(storage), redb::Durability::Immediate);
        Self::with(store, new_log_id, false)
    }

    fn with(store: Store, new_log_id: LogId, settling: bool) -> Result<Self, OpenError> {
        let path = store.path.clone();
        let names = Names::new();
        let checked = store.open(new_log_id, &names)?;
        let restored = match checked.stage {
            Stage::Whole => None,
            Stage::Restored { end } => Some(end),
            Stage::Copying => return Err(OpenError::Unfinished { path }),
        };
        tracing::info!(
            log.path = %path.display(), log.id = %checked.log_id, log.position = checked.head.get(),
            streams = checked.last_by_stream.len(), "the log is open and every event of it is whole"
        );
        let shared = Arc::new(Shared {
            log_id: checked.log_id,
            restored,
            settling,
            store,
            names,
            heads: RwLock::new(checked.last_by_stream),
            committed: watch::Sender::new(Committed { head: checked.head, closed: false }),
            queue: Queue::new(),
        });
        let writing = shared.clone();
        let spawned =
            std::thread::Builder::new().name("log-writer".into()).spawn(move || writer::run(&writing));
        let writer = spawned.map_err(|source| OpenError::Io { path, source })?;
        Ok(Self { open: Arc::new(Open { shared, writer: Some(writer) }) })
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.open.shared
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.queue.close();
        if let Some(writer) = self.writer.take() {
            // At most one commit long. A writer that panicked is gone as well.
            let _ = writer.join();
        }
        self.shared.store.close();
        self.shared.committed.send_modify(|committed| committed.closed = true);
    }
}

impl fmt::Debug for EmbeddedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shared = self.shared();
        f.debug_struct("EmbeddedLog")
            .field("path", &shared.store.path)
            .field("log_id", &shared.log_id)
            .finish()
    }
}

impl Shared {
    /// Whether what this log shows may be acted on; else why not.
    fn check_settled(&self) -> Result<(), String> {
        match self.restored {
            Some(end) if !self.settling => Err(format!(
                "this log was restored from a backup that ends at position {end}, and what came after is not known here: stop this server and run `rescind backup settle`"
            )),
            _ => Ok(()),
        }
    }

    fn head(&self) -> Position {
        self.committed.borrow().head
    }

    fn last(&self, stream: &StreamId) -> Position {
        let heads = self.heads.read().unwrap_or_else(PoisonError::into_inner);
        heads.get(&self.names.name(stream.as_str())).copied().unwrap_or(Position::NONE)
    }

    fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError> {
        let mut events = Vec::new();
        self.store.walk_back(stream.as_str(), self.last(stream), after, |position, row| {
            events.push(row.recorded(position)?);
            Ok(())
        })?;
        events.reverse();
        Ok(events)
    }

    /// The positions of a unit that already stands right after its expectations.
    fn standing(&self, unit: &Unit) -> Result<Option<Vec<Position>>, ReadError> {
        let mut positions = Vec::with_capacity(unit.event_count());
        for write in &unit.writes {
            let mut after = Vec::new();
            self.store.walk_back(
                write.stream.as_str(),
                self.last(&write.stream),
                write.expected,
                |position, row| {
                    after.push((position, row.id, row.previous));
                    Ok(())
                },
            )?;
            after.reverse();
            let follows = after.first().is_some_and(|&(_, _, previous)| previous == write.expected);
            let same = after.len() >= write.events.len()
                && write.events.iter().zip(&after).all(|(event, &(_, id, _))| event.id == id);
            if !follows || !same {
                return Ok(None);
            }
            positions.extend(after.iter().take(write.events.len()).map(|&(position, ..)| position));
        }
        Ok(positions.is_sorted_by(|a, b| a.next() == *b).then_some(positions))
    }
}

/// Makes the log's file whole before it has its name, if there is none.
fn make_missing(path: &Path, log_id: LogId, on: impl Fn(&Path) -> Store) -> Result<(), OpenError> {
    match std::fs::metadata(path) {
        // A log is never empty, not even while it is being made: something has taken its bytes.
        Ok(metadata) if metadata.len() == 0 => {
            Err(on(path).damaged(None, "the file is empty; if it never was a log, remove it"))
        }
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create_whole(path, |draft| {
            let store = on(draft);
            store.open(log_id, &Names::new())?;
            store.close();
            Ok(())
        })
        .map_err(|error: OpenError| error.about(path)),
        Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
    }
}

/// The file of a log that must be there.
fn existing(path: &Path) -> Result<Store, OpenError> {
    let storage = Box::new(LogFile(path.to_owned()));
    let store = Store::new(path.to_owned(), storage, redb::Durability::Immediate);
    match std::fs::metadata(path) {
        Ok(metadata) if metadata.len() == 0 => Err(store.damaged(None, "the file is empty")),
        Ok(_) => Ok(store),
        Err(source) => Err(OpenError::Io { path: path.to_owned(), source }),
    }
}

/// Runs what reads the file where blocking is allowed.
async fn blocking<T: Send + 'static>(
    shared: &Arc<Shared>,
    run: impl FnOnce(&Shared) -> Result<T, ReadError> + Send + 'static,
) -> Result<T, ReadError> {
    let on = shared.clone();
    let ran = tokio::task::spawn_blocking(move || run(&on)).await;
    ran.map_err(|error| shared.store.unavailable(error))?
}

#[async_trait]
impl EventLog for EmbeddedLog {
    fn log_id(&self) -> LogId {
        self.shared().log_id
    }

    fn durability(&self) -> Durability {
        Durability::OnDisk
    }

    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError> {
        unit.check()?;
        self.shared().check_settled().map_err(|reason| AppendError::DidNotHappen { reason })?;
        let bytes = unit.events().map(|event| event.payload.len()).sum();
        let (answer, answered) = oneshot::channel();
        self.shared().queue.push(Waiting { unit, bytes, answer })?;
        let (unit, stream, actual) = match answered.await {
            Ok(Answer::Appended(positions)) => return Ok(Outcome::Appended { positions }),
            Ok(Answer::Failed(error)) => return Err(error),
            Ok(Answer::Stale { unit, stream, actual }) => (unit, stream, actual),
            Err(_) => {
                let reason = "the log's writer stopped: restart this server".into();
                return Err(AppendError::MayHaveHappened { reason });
            }
        };
        // This sending wrote nothing and never will. Whether an earlier one did is asked here and not in the writer, which
        // then reads nothing; what stands stands for ever, so the answer cannot be outdated.
        match blocking(self.shared(), move |shared| shared.standing(&unit)).await {
            Ok(Some(positions)) => Ok(Outcome::Appended { positions }),
            Ok(None) => Ok(Outcome::Conflict { stream, actual }),
            Err(error) => Err(AppendError::MayHaveHappened { reason: error.to_string() }),
        }
    }

    async fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError> {
        if self.shared().last(stream) <= after {
            return Ok(Vec::new());
        }
        let stream = stream.clone();
        blocking(self.shared(), move |shared| shared.read_stream(&stream, after)).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.shared().head())
    }

    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        let head = self.shared().head();
        if after > head {
            return Err(ReadError::AheadOfLog { after, head });
        }
        let committed = self.shared().committed.subscribe();
        Ok(Box::new(EmbeddedFollower { shared: self.shared().clone(), committed, after }))
    }

    /// The lock on the file is the proof: nobody else can append. It fails while the file is closed after a failed write,
    /// when what was in doubt may stand on disk unseen.
    async fn pulse(&self) -> Result<Pulse, ReadError> {
        self.shared().check_settled().map_err(|reason| ReadError::Unavailable { reason })?;
        self.shared().store.check_open()?;
        Ok(Pulse { head: self.shared().head(), stamp: None, took: Duration::ZERO })
    }
}

#[cfg(test)]
mod tests;
