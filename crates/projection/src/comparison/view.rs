//! One view: replayed into a scratch tree, and read side by side with the live one.

use std::collections::VecDeque;
use std::sync::Arc;

use domain::Position;
use eventlog::Recorded;
use parking_lot::Mutex;
use tokio::time::{Duration, timeout};

use super::chase::Chase;
use super::difference::{Differences, Differs};
use super::parting::{Watch, named};
use super::pin::Read;
use super::replay::Replay;
use super::scratch::Scratch;
use super::{CompareError, Compared, Comparison, Phase, Step};
use crate::shelf::{Shelf, Stage};
use crate::tree::{Batch, Pair, Tree, TreeError};
use crate::view::{META, View, ViewStore};

/// Rows read at a time, and for how many the writer may have to wait: about a millisecond.
const ROWS: usize = 500;
/// How long a view may be between two parts of one event: a recall of a million keys takes seconds.
const BORDER_WITHIN: Duration = Duration::from_secs(60);
/// A scratch tree is flushed after so many events, as a live one is.
const FLUSH_EVENTS: u64 = crate::view_worker::FLUSH_EVENTS;

type Told<'a> = &'a mut (dyn FnMut(Step) + Send);

/// A view made anew from the log.
struct Replayed<V> {
    scratch: Arc<Scratch>,
    /// None only while a thread that may wait has it.
    store: Option<ViewStore<V>>,
    replay: Replay,
    unflushed: u64,
}

/// The live tree is pinned for as long as this is held.
struct Pinned(Arc<Shelf>);

impl Drop for Pinned {
    fn drop(&mut self) {
        self.0.unpin();
    }
}

impl Comparison {
    pub(super) async fn view<V: View>(&mut self, told: Told<'_>) -> Result<Compared, CompareError> {
        let shelf = self.shelf::<V>()?;
        if shelf.status.borrow().stage != Stage::Ready {
            return Err(CompareError::NotReady);
        }
        let mut replayed = self.begin::<V>().await?;
        let mut chase = Chase::begin();
        loop {
            let live = shelf.status.borrow().applied;
            chase.round(self.replay(&mut replayed, live, Phase::Replaying, told)).await?;
            if Chase::is_near(shelf.status.borrow().applied.get().saturating_sub(live.get())) {
                break;
            }
        }
        let pinned = Pinned(Arc::clone(&shelf));
        let position = pin(&shelf).await?;
        chase.round(self.replay(&mut replayed, position, Phase::Replaying, told)).await?;
        let mut differences = self.side_by_side(&pinned, &replayed.scratch, told).await?;
        drop((pinned, replayed));
        let mut difference = differences.result();
        if let Some(difference) = &mut difference {
            let rows = std::mem::take(&mut differences.rows);
            difference.parting = self.search::<V>(rows, position, told).await?;
        }
        Ok(Compared { position, live: differences.live, replayed: differences.replayed, difference })
    }

    async fn begin<V: View>(&self) -> Result<Replayed<V>, CompareError> {
        let permit = Arc::clone(&self.permit).lock_owned().await;
        let stores = Arc::clone(&self.subjects.stores);
        let scratch = stores.work().run(move || Scratch::open(stores, V::NAME, permit)).await?;
        let store = Some(ViewStore::new(self.subjects.log.log_id(), Position::NONE));
        let replay = Replay::begin(&self.subjects.log).await?;
        Ok(Replayed { scratch: Arc::new(scratch), store, replay, unflushed: 0 })
    }

    /// Takes in the log up to a position.
    async fn replay<V: View>(
        &mut self,
        replayed: &mut Replayed<V>,
        to: Position,
        phase: Phase,
        told: Told<'_>,
    ) -> Result<(), CompareError> {
        while let Some(events) = replayed.replay.next(to).await? {
            let count = events.len() as u64;
            self.take_in(replayed, events, None).await?;
            told(Step { phase, done: replayed.replay.at.get(), of: Some(to.get()) });
            self.pace.events(count).await;
        }
        Ok(())
    }

    /// Takes in a run of events; with a watch, each as a batch of its own.
    async fn take_in<V: View>(
        &self,
        replayed: &mut Replayed<V>,
        events: Vec<Recorded>,
        watch: Option<Arc<Mutex<Watch<Vec<u8>>>>>,
    ) -> Result<(), CompareError> {
        let Some(mut store) = replayed.store.take() else { return Err(CompareError::NotReady) };
        replayed.unflushed += events.len() as u64;
        let flush = replayed.unflushed >= FLUSH_EVENTS;
        if flush {
            replayed.unflushed = 0;
        }
        let scratch = Arc::clone(&replayed.scratch);
        let work = move || {
            let applied = match watch {
                None => store.apply(scratch.tree(), &events, || true),
                Some(watch) => one_by_one(&mut store, scratch.tree(), &events, &mut watch.lock()),
            };
            let flushed = if flush { scratch.tree().flush() } else { Ok(()) };
            (store, applied.map_err(CompareError::from).and(flushed.map_err(CompareError::from)))
        };
        let (store, applied) = self.subjects.stores.work().run(work).await;
        replayed.store = Some(store);
        applied
    }

    async fn side_by_side(
        &mut self,
        pinned: &Pinned,
        scratch: &Arc<Scratch>,
        told: Told<'_>,
    ) -> Result<Differences<Vec<u8>>, CompareError> {
        let mut differences = Differences::new();
        let (mut live, mut made) = (VecDeque::new(), VecDeque::new());
        let (mut live_ended, mut made_ended, mut after) = (false, false, None);
        loop {
            let (read_live, read_made) = (live.is_empty() && !live_ended, made.is_empty() && !made_ended);
            if !(read_live || read_made) {
                return Ok(differences);
            }
            let (shelf, scratch) = (Arc::clone(&pinned.0), Arc::clone(scratch));
            let work = move || {
                let one = read_live.then(|| shelf.read_pinned(ROWS)).transpose()?;
                let other = read_made.then(|| next_rows(scratch.tree(), &mut after)).transpose()?;
                Ok::<_, TreeError>((one, other, after))
            };
            let (one, other, read_to) = self.subjects.stores.work().run(work).await?;
            after = read_to;
            match one {
                Some(Read::Gone) => {
                    let is_ready = pinned.0.status.borrow().stage == Stage::Ready;
                    return Err(if is_ready { CompareError::Overtaken } else { CompareError::NotReady });
                }
                Some(Read::Rows(rows)) => live.extend(rows),
                Some(Read::Last(rows)) => {
                    live.extend(rows);
                    live_ended = true;
                }
                None => {}
            }
            if let Some((rows, ended)) = other {
                made.extend(rows);
                made_ended = ended;
            }
            let before = differences.replayed.rows + differences.live.rows;
            differences.merge(&mut live, &mut made, (live_ended, made_ended));
            told(Step { phase: Phase::Comparing, done: differences.live.rows, of: None });
            self.pace.rows(differences.replayed.rows + differences.live.rows - before).await;
        }
    }

    /// Replays the log once more and finds the first event where rows parted.
    async fn search<V: View>(
        &mut self,
        rows: Vec<Differs<Vec<u8>>>,
        to: Position,
        told: Told<'_>,
    ) -> Result<Option<super::Parting>, CompareError> {
        let watch = Arc::new(Mutex::new(Watch::new(rows)));
        let mut replayed = self.begin::<V>().await?;
        while let Some(events) = replayed.replay.next(to).await? {
            let count = events.len() as u64;
            self.take_in(&mut replayed, events, Some(Arc::clone(&watch))).await?;
            told(Step { phase: Phase::Searching, done: replayed.replay.at.get(), of: Some(to.get()) });
            self.pace.events(count).await;
        }
        let first = watch.lock().first();
        match first {
            Some(first) => Ok(Some(named(&self.subjects.log, first).await?)),
            None => Ok(None),
        }
    }
}

/// Pins the live tree as soon as it is at a whole event.
async fn pin(shelf: &Arc<Shelf>) -> Result<Position, CompareError> {
    let mut status = shelf.status.subscribe();
    let pinned = async {
        loop {
            status.mark_unchanged();
            let of = Arc::clone(shelf);
            match shelf.stores.work().run(move || of.pin()).await {
                Some(Ok(Some(position))) => return Ok(position),
                // A part of an event is in the tree: what follows it changes the status.
                Some(Ok(None)) => {}
                Some(Err(error)) => return Err(error.into()),
                None => return Err(CompareError::NotReady),
            }
            if status.changed().await.is_err() {
                return Err(CompareError::NotReady);
            }
        }
    };
    timeout(BORDER_WITHIN, pinned).await.unwrap_or(Err(CompareError::Overtaken))
}

/// The next rows of a tree that nobody writes, and whether they are the last.
fn next_rows(tree: &dyn Tree, after: &mut Option<Vec<u8>>) -> Result<(Vec<Pair>, bool), TreeError> {
    let mut rows = tree.scan(b"", after.as_deref(), ROWS)?;
    let ended = rows.len() < ROWS;
    *after = rows.last().map(|(name, _)| name.clone()).or_else(|| after.take());
    rows.retain(|(name, _)| name != META);
    Ok((rows, ended))
}

fn one_by_one<V: View>(
    store: &mut ViewStore<V>,
    tree: &dyn Tree,
    events: &[Recorded],
    watch: &mut Watch<Vec<u8>>,
) -> Result<(), crate::view::ApplyError> {
    for event in events {
        let seen = Seen { tree, batches: Mutex::default() };
        store.apply(&seen, std::slice::from_ref(event), || true)?;
        for (name, value) in seen.batches.into_inner().into_iter().flatten() {
            watch.written(name.as_slice(), value.as_deref(), event.position);
        }
    }
    Ok(())
}

/// A tree that remembers what was written.
struct Seen<'a> {
    tree: &'a dyn Tree,
    batches: Mutex<Vec<Batch>>,
}

impl Tree for Seen<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, TreeError> {
        self.tree.get(key)
    }

    fn scan(&self, prefix: &[u8], after: Option<&[u8]>, limit: usize) -> Result<Vec<Pair>, TreeError> {
        self.tree.scan(prefix, after, limit)
    }

    fn last(&self, prefix: &[u8]) -> Result<Option<Pair>, TreeError> {
        self.tree.last(prefix)
    }

    fn apply(&self, batch: Batch) -> Result<(), TreeError> {
        self.batches.lock().push(batch.clone());
        self.tree.apply(batch)
    }

    fn flush(&self) -> Result<(), TreeError> {
        self.tree.flush()
    }
}
