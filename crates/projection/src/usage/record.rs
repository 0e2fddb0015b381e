//! Keeps the record: takes in reports, each once, and hands out the handle that answers.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use domain::{LogId, Timestamp};
use eventlog::jetstream::{StoredReport, UsageStream};
use parking_lot::{Mutex, RwLock};
use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::{debug, error, info};
use wire::{RunId, UsageReport};

use super::coverage::{Changed, Gap, Reported, RunRow, Taken};
use super::query::{Applied, Usage};
use super::rows;
use crate::changes::Changes;
use crate::follow::Backoff;
use crate::record_place::RecordPlace;
use crate::tree::{Batch, Tree, TreeError};
use crate::view::{META, decode_row, encode_row};
use crate::views::{RowName, split_end};

/// The form of the rows. They cannot be made again: a build that writes another form has to read those before it. In the
/// first, a key's row ends before its last hour.
const SCHEMA: u32 = 2;
/// A run of a server.
const RUN: u8 = b'r';
/// A span that stays unknown.
const GAP: u8 = b'g';

/// Where reports come from that are in nobody's stream.
const LOCAL: &str = "local";

/// Reports of a stream are flushed so often: what a crash loses is read again from there. Reports that are nowhere else are
/// flushed at once.
const FLUSH_EVERY: Duration = Duration::from_secs(5);

/// Entries that one batch takes in at most, so that readers get their turn in between.
const BATCH_ENTRIES: usize = 4_096;

/// Why reports were not taken in. Taking them in again is safe.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("the record of usage cannot be written")]
pub struct RecordError {
    /// What its store says.
    #[from]
    source: TreeError,
}

/// What the tree is and how far it has come.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    schema: u32,
    log_id: [u8; 16],
    /// The stream that `bookmark` is a place in.
    source: String,
    bookmark: u64,
    began: Option<u64>,
    heard: Option<u64>,
    next_gap: u64,
}

/// The record of usage. A clone is the same record.
#[derive(Clone, Debug)]
pub struct UsageRecord {
    inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) place: RecordPlace,
    log_id: LogId,
    own: RunId,
    own_name: Box<str>,
    /// Read-locked by whoever uses the tree; write-locked only to put it there and to take it away.
    tree: RwLock<Option<Box<dyn Tree>>>,
    /// Held by the one that writes.
    writer: Mutex<Writer>,
    /// Exchanged after the batch that says the same is applied.
    pub(super) reported: RwLock<Reported>,
    pub(super) applied: watch::Sender<Applied>,
}

struct Writer {
    source: String,
    bookmark: u64,
    /// A record that does not open is set aside once: if the next one does not either, it is not the record's fault.
    set_aside: bool,
    flushed: Instant,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner").field("place", &self.place).field("own", &self.own).finish_non_exhaustive()
    }
}

impl UsageRecord {
    /// Opens the record. One that does not open is set aside under another name and begun anew; if that fails too, it is
    /// tried again with every report, and until then usage is unknown. `own` is this run of this server, `own_name` what
    /// people call it.
    pub async fn open(place: RecordPlace, log_id: LogId, own: RunId, own_name: &str) -> Self {
        let work = place.work();
        let writer =
            Writer { source: LOCAL.to_owned(), bookmark: 0, set_aside: false, flushed: Instant::now() };
        let inner = Arc::new(Inner {
            place,
            log_id,
            own,
            own_name: own_name.into(),
            tree: RwLock::new(None),
            writer: Mutex::new(writer),
            reported: RwLock::new(Reported::new(own, own_name.into())),
            applied: watch::Sender::new(Applied::default()),
        });
        let opening = Arc::clone(&inner);
        let opened = work.run(move || opening.be_open(&mut opening.writer.lock())).await;
        if let Err(error) = opened {
            error!(%error, "the record of usage does not open; usage is unknown until it does");
        }
        Self { inner }
    }

    /// The handle that answers. It outlives the record and then answers that it is not ready.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage { inner: Arc::clone(&self.inner) }
    }

    /// Takes in reports that are nowhere else. Durable on return; a report that is known already changes nothing.
    ///
    /// # Errors
    /// [`RecordError`]; the reports are to be given again.
    pub async fn take_in(&self, reports: Vec<UsageReport>) -> Result<(), RecordError> {
        let inner = Arc::clone(&self.inner);
        let work = move || {
            let mut writer = inner.writer.lock();
            writer.source_is(LOCAL);
            inner.take_in(&mut writer, 0, &reports)?;
            inner.flush(&mut writer)
        };
        self.inner.place.work().run(work).await.map_err(RecordError::from)
    }

    /// Follows a stream of reports until it is dropped, from the last one that is in the record. Dropping it anywhere is
    /// safe: how far it has come is in the same batch as what it took in.
    pub async fn follow(self, stream: UsageStream) {
        let mut backoff = Backoff::new();
        loop {
            if let Err(reason) = self.session(&stream, &mut backoff).await {
                debug!(reason, "the record of usage waits for its stream");
                tokio::time::sleep(backoff.pause()).await;
            }
        }
    }

    async fn session(&self, stream: &UsageStream, backoff: &mut Backoff) -> Result<(), String> {
        let inner = Arc::clone(&self.inner);
        let source = stream.identity().await.map_err(|error| error.to_string())?;
        let begin = move || inner.begin(&source);
        let bookmark = self.inner.place.work().run(begin).await.map_err(|error| error.to_string())?;
        let mut follower = stream.follow(bookmark).await.map_err(|error| error.to_string())?;
        info!(bookmark, "the record of usage follows its stream");
        loop {
            let stored = follower.next().await.map_err(|error| error.to_string())?;
            let inner = Arc::clone(&self.inner);
            let taken = self.inner.place.work().run(move || inner.take_in_stored(&stored)).await;
            taken.map_err(|error| error.to_string())?;
            backoff.reset();
        }
    }

    /// Flushes and closes the record.
    pub async fn close(&self) {
        let inner = Arc::clone(&self.inner);
        let work = move || {
            let mut writer = inner.writer.lock();
            let flushed = if inner.is_open() { inner.flush(&mut writer) } else { Ok(()) };
            drop(inner.tree.write().take());
            flushed
        };
        if let Err(error) = self.inner.place.work().run(work).await {
            error!(%error, "the record of usage was closed without its last changes");
        }
    }
}

impl Writer {
    /// A bookmark of another stream means nothing: reports that are known already are known by their run and number.
    fn source_is(&mut self, source: &str) {
        if self.source != source {
            source.clone_into(&mut self.source);
            self.bookmark = 0;
        }
    }
}

impl Inner {
    fn is_open(&self) -> bool {
        self.tree.read().is_some()
    }

    /// Uses the tree, if it is open. A panic in it is damage. Blocks.
    pub(super) fn with<T>(
        &self,
        work: impl FnOnce(&dyn Tree) -> Result<T, TreeError>,
    ) -> Option<Result<T, TreeError>> {
        let tree = self.tree.read();
        let tree = tree.as_deref()?;
        let caught = catch_unwind(AssertUnwindSafe(|| work(tree)));
        Some(caught.unwrap_or_else(|_| Err(TreeError::damaged("reading or writing it panicked"))))
    }

    /// Opens the tree if it is closed, and reads what is remembered of runs.
    fn be_open(&self, writer: &mut Writer) -> Result<(), TreeError> {
        if self.is_open() {
            return Ok(());
        }
        match self.open_once(writer) {
            Err(TreeError::OpenFailed { reason }) if !writer.set_aside => {
                writer.set_aside = true;
                self.set_aside(&reason);
                self.open_once(writer)
            }
            Err(TreeError::Damaged { reason }) => {
                self.set_aside(&reason);
                self.open_once(writer)
            }
            settled => settled,
        }
    }

    fn open_once(&self, writer: &mut Writer) -> Result<(), TreeError> {
        let tree = self.place.open()?;
        let (reported, meta) = load(&*tree, self)?;
        (writer.source, writer.bookmark) = meta;
        *self.reported.write() = reported;
        *self.tree.write() = Some(tree);
        Ok(())
    }

    /// Blocks until the last reader has let go of it.
    fn close_tree(&self) {
        drop(self.tree.write().take());
    }

    fn set_aside(&self, reason: &str) {
        self.close_tree();
        *self.reported.write() = Reported::new(self.own, self.own_name.clone());
        match self.place.set_aside() {
            Ok(now_at) => error!(
                reason,
                now_at, "the record of usage was set aside and begins anew: usage before now is unknown"
            ),
            Err(error) => error!(
                reason,
                %error,
                "the record of usage cannot be used and cannot be set aside; make its folder writable"
            ),
        }
    }

    /// The place in a stream from which to go on.
    fn begin(&self, source: &str) -> Result<u64, TreeError> {
        let mut writer = self.writer.lock();
        self.be_open(&mut writer)?;
        writer.source_is(source);
        Ok(writer.bookmark)
    }

    fn take_in_stored(&self, stored: &[StoredReport]) -> Result<(), TreeError> {
        let mut writer = self.writer.lock();
        let mut from = 0;
        while from < stored.len() {
            let (mut reports, mut entries, mut to) = (Vec::new(), 0, from);
            while to < stored.len() && (to == from || entries < BATCH_ENTRIES) {
                match UsageReport::decode(&stored[to].payload) {
                    Ok(report) => {
                        entries += report.entries.len();
                        reports.push(report);
                    }
                    // Its number is missing now, which makes its span unknown.
                    Err(error) => {
                        error!(sequence = stored[to].sequence, %error, "a usage report was skipped");
                    }
                }
                to += 1;
            }
            self.take_in(&mut writer, stored[to - 1].sequence, &reports)?;
            from = to;
        }
        if writer.flushed.elapsed() >= FLUSH_EVERY {
            self.flush(&mut writer)?;
        }
        Ok(())
    }

    /// Takes in reports and the place of the last one, as one batch. If we stop before it is applied, nothing happened.
    fn take_in(&self, writer: &mut Writer, place: u64, reports: &[UsageReport]) -> Result<(), TreeError> {
        self.be_open(writer)?;
        let mut reported = self.reported.read().clone();
        let bookmark = writer.bookmark.max(place);
        let applied = self
            .with(|tree| tree.apply(self.batch(tree, &mut reported, (&writer.source, bookmark), reports)?));
        if let Err(error) = applied.unwrap_or_else(|| Err(TreeError::damaged("it is closed"))) {
            self.failed(&error);
            return Err(error);
        }
        writer.bookmark = bookmark;
        let known_until = reported.heard;
        *self.reported.write() = reported;
        self.applied.send_modify(|applied| {
            applied.reports += reports.len() as u64;
            applied.known_until = known_until;
        });
        Ok(())
    }

    fn batch(
        &self,
        tree: &dyn Tree,
        reported: &mut Reported,
        (source, bookmark): (&str, u64),
        reports: &[UsageReport],
    ) -> Result<Batch, TreeError> {
        let mut changes = Changes::on(tree);
        let mut changed = Changed::default();
        for report in reports {
            if reported.take_in(report, &mut changed) == Taken::Counts {
                let same =
                    |a: &wire::UsageEntry, b: &wire::UsageEntry| a.key_id == b.key_id && a.tenant == b.tenant;
                report.entries.chunk_by(same).try_for_each(|entries| rows::add(entries, &mut changes))?;
            }
        }
        write_changed(&changed, reported, &mut changes);
        let meta = Meta {
            schema: SCHEMA,
            log_id: self.log_id.to_bytes(),
            source: source.to_owned(),
            bookmark,
            began: reported.began.map(Timestamp::as_millis),
            heard: reported.heard.map(Timestamp::as_millis),
            next_gap: reported.next_gap,
        };
        changes.put(META.to_vec(), encode_row(&meta));
        Ok(changes.into_batch())
    }

    fn flush(&self, writer: &mut Writer) -> Result<(), TreeError> {
        let flushed = self.with(|tree| tree.flush()).unwrap_or(Ok(()));
        if let Err(error) = &flushed {
            self.failed(error);
        }
        writer.flushed = Instant::now();
        flushed
    }

    /// What was applied is not known any more: the tree is opened anew with the next report.
    fn failed(&self, error: &TreeError) {
        match error {
            TreeError::Damaged { reason } => self.set_aside(reason),
            TreeError::OpenFailed { .. } | TreeError::Io { .. } => self.close_tree(),
        }
    }
}

fn run_name(run: RunId) -> Vec<u8> {
    RowName::of(RUN).bytes(&run.to_bytes()).done()
}

fn gap_name(number: u64) -> Vec<u8> {
    RowName::of(GAP).number(number).done()
}

fn write_changed(changed: &Changed, reported: &Reported, changes: &mut Changes<'_>) {
    for run in &changed.runs {
        if let Some(row) = reported.runs.get(run) {
            changes.put(run_name(*run), encode_row(row));
        }
    }
    changed.removed_runs.iter().for_each(|run| changes.remove(run_name(*run)));
    for (number, gap) in &reported.gaps {
        if changed.gaps.contains(number) {
            changes.put(gap_name(*number), encode_row(gap));
        }
    }
    changed.removed_gaps.iter().for_each(|number| changes.remove(gap_name(*number)));
}

/// Says of a record that its log is called otherwise from now on; nothing happens to one of another log. Blocks.
///
/// # Errors
/// [`TreeError`].
pub fn rename_log(place: &RecordPlace, was: LogId, is: LogId) -> Result<(), TreeError> {
    let tree = place.open()?;
    let Some(bytes) = tree.get(META)? else { return Ok(()) };
    let meta: Meta = decode_row(&bytes)?;
    if meta.log_id == was.to_bytes() {
        let meta = Meta { log_id: is.to_bytes(), ..meta };
        tree.apply(vec![(META.to_vec(), Some(encode_row(&meta)))])?;
        tree.flush()?;
    }
    Ok(())
}

/// What a tree remembers, and its source and bookmark, after checking that it is the record of this log.
fn load(tree: &dyn Tree, of: &Inner) -> Result<(Reported, (String, u64)), TreeError> {
    let mut reported = Reported::new(of.own, of.own_name.clone());
    let Some(bytes) = tree.get(META)? else {
        return match &*tree.scan(b"", None, 1)? {
            [] => Ok((reported, (LOCAL.to_owned(), 0))),
            _ => Err(TreeError::damaged("it has rows but does not say what they are")),
        };
    };
    let meta: Meta = decode_row(&bytes)?;
    if !(1..=SCHEMA).contains(&meta.schema) {
        return Err(TreeError::damaged("its rows have a form that this build does not read"));
    }
    if meta.log_id != of.log_id.to_bytes() {
        return Err(TreeError::damaged("it belongs to another log"));
    }
    reported.began = meta.began.map(Timestamp::from_millis);
    reported.heard = meta.heard.map(Timestamp::from_millis);
    reported.next_gap = meta.next_gap;
    for (name, row) in tree.scan(&[RUN], None, usize::MAX)? {
        let row: RunRow = decode_row(&row)?;
        reported.runs.insert(RunId::from_bytes(split_end(&name)?.1), row);
    }
    for (name, row) in tree.scan(&[GAP], None, usize::MAX)? {
        let row: Gap = decode_row(&row)?;
        reported.gaps.push_back((u64::from_be_bytes(split_end(&name)?.1), row));
    }
    Ok((reported, (meta.source, meta.bookmark)))
}
