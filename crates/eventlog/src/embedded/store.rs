//! The database file: opened and checked, written in one transaction a commit, read in one a batch.

use std::collections::HashMap;
use std::fmt::Display;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use domain::{LogId, Position};
use redb::{
    Database, DatabaseError, Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTable,
    StorageError, TableDefinition, TableError, WriteTransaction,
};
use thiserror::Error;

use super::heads::{ByName, Names};
use super::record::{Row, decode};
use super::storage::Storage;
use crate::foreign::catch_foreign;
use crate::port::{ReadError, Recorded};

/// Position to event, see `record`.
const EVENTS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("events");
/// What the file says about itself: [`FORMAT_ROW`] and [`LOG_ID_ROW`].
const META: TableDefinition<'_, &str, &[u8]> = TableDefinition::new("meta");
const FORMAT_ROW: &str = "format";
const LOG_ID_ROW: &str = "log_id";
/// What keeps the file from being used as a log, see [`Stage`]; a whole log has no such row.
const STAGE_ROW: &str = "stage";
/// The one layout this build reads and writes. Another layout is another number.
const FORMAT: u32 = 1;
/// Whose panics are caught here.
const DATABASE: &str = "redb";
/// The database's own cache: live readers find the newest pages in it, replays read through the system's cache anyway.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// What a file is on its way to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// A log like any other.
    Whole,
    /// A copy into it has begun and is not finished: no log yet.
    Copying,
    /// It was restored from a backup that ended there, and nobody has said what came after: it is read, and neither written
    /// nor trusted.
    Restored { end: Position },
}

impl Stage {
    fn row(self) -> Option<Vec<u8>> {
        match self {
            Self::Whole => None,
            Self::Copying => Some(b"copying".to_vec()),
            Self::Restored { end } => Some([&b"restored"[..], &end.get().to_be_bytes()].concat()),
        }
    }

    fn of(row: Option<&[u8]>) -> Option<Self> {
        match row {
            None => Some(Self::Whole),
            Some(b"copying") => Some(Self::Copying),
            Some(row) => {
                let end = row.strip_prefix(b"restored")?.try_into().ok()?;
                Some(Self::Restored { end: Position::new(u64::from_be_bytes(end)) })
            }
        }
    }
}

/// Why the log's file was not opened.
#[derive(Debug, Error)]
pub enum OpenError {
    /// Something is being copied into it.
    #[error(
        "the log {path} is not whole: a copy into it was not finished; run the same `rescind log copy` or `rescind backup restore` again, which goes on where it stopped"
    )]
    Unfinished {
        /// The file.
        path: PathBuf,
    },
    /// Somebody has it open.
    #[error("the log {path} is open in another process: stop that one, or choose another data folder")]
    InUse {
        /// The file.
        path: PathBuf,
    },
    /// It is no log, or one that another build wrote.
    #[error("{path} cannot be used as a log: {reason}")]
    Unknown {
        /// The file.
        path: PathBuf,
        /// What it is instead.
        reason: String,
    },
    /// It is not what was written. It was left as it is.
    #[error("the log {path} is damaged{}: {reason}; restore it from a backup", at(position))]
    Damaged {
        /// The file.
        path: PathBuf,
        /// The first event that is missing or wrong, where one could be named.
        position: Option<Position>,
        /// What is wrong.
        reason: String,
    },
    /// The system refused.
    #[error("the log {path} cannot be opened")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl From<io::Error> for OpenError {
    fn from(source: io::Error) -> Self {
        Self::Io { path: PathBuf::new(), source }
    }
}

impl OpenError {
    /// The same, said of another file: of the log instead of the draft that it is made of.
    pub(super) fn about(mut self, file: &Path) -> Self {
        let (Self::InUse { path }
        | Self::Unfinished { path }
        | Self::Unknown { path, .. }
        | Self::Damaged { path, .. }
        | Self::Io { path, .. }) = &mut self;
        file.clone_into(path);
        self
    }
}

fn at(position: &Option<Position>) -> String {
    position.map(|position| format!(" at position {position}")).unwrap_or_default()
}

/// What a checked file holds.
pub(super) struct Checked {
    pub(super) log_id: LogId,
    pub(super) head: Position,
    pub(super) last_by_stream: ByName,
    pub(super) stage: Stage,
}

/// Why a commit failed, by what is known of it.
pub(super) enum WriteError {
    /// It never began to be committed.
    NotWritten(String),
    /// It failed while it was committed. redb: the changes are applied whole or not at all, may be durable already, and it
    /// takes no more writes until it is opened anew.
    Unknown(String),
}

/// The file and the one open database on it. Everybody reads, the writer alone writes, closes and opens anew.
pub(super) struct Store {
    pub(super) path: PathBuf,
    storage: Box<dyn Storage>,
    /// Immediate, but for the test that shows what happens when it is not.
    durability: Durability,
    /// What a file that is made here begins as.
    begins_as: Stage,
    sync_failed: Arc<AtomicBool>,
    /// The event that a check reads, 0 outside of one: where a panic of the database happened.
    checking: AtomicU64,
    database: RwLock<Option<Database>>,
}

impl Store {
    pub(super) fn new(path: PathBuf, storage: Box<dyn Storage>, durability: Durability) -> Self {
        Self {
            path,
            storage,
            durability,
            begins_as: Stage::Whole,
            sync_failed: Arc::default(),
            checking: AtomicU64::new(0),
            database: RwLock::new(None),
        }
    }

    /// The same, for a file that is no log yet when it is made.
    pub(super) fn begun_as(self, begins_as: Stage) -> Self {
        Self { begins_as, ..self }
    }

    /// Opens the file, recovers it and checks every page and every event of it; makes a new log of an empty file.
    pub(super) fn open(&self, new_log_id: LogId, names: &Names) -> Result<Checked, OpenError> {
        let opened = self.guarded(|| self.open_database()).and_then(|opened| opened);
        let database = opened.map_err(|error| self.with_position(error))?;
        let checked = self.guarded(|| self.check(&database, new_log_id, names))??;
        *self.database.write().unwrap_or_else(PoisonError::into_inner) = Some(database);
        Ok(checked)
    }

    /// Closes the database: whoever reads it now is refused, nothing is written any more.
    pub(super) fn close(&self) {
        let database = self.database.write().unwrap_or_else(PoisonError::into_inner).take();
        // A panic while it closes has nobody left to harm: what is acknowledged is synced.
        let _ = catch_foreign(DATABASE, || drop(database));
    }

    /// Whether the system ever failed to sync; then nobody can know what is on disk.
    pub(super) fn sync_failed(&self) -> bool {
        self.sync_failed.load(Ordering::SeqCst)
    }

    /// Whether the file is open and what it shows can be believed.
    pub(super) fn check_open(&self) -> Result<(), ReadError> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        if database.is_some() { Ok(()) } else { Err(self.unavailable("it is closed")) }
    }

    fn open_database(&self) -> Result<Database, OpenError> {
        let storage = self.storage.open(self.sync_failed.clone()).map_err(|source| self.io(source))?;
        // The integrity check reads every page and compares its checksum: 0.3 s for a million events of 260 bytes. Without
        // it a damaged page of the free list would be trusted and good events written over.
        let opened = Database::builder()
            .set_cache_size(CACHE_BYTES)
            .set_check_integrity_on_open(true)
            .create_with_backend(storage);
        opened.map_err(|error| self.open_error(error))
    }

    fn open_error(&self, error: DatabaseError) -> OpenError {
        let path = self.path.clone();
        match error {
            DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
                OpenError::InUse { path }
            }
            DatabaseError::Storage(StorageError::Io(source))
                if source.kind() == io::ErrorKind::InvalidData =>
            {
                OpenError::Unknown { path, reason: source.to_string() }
            }
            DatabaseError::Storage(StorageError::Io(source)) => self.io(source),
            DatabaseError::UpgradeRequired(version) => {
                OpenError::Unknown { path, reason: format!("its database has file format {version}") }
            }
            error => self.damaged(None, error),
        }
    }

    /// Adds the first bad event to what the integrity check said, where a reader finds one. The file is opened for reading
    /// only: what is damaged stays as it is for whoever repairs it.
    fn with_position(&self, error: OpenError) -> OpenError {
        let OpenError::Damaged { path, position: None, reason } = error else { return error };
        let found = self.guarded(|| {
            let storage = self.storage.open(Arc::default()).ok()?;
            let database = Database::builder().open_read_only_with_backend(storage).ok()?;
            let transaction = database.begin_read().ok()?;
            self.check_events(&transaction, &Names::new()).err()
        });
        match found.unwrap_or_else(Some) {
            Some(OpenError::Damaged { position: Some(position), reason: found, .. }) => {
                let reason = if found == reason { reason } else { format!("{found}, {reason}") };
                OpenError::Damaged { path, position: Some(position), reason }
            }
            _ => OpenError::Damaged { path, position: None, reason },
        }
    }

    fn check(&self, database: &Database, new_log_id: LogId, names: &Names) -> Result<Checked, OpenError> {
        let transaction = database.begin_read().map_err(|error| self.damaged(None, error))?;
        match transaction.open_table(META) {
            Ok(meta) => {
                self.check_format(&meta)?;
                let log_id = self.log_id(&meta)?;
                let stage = self.stage(&meta)?;
                let (head, last_by_stream) = self.check_events(&transaction, names)?;
                Ok(Checked { log_id, head, last_by_stream, stage })
            }
            Err(TableError::TableDoesNotExist(_)) => self.begin(database, &transaction, new_log_id),
            Err(error) => Err(self.unknown(error)),
        }
    }

    fn check_format(&self, meta: &ReadOnlyTable<&str, &[u8]>) -> Result<(), OpenError> {
        let format = meta.get(FORMAT_ROW).map_err(|error| self.damaged(None, error))?;
        let format = format.and_then(|row| row.value().try_into().ok()).map(u32::from_be_bytes);
        match format {
            Some(FORMAT) => Ok(()),
            Some(other) => Err(self.unknown(format!("its format is {other}, this build reads {FORMAT}"))),
            None => Err(self.unknown("it does not say which format it has")),
        }
    }

    fn log_id(&self, meta: &ReadOnlyTable<&str, &[u8]>) -> Result<LogId, OpenError> {
        let row = meta.get(LOG_ID_ROW).map_err(|error| self.damaged(None, error))?;
        let id = row.and_then(|row| row.value().try_into().ok()).map(LogId::from_bytes);
        id.ok_or_else(|| self.damaged(None, "it has lost its log id"))
    }

    fn stage(&self, meta: &ReadOnlyTable<&str, &[u8]>) -> Result<Stage, OpenError> {
        let row = meta.get(STAGE_ROW).map_err(|error| self.damaged(None, error))?;
        let stage = Stage::of(row.as_ref().map(|row| row.value()));
        stage.ok_or_else(|| self.unknown("it is in a state that this build does not know"))
    }

    /// Makes a log of an empty database, in one transaction: if we stop here, the file is empty still.
    fn begin(
        &self,
        database: &Database,
        seen: &ReadTransaction,
        log_id: LogId,
    ) -> Result<Checked, OpenError> {
        if seen.list_tables().map_err(|error| self.damaged(None, error))?.next().is_some() {
            return Err(self.unknown("it is a database of something else"));
        }
        let write = || -> Result<(), redb::Error> {
            let transaction = database.begin_write()?;
            {
                let mut meta = transaction.open_table(META)?;
                meta.insert(FORMAT_ROW, &FORMAT.to_be_bytes()[..])?;
                meta.insert(LOG_ID_ROW, &log_id.to_bytes()[..])?;
                if let Some(row) = self.begins_as.row() {
                    meta.insert(STAGE_ROW, &row[..])?;
                }
                transaction.open_table(EVENTS)?;
            }
            Ok(transaction.commit()?)
        };
        write().map_err(|error| self.io(io::Error::other(error)))?;
        let (head, last_by_stream) = (Position::NONE, HashMap::default());
        Ok(Checked { log_id, head, last_by_stream, stage: self.begins_as })
    }

    /// Reads every event: dense positions, right checksums, each after the one of its stream that stands before it.
    fn check_events(
        &self,
        transaction: &ReadTransaction,
        names: &Names,
    ) -> Result<(Position, ByName), OpenError> {
        let events = transaction.open_table(EVENTS).map_err(|error| self.damaged(None, error))?;
        let mut last_by_stream = ByName::default();
        let mut head = Position::NONE;
        let mut entries = events.iter().map_err(|error| self.damaged(Some(head.next()), error))?;
        loop {
            let due = head.next();
            self.checking.store(due.get(), Ordering::Relaxed);
            let Some(entry) = entries.next() else { break };
            let (position, row) = entry.map_err(|error| self.damaged(Some(due), error))?;
            if position.value() != due.get() {
                return Err(
                    self.damaged(Some(due), format!("event {} stands in its place", position.value()))
                );
            }
            let row = decode(due, row.value()).map_err(|reason| self.damaged(Some(due), reason))?;
            let before = last_by_stream.insert(names.name(row.stream), due).unwrap_or(Position::NONE);
            if before != row.previous {
                let reason = format!("its stream's event before it is {before}, not {}", row.previous);
                return Err(self.damaged(Some(due), reason));
            }
            head = due;
        }
        self.checking.store(0, Ordering::Relaxed);
        Ok((head, last_by_stream))
    }

    /// Writes rows at the positions after the head in one synced transaction.
    pub(super) fn write(&self, first: Position, rows: &[Vec<u8>]) -> Result<(), WriteError> {
        self.transact(|transaction| {
            let mut events = transaction.open_table(EVENTS)?;
            for (position, row) in (first.get()..).zip(rows) {
                events.insert(position, row.as_slice())?;
            }
            Ok(())
        })
    }

    /// Says what the file is, and with it perhaps which log, in one synced transaction.
    pub(super) fn enter(&self, stage: Stage, log_id: Option<LogId>) -> Result<(), WriteError> {
        self.transact(|transaction| {
            let mut meta = transaction.open_table(META)?;
            match stage.row() {
                Some(row) => meta.insert(STAGE_ROW, &row[..])?,
                None => meta.remove(STAGE_ROW)?,
            };
            if let Some(log_id) = log_id {
                meta.insert(LOG_ID_ROW, &log_id.to_bytes()[..])?;
            }
            Ok(())
        })
    }

    fn transact(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<(), redb::Error>,
    ) -> Result<(), WriteError> {
        let begun = || -> Result<_, redb::Error> {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            let mut transaction = database.as_ref().ok_or(redb::Error::DatabaseClosed)?.begin_write()?;
            drop(database);
            transaction.set_durability(self.durability)?;
            change(&transaction)?;
            Ok(transaction)
        };
        let begun = catch_foreign(DATABASE, begun).map_err(|_| WriteError::NotWritten(panicked()))?;
        let transaction = begun.map_err(|error| WriteError::NotWritten(error.to_string()))?;
        // If we stop here, nothing is written; in the middle of the commit, all of it or nothing.
        match catch_foreign(DATABASE, || transaction.commit()) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(redb::CommitError::TransactionPoisoned)) => {
                Err(WriteError::NotWritten("the database rolled the write back".into()))
            }
            Ok(Err(error)) => Err(WriteError::Unknown(error.to_string())),
            Err(_) => Err(WriteError::Unknown(panicked())),
        }
    }

    /// The events after a position up to and with another, at least one, at most so many events and about so many bytes.
    pub(super) fn read_after(
        &self,
        after: Position,
        until: Position,
        most: usize,
        most_bytes: usize,
    ) -> Result<Vec<Recorded>, ReadError> {
        self.reading(|events| {
            let due = usize::try_from(until.get() - after.get()).unwrap_or(most).min(most);
            let mut batch: Vec<Recorded> = Vec::with_capacity(due);
            let mut bytes = 0;
            let mut rows = events
                .range(after.next().get()..=until.get())
                .map_err(|error| self.unreadable(after.next(), error))?;
            while batch.len() < due && bytes < most_bytes {
                let position = Position::new(after.get() + batch.len() as u64 + 1);
                let (found, row) = match rows.next() {
                    Some(entry) => entry.map_err(|error| self.unreadable(position, error))?,
                    None => return Err(damaged(position, "the event is missing")),
                };
                if found.value() != position.get() {
                    return Err(damaged(position, format!("event {} stands in its place", found.value())));
                }
                let event = decode(position, row.value()).and_then(|row| row.recorded(position));
                let event = event.map_err(|reason| damaged(position, reason))?;
                bytes += event.payload.len();
                batch.push(event);
            }
            Ok(batch)
        })
    }

    /// Shows the events of a stream from its last one back to the first after a position.
    pub(super) fn walk_back(
        &self,
        stream: &str,
        last: Position,
        after: Position,
        mut each: impl FnMut(Position, &Row<'_>) -> Result<(), String>,
    ) -> Result<(), ReadError> {
        self.reading(|events| {
            let mut position = last;
            while position > after {
                let row = events.get(position.get()).map_err(|error| self.unreadable(position, error))?;
                let row = row.ok_or_else(|| damaged(position, "the event is missing"))?;
                let row = decode(position, row.value()).map_err(|reason| damaged(position, reason))?;
                if row.stream != stream {
                    return Err(damaged(
                        position,
                        format!("the event is of stream {}, not {stream}", row.stream),
                    ));
                }
                each(position, &row).map_err(|reason| damaged(position, reason))?;
                position = row.previous;
            }
            Ok(())
        })
    }

    /// Reads in one transaction of its own. The database may be closed under it; then it is told so.
    fn reading<T>(
        &self,
        read: impl FnOnce(&ReadOnlyTable<u64, &'static [u8]>) -> Result<T, ReadError>,
    ) -> Result<T, ReadError> {
        let run = || {
            let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
            let transaction = match database.as_ref() {
                Some(database) => database.begin_read().map_err(|error| self.unavailable(error))?,
                None => return Err(self.unavailable("it is closed")),
            };
            drop(database);
            read(&transaction.open_table(EVENTS).map_err(|error| self.unavailable(error))?)
        };
        catch_foreign(DATABASE, run).unwrap_or_else(|_| Err(self.unavailable(panicked())))
    }

    fn unreadable(&self, position: Position, error: StorageError) -> ReadError {
        match error {
            StorageError::Corrupted(reason) => damaged(position, reason),
            error => self.unavailable(error),
        }
    }

    pub(super) fn unavailable(&self, reason: impl Display) -> ReadError {
        ReadError::Unavailable { reason: format!("{}: {reason}", self.path.display()) }
    }

    /// redb may panic on a file that was tampered with; here that is one more way to say damaged, at the event being checked.
    fn guarded<T>(&self, run: impl FnOnce() -> T) -> Result<T, OpenError> {
        self.checking.store(0, Ordering::Relaxed);
        catch_foreign(DATABASE, run).map_err(|_| {
            let at = Some(self.checking.swap(0, Ordering::Relaxed)).filter(|at| *at > 0);
            self.damaged(at.map(Position::new), panicked())
        })
    }

    pub(super) fn damaged(&self, position: Option<Position>, reason: impl Display) -> OpenError {
        OpenError::Damaged { path: self.path.clone(), position, reason: reason.to_string() }
    }

    fn unknown(&self, reason: impl Display) -> OpenError {
        OpenError::Unknown { path: self.path.clone(), reason: reason.to_string() }
    }

    fn io(&self, source: io::Error) -> OpenError {
        OpenError::Io { path: self.path.clone(), source }
    }
}

fn damaged(position: Position, reason: impl Display) -> ReadError {
    ReadError::Damaged { position, reason: reason.to_string() }
}

fn panicked() -> String {
    "the database panicked on it".into()
}
