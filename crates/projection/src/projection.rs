//! The handle on all workers of one server: starts them, stops them, and hands out what they keep.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use domain::{Position, TenantId};
use eventlog::EventLog;
use eventlog::jetstream::NoticeFeed;
use tokio::sync::{Semaphore, broadcast, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use verify::{IndexWriter, KeyIndex};

use crate::comparison::{Busy, Comparison, Subjects};
use crate::follow::Stop;
use crate::index_worker::{IndexWorker, LiveNotice, Told};
use crate::notice_worker;
use crate::past::Past;
use crate::shelf::{Shelf, Status};
use crate::snapshot;
use crate::stores::Stores;
use crate::view::View;
use crate::view_worker;
use crate::views::history::{History, HistoryView};
use crate::views::keys::{Keys, KeysView};
use crate::views::notices::{Notices, NoticesView};
use crate::views::tenants::{Tenants, TenantsView};
use crate::views::times::{Times, TimesView};

/// What a projection keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// The key index and all views.
    Everything,
    /// The key index alone: a server that only verifies. Its views answer that they are not ready.
    IndexOnly,
}

/// What a projection needs to know.
#[derive(Clone, Debug)]
pub struct ProjectionConfig {
    /// Where its things are.
    pub stores: Arc<dyn Stores>,
    /// What it keeps.
    pub keeps: Keeps,
    /// How long the index may go without a proof that it has heard everything.
    pub max_staleness: Duration,
}

/// How far one worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// `index`, or the view's name.
    pub name: &'static str,
    /// Where it is.
    pub status: Status,
}

/// The running workers. Dropping it is a crash: they end where they are, and nothing is flushed or saved.
pub struct Projection {
    /// The index that the index worker keeps.
    pub index: Arc<KeyIndex>,
    told: Told,
    keys: Arc<Shelf>,
    history: Arc<Shelf>,
    tenants: Arc<Shelf>,
    notices: Arc<Shelf>,
    times: Arc<Shelf>,
    log: Arc<dyn EventLog>,
    /// What a comparison needs.
    subjects: Subjects,
    stop: watch::Sender<bool>,
    stopped: Stop,
    workers: JoinSet<()>,
    /// Those of the index and the views.
    followers: Vec<AbortHandle>,
}

impl fmt::Debug for Projection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Projection").field("progress", &self.progress()).finish_non_exhaustive()
    }
}

impl Projection {
    /// Reads the saved index, if there is a good one, and starts the workers. Does not wait until they have caught up, nor
    /// for a log that is away.
    pub async fn start(config: ProjectionConfig, log: Arc<dyn EventLog>) -> Self {
        Self::start_with(config, log, |_| {}).await
    }

    /// Starts with a bug planted in the index's writer, for the simulation to find.
    #[cfg(feature = "planted")]
    pub async fn start_planted(
        config: ProjectionConfig,
        log: Arc<dyn EventLog>,
        plant: fn(&mut IndexWriter),
    ) -> Self {
        Self::start_with(config, log, plant).await
    }

    async fn start_with(
        config: ProjectionConfig,
        log: Arc<dyn EventLog>,
        prepare: fn(&mut IndexWriter),
    ) -> Self {
        let ProjectionConfig { stores, keeps, max_staleness } = config;
        let log_id = log.log_id();
        // A log that is away tells its head later; a saved index beyond it is then found out by following.
        let head = log.head().await.ok();
        let from = Arc::clone(&stores);
        let (index, mut writer) =
            stores.work().run(move || snapshot::load(&*from, log_id, head, max_staleness)).await;
        prepare(&mut writer);
        let (stop, stopped) = Stop::new();
        let told = Told::new(index.applied());
        // One comparison at a time asks for one pin.
        let (pins, pin_requests) = mpsc::channel(1);
        let shelf = |view| Shelf::new(view, log_id, Arc::clone(&stores));
        let mut projection = Self {
            index,
            told: told.clone(),
            keys: shelf(KeysView::NAME),
            history: shelf(HistoryView::NAME),
            tenants: shelf(TenantsView::NAME),
            notices: shelf(NoticesView::NAME),
            times: shelf(TimesView::NAME),
            subjects: Subjects {
                log: Arc::clone(&log),
                stores: Arc::clone(&stores),
                shelves: Vec::new(),
                pins,
                index_status: told.status.subscribe(),
                one: Arc::new(Semaphore::new(1)),
            },
            log: Arc::clone(&log),
            stop,
            stopped,
            workers: JoinSet::new(),
            followers: Vec::new(),
        };
        let worker = IndexWorker::new(log, Arc::clone(&stores), told, writer, pin_requests);
        let follower = projection.workers.spawn(worker.run(projection.stopped.clone()));
        projection.followers.push(follower);
        if keeps == Keeps::Everything {
            projection.spawn::<KeysView>(Arc::clone(&projection.keys));
            projection.spawn::<HistoryView>(Arc::clone(&projection.history));
            projection.spawn::<TenantsView>(Arc::clone(&projection.tenants));
            projection.spawn::<NoticesView>(Arc::clone(&projection.notices));
            projection.spawn::<TimesView>(Arc::clone(&projection.times));
        }
        projection
    }

    /// Announces notices in a feed on JetStream as well, together with all other servers on the same log.
    pub fn announce_on(&mut self, feed: NoticeFeed) {
        self.workers.spawn(notice_worker::run(feed, self.behind_the_index(), self.stopped.clone()));
    }

    fn behind_the_index(&self) -> Arc<dyn EventLog> {
        self.told.tail.of(Arc::clone(&self.log))
    }

    /// One follower a view, behind the index: a view that is rebuilt holds up none of the others.
    fn spawn<V: View>(&mut self, shelf: Arc<Shelf>) {
        self.subjects.shelves.push(Arc::clone(&shelf));
        let follower = view_worker::run::<V>(shelf, self.behind_the_index(), self.stopped.clone());
        self.followers.push(self.workers.spawn(follower));
    }

    /// The position up to which the index has taken in everything.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<Position> {
        self.told.applied.subscribe()
    }

    /// How far the index has come; it is ready once it has what was in the log when this projection started.
    #[must_use]
    pub fn index_status(&self) -> watch::Receiver<Status> {
        self.told.status.subscribe()
    }

    /// Notices from now on, as the index takes them in. A listener that falls behind by more than the channel holds is told
    /// that it lags, and resumes from [`Self::notices`].
    #[must_use]
    pub fn live_notices(&self) -> broadcast::Receiver<Arc<LiveNotice>> {
        self.told.notices.subscribe()
    }

    /// Tenants in which the index took in that somebody was erased. Whoever destroys the seals takes them out.
    #[must_use]
    pub fn erasing(&self) -> watch::Sender<BTreeSet<TenantId>> {
        self.told.erasing.clone()
    }

    /// The view of keys.
    #[must_use]
    pub fn keys(&self) -> Keys {
        Keys { shelf: Arc::clone(&self.keys), index: Arc::clone(&self.index) }
    }

    /// The view of histories.
    #[must_use]
    pub fn history(&self) -> History {
        History { shelf: Arc::clone(&self.history), keys: self.keys() }
    }

    /// The view of tenants.
    #[must_use]
    pub fn tenants(&self) -> Tenants {
        Tenants { shelf: Arc::clone(&self.tenants) }
    }

    /// The view of notices.
    #[must_use]
    pub fn notices(&self) -> Notices {
        Notices { shelf: Arc::clone(&self.notices) }
    }

    /// Answers about any moment of the log.
    #[must_use]
    pub fn past(&self) -> Past {
        Past::new(Arc::clone(&self.log), Times { shelf: Arc::clone(&self.times) }, self.keys())
    }

    /// How far each worker has come, the index first.
    #[must_use]
    pub fn progress(&self) -> Vec<Progress> {
        let views = [&self.keys, &self.history, &self.tenants, &self.notices, &self.times];
        let views = views.map(|shelf| Progress { name: shelf.view, status: *shelf.status.borrow() });
        let index = Progress { name: "index", status: *self.told.status.borrow() };
        [index].into_iter().chain(views).collect()
    }

    /// Begins to compare the index and the views with what the log makes of them, at so many events a second.
    ///
    /// # Errors
    /// [`Busy`] while another comparison is under way.
    pub fn compare(&self, events_per_second: u32) -> Result<Comparison, Busy> {
        Comparison::new(self.subjects.clone(), events_per_second)
    }

    /// Whether the index or a view is no longer followed though nobody asked for that: a log that is damaged, or a panic.
    #[must_use]
    pub fn has_lost_a_worker(&self) -> bool {
        self.followers.iter().any(AbortHandle::is_finished)
    }

    /// Ends all workers gently: the views are flushed and closed, the index is saved.
    pub async fn stop(mut self) {
        self.stop.send_replace(true);
        while let Some(ended) = self.workers.join_next().await {
            if let Err(error) = ended {
                tracing::error!(error = %error, "a worker of the projection ended in a panic");
            }
        }
    }
}
