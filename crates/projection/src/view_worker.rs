//! Keeps one view: opens its tree, follows the log into it, and begins anew from nothing when the tree is no good.

use std::sync::Arc;
use std::time::Duration;

use domain::Position;
use eventlog::{EventLog, Follower, ReadError, Recorded};
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};

use crate::follow::{Backoff, Stop};
use crate::shelf::{Shelf, Stage, Status};
use crate::tree::TreeError;
use crate::view::{ApplyError, Unfit, View, ViewStore, bookmark};

/// A view's tree is flushed after so many events. A crash loses at most these, and only from the view: they are
/// followed again from the log.
pub(crate) const FLUSH_EVENTS: u64 = 10_000;

/// A view's tree is flushed at the latest so long after the first change, so that a quiet service restarts at its head.
pub(crate) const FLUSH_AFTER: Duration = Duration::from_millis(100);

/// How often a view that is behind says how far it has come.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// Counts how often a view was set aside.
const REBUILDS: &str = "rescind_view_rebuilds_total";

/// The position that each view has taken in.
const APPLIED: &str = "rescind_view_applied_position";

/// Why a session with an open tree ended.
enum End {
    /// It was asked to.
    Stopped,
    /// The log cannot be reached now; the view goes on answering.
    LogAway(String),
    /// The disk does not do as asked: full, failing.
    DiskFailing(String),
    /// The tree is no good: set it aside.
    Unfit(String),
    /// The log is not what was written.
    LogDamaged(String),
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { .. } => Self::LogAway(error.to_string()),
            ReadError::AheadOfLog { .. } => Self::Unfit(error.to_string()),
            ReadError::Damaged { .. } => Self::LogDamaged(error.to_string()),
        }
    }
}

impl From<TreeError> for End {
    fn from(error: TreeError) -> Self {
        match error {
            TreeError::OpenFailed { .. } | TreeError::Damaged { .. } => Self::Unfit(error.to_string()),
            TreeError::Io { .. } => Self::DiskFailing(error.to_string()),
        }
    }
}

impl From<ApplyError> for End {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Tree(error) => error.into(),
            ApplyError::Hole { .. } => Self::LogDamaged(error.to_string()),
        }
    }
}

/// Runs one view until it is asked to stop or the log is damaged. Aborting it is a crash: nothing is flushed.
pub(crate) async fn run<V: View>(shelf: Arc<Shelf>, log: Arc<dyn EventLog>, mut stop: Stop) {
    let mut worker = Worker::<V> { shelf, log, store: None, unflushed: 0, flush_at: None, said: None };
    let mut backoff = Backoff::new();
    loop {
        let end = match worker.session(&mut stop, &mut backoff).await {
            Ok(never) => match never {},
            Err(end) => end,
        };
        match end {
            End::Stopped => return worker.close(Closing::Flushed).await,
            End::LogAway(reason) => {
                debug!(view = V::NAME, reason, "the view waits for the log");
                stop.pause(backoff.pause()).await;
            }
            End::DiskFailing(reason) => {
                warn!(view = V::NAME, reason, "the view's store fails and is opened again");
                worker.close(Closing::AsItIs).await;
                stop.pause(backoff.pause()).await;
            }
            End::Unfit(reason) => {
                worker.set_aside(&reason).await;
                stop.pause(backoff.pause()).await;
            }
            End::LogDamaged(reason) => {
                error!(view = V::NAME, reason, "the view stops: the log is damaged");
                worker.shelf.status.send_modify(|status| status.stage = Stage::Stopped);
                return worker.close(Closing::Flushed).await;
            }
        }
    }
}

/// What is done to a tree before it is closed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Closing {
    Flushed,
    AsItIs,
}

/// There is none: a session only ever ends for a reason.
enum Never {}

struct Worker<V> {
    shelf: Arc<Shelf>,
    log: Arc<dyn EventLog>,
    /// None only while there is no tree, or while a thread that may wait has it.
    store: Option<ViewStore<V>>,
    unflushed: u64,
    flush_at: Option<Instant>,
    /// When progress was last told.
    said: Option<Instant>,
}

impl<V: View> Worker<V> {
    async fn session(&mut self, stop: &mut Stop, backoff: &mut Backoff) -> Result<Never, End> {
        let head = tokio::select! {
            biased;
            () = stop.asked() => return Err(End::Stopped),
            head = self.log.head() => head?,
        };
        let applied = match &self.store {
            Some(store) => store.applied(),
            None => self.begin(head).await?,
        };
        let mut follower = tokio::select! {
            biased;
            () = stop.asked() => return Err(End::Stopped),
            follower = self.log.follow(applied) => follower?,
        };
        loop {
            let events = self.next(&mut *follower, stop).await?;
            backoff.reset();
            if let Some(events) = events {
                self.apply(events, stop).await?;
            }
            if self.unflushed >= FLUSH_EVENTS || self.flush_at.is_some_and(|at| at <= Instant::now()) {
                self.flush().await?;
            }
        }
    }

    /// The next events; none when it is time to flush.
    async fn next(&self, follower: &mut dyn Follower, stop: &mut Stop) -> Result<Option<Vec<Recorded>>, End> {
        let flush = async {
            match self.flush_at {
                Some(at) => sleep_until(at).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = stop.asked() => Err(End::Stopped),
            () = self.shelf.damaged.notified() => Err(End::Unfit("a reader met damage in it".to_owned())),
            () = flush => Ok(None),
            events = follower.next() => Ok(Some(events?)),
        }
    }

    async fn begin(&mut self, head: Position) -> Result<Position, End> {
        let applied = self.open(head).await?;
        self.shelf.status.send_replace(Status::beginning(applied, head));
        if applied < head {
            info!(view = V::NAME, log.position = applied.get(), head = head.get(), "the view catches up");
        }
        Ok(applied)
    }

    /// Opens the tree and reads its bookmark.
    async fn open(&mut self, head: Position) -> Result<Position, End> {
        let shelf = Arc::clone(&self.shelf);
        let opened = self.shelf.stores.work().run(move || {
            let tree = shelf.stores.open_tree(V::NAME)?;
            let applied = bookmark::<V>(&*tree, shelf.log_id, head)?;
            shelf.put(tree);
            Ok(applied)
        });
        let applied = opened.await.map_err(|unfit: Unfit| match unfit {
            Unfit::Tree(error) => error.into(),
            other => End::Unfit(other.to_string()),
        })?;
        self.store = Some(ViewStore::new(self.shelf.log_id, applied));
        Ok(applied)
    }

    /// Takes in events. When asked to stop it leaves the rest of them, since one event may change a million rows.
    async fn apply(&mut self, events: Vec<Recorded>, stop: &mut Stop) -> Result<(), End> {
        let Some(mut store) = self.store.take() else {
            return Err(End::DiskFailing("the tree is closed".to_owned()));
        };
        let (count, last) = (events.len() as u64, events.last().map(|event| event.position));
        let (shelf, over) = (Arc::clone(&self.shelf), stop.clone());
        let work = move || {
            let applied = shelf.write(|tree| store.apply(tree, &events, || !over.is_over()));
            (store, applied)
        };
        let (store, applied) = self.shelf.stores.work().run(work).await;
        let position = store.applied();
        self.store = Some(store);
        applied.unwrap_or_else(|| Err(TreeError::damaged("the tree is closed").into()))?;
        self.unflushed += count;
        self.flush_at.get_or_insert_with(|| Instant::now() + FLUSH_AFTER);
        self.tell(position);
        if last.is_some_and(|last| position < last) {
            // What was left must not be skipped. In a crash nobody asks, and this task ends here.
            stop.asked().await;
            return Err(End::Stopped);
        }
        Ok(())
    }

    /// Publishes how far the view has come, and says so if it is behind.
    fn tell(&mut self, applied: Position) {
        self.shelf.status.send_modify(|status| *status = status.at(applied));
        let status = *self.shelf.status.borrow();
        metrics::gauge!(APPLIED, "view" => V::NAME).set(applied.get() as f64);
        let now = Instant::now();
        let due = self.said.is_none_or(|said| now.duration_since(said) >= PROGRESS_EVERY);
        if status.stage == Stage::CatchingUp && due {
            self.said = Some(now);
            let (position, head) = (applied.get(), status.head.get());
            info!(
                view = V::NAME,
                log.position = position,
                head,
                percent = status.percent(),
                "the view is being built"
            );
        } else if status.stage == Stage::Ready && self.said.take().is_some() {
            info!(view = V::NAME, log.position = applied.get(), "the view is built");
        }
    }

    async fn flush(&mut self) -> Result<(), End> {
        let shelf = Arc::clone(&self.shelf);
        let flushed = self.shelf.stores.work().run(move || shelf.with(|tree| tree.flush())).await;
        flushed.unwrap_or(Ok(()))?;
        (self.unflushed, self.flush_at) = (0, None);
        Ok(())
    }

    async fn close(&mut self, closing: Closing) {
        let shelf = Arc::clone(&self.shelf);
        let work = move || {
            let flushed = match closing {
                Closing::Flushed => shelf.with(|tree| tree.flush()).unwrap_or(Ok(())),
                Closing::AsItIs => Ok(()),
            };
            shelf.close();
            flushed
        };
        if let Err(error) = self.shelf.stores.work().run(work).await {
            // Nothing is lost but time: what was not flushed is followed again.
            warn!(view = V::NAME, error = %error, "the view was closed without its last changes");
        }
        (self.store, self.unflushed, self.flush_at) = (None, 0, None);
    }

    /// Moves the tree out of the way; the next session makes a new one.
    async fn set_aside(&mut self, reason: &str) {
        warn!(view = V::NAME, reason, "the view is set aside and rebuilt from the log");
        metrics::counter!(REBUILDS, "view" => V::NAME).increment(1);
        self.shelf.status.send_modify(|status| *status = Status { stage: Stage::Opening, ..*status });
        self.close(Closing::AsItIs).await;
        let shelf = Arc::clone(&self.shelf);
        if let Err(error) = self.shelf.stores.work().run(move || shelf.stores.set_aside(V::NAME)).await {
            error!(view = V::NAME, error = %error, "the view cannot be set aside; make its folder writable");
        }
    }
}
