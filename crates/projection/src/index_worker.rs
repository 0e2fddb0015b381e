//! Follows the log into the key index: the one task that writes its rows, and that announces each notice to live feeds.

use std::collections::{BTreeSet, HashMap};
use std::future::ready;
use std::sync::Arc;

use domain::{Envelope, Event, LogId, Position, StreamName, TenantId};
use eventlog::{EventLog, Follower, ReadError, Recorded};
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::yield_now;
use tokio::time::{Instant, sleep_until};
use tracing::{debug, error, info, warn};
use verify::{Applied, IndexPin, IndexWriter, MAX_PENDING_RECALLS};
use wire::notice_of;

use crate::follow::{Backoff, Stop};
use crate::shelf::{Stage, Status};
use crate::snapshot::{SNAPSHOT_AFTER, SNAPSHOT_EVENTS, save};
use crate::stores::Stores;
use crate::tail::Tail;
use crate::view::is_announced;
use crate::views::notices::StoredNotice;

/// The most live notices that wait for a slow listener: two seconds of a busy service. Who falls behind further is told so
/// by the channel and resumes from the view.
pub(crate) const LIVE_NOTICES: usize = 16_384;

/// Counts the events that could not be read here.
const QUARANTINED: &str = "rescind_quarantined_events_total";

/// The position that the index has taken in.
const APPLIED: &str = "rescind_index_applied_position";

/// A notice just applied, as it goes out.
pub type LiveNotice = StoredNotice;

/// What the index worker tells the rest of the process.
#[derive(Clone, Debug)]
pub(crate) struct Told {
    pub(crate) status: watch::Sender<Status>,
    pub(crate) applied: watch::Sender<Position>,
    pub(crate) notices: broadcast::Sender<Arc<LiveNotice>>,
    /// For those who follow the log behind the index.
    pub(crate) tail: Tail,
    /// Tenants in which somebody was erased since whoever destroys the seals last looked: as many as there are tenants.
    pub(crate) erasing: watch::Sender<BTreeSet<TenantId>>,
}

impl Told {
    pub(crate) fn new(applied: Position) -> Self {
        Self {
            status: watch::Sender::new(Status { applied, ..Status::OPENING }),
            applied: watch::Sender::new(applied),
            notices: broadcast::Sender::new(LIVE_NOTICES),
            tail: Tail::new(applied),
            erasing: watch::Sender::default(),
        }
    }
}

/// The worker's own things.
pub(crate) struct IndexWorker {
    log: Arc<dyn EventLog>,
    stores: Arc<dyn Stores>,
    log_id: LogId,
    told: Told,
    /// Who compares the index asks here for a pin.
    pins: mpsc::Receiver<oneshot::Sender<IndexPin>>,
    /// None only while a thread that may wait has it, to settle recalls or to write a snapshot.
    rows: Option<Rows>,
    /// Where the last snapshot stands, or was tried.
    saved: Position,
    saved_at: Instant,
}

/// The index's writer and what is needed beside it to take in one event.
pub(crate) struct Rows {
    pub(crate) writer: IndexWriter,
    pub(crate) applied: Position,
    /// The last notice of each tenant that had one since the start; the index knows the others'.
    last_notice: HashMap<TenantId, Position>,
    /// Tenants in which somebody was erased, until that is told.
    pub(crate) erased: BTreeSet<TenantId>,
    /// Whether what cannot be read raises an alarm. Not for who looks at the same events a second time.
    alarms: bool,
}

/// However it ends, nobody waits for it any more.
impl Drop for IndexWorker {
    fn drop(&mut self) {
        self.told.tail.end();
    }
}

/// Why following ended.
enum End {
    Stopped,
    LogAway(String),
    LogDamaged(String),
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { .. } => Self::LogAway(error.to_string()),
            ReadError::AheadOfLog { .. } | ReadError::Damaged { .. } => Self::LogDamaged(error.to_string()),
        }
    }
}

impl IndexWorker {
    pub(crate) fn new(
        log: Arc<dyn EventLog>,
        stores: Arc<dyn Stores>,
        told: Told,
        writer: IndexWriter,
        pins: mpsc::Receiver<oneshot::Sender<IndexPin>>,
    ) -> Self {
        let (log_id, applied) = (log.log_id(), writer.index().applied());
        let rows = Some(Rows::new(writer, applied));
        Self { log, stores, log_id, told, pins, rows, saved: applied, saved_at: Instant::now() }
    }

    /// Runs until it is asked to stop, then saves a snapshot. Damage ends it for good: the index then never proves fresh
    /// again and refuses all within `max_staleness`. Aborting it is a crash.
    pub(crate) async fn run(mut self, mut stop: Stop) {
        let mut backoff = Backoff::new();
        loop {
            match self.follow(&mut stop, &mut backoff).await {
                End::Stopped => return self.save().await,
                End::LogAway(reason) => {
                    debug!(reason, "the key index waits for the log");
                    stop.pause(backoff.pause()).await;
                }
                End::LogDamaged(reason) => {
                    self.told.status.send_modify(|status| status.stage = Stage::Stopped);
                    error!(
                        reason,
                        log.position = self.applied().get(),
                        "the log cannot be followed any further: this server refuses all keys as stale; compare it with \
                         a backup or another server, then start again"
                    );
                    self.forget_snapshot().await;
                    return;
                }
            }
        }
    }

    fn applied(&self) -> Position {
        *self.told.applied.borrow()
    }

    async fn follow(&mut self, stop: &mut Stop, backoff: &mut Backoff) -> End {
        let mut follower = match self.begin(stop).await {
            Ok(follower) => follower,
            Err(end) => return end,
        };
        loop {
            let events = tokio::select! {
                biased;
                () = stop.asked() => return End::Stopped,
                () = sleep_until(self.saved_at + SNAPSHOT_AFTER), if self.has_enough_to_save() => {
                    self.save().await;
                    continue;
                }
                Some(reply) = self.pins.recv() => {
                    self.pin(reply).await;
                    continue;
                }
                events = follower.next() => events,
                // Only when nothing waits to be applied: until then a recall holds as it is.
                () = ready(()), if self.has_to_settle() => {
                    self.settle().await;
                    continue;
                }
            };
            let taken = events.map_err(End::from).and_then(|events| self.take_in(events));
            // Feeds, and whoever waits for the index, have been woken and go first; then views and announcers.
            yield_now().await;
            self.told.tail.pass();
            match taken {
                Ok(()) => backoff.reset(),
                Err(end) => return end,
            }
        }
    }

    async fn begin(&self, stop: &mut Stop) -> Result<Box<dyn Follower>, End> {
        let begin = async {
            let head = self.log.head().await?;
            if self.told.status.borrow().stage == Stage::Opening {
                self.told.status.send_replace(Status::beginning(self.applied(), head));
                info!(
                    log.position = self.applied().get(),
                    head = head.get(),
                    "the key index follows the log"
                );
            }
            self.log.follow(self.applied()).await
        };
        tokio::select! {
            biased;
            () = stop.asked() => Err(End::Stopped),
            follower = begin => Ok(follower?),
        }
    }

    /// Applies a run of events and publishes the position once, after all of them.
    fn take_in(&mut self, events: Vec<Recorded>) -> Result<(), End> {
        let rows =
            self.rows.as_mut().ok_or_else(|| End::LogDamaged("the index's writer is gone".to_owned()))?;
        let fed = (self.told.notices.receiver_count() > 0).then_some((&self.told.notices, self.log_id));
        let applied = rows.take_in(&events, fed);
        let position = rows.applied;
        self.told.tail.keep(events, position);
        let mut erased = std::mem::take(&mut rows.erased);
        if !erased.is_empty() {
            self.told.erasing.send_modify(|tenants| tenants.append(&mut erased));
        }
        self.told.status.send_modify(|status| {
            let before = status.stage;
            *status = status.at(position);
            if before == Stage::CatchingUp && status.stage == Stage::Ready {
                info!(log.position = position.get(), "the key index has caught up");
            }
        });
        self.told.applied.send_replace(position);
        metrics::gauge!(APPLIED).set(position.get() as f64);
        applied.map_err(|found| End::LogDamaged(format!("after position {position} comes position {found}")))
    }

    fn has_enough_to_save(&self) -> bool {
        self.applied().get() - self.saved.get() >= SNAPSHOT_EVENTS
    }

    fn has_to_settle(&self) -> bool {
        let pending = self.rows.as_ref().is_some_and(|rows| rows.writer.pending_recalls() > 0);
        pending && self.told.status.borrow().stage == Stage::Ready
    }

    /// Brings the recalls into the rows. The index stands still meanwhile, but goes on answering.
    async fn settle(&mut self) {
        let Some(mut rows) = self.rows.take() else { return };
        let work = move || {
            rows.writer.settle();
            rows
        };
        self.rows = Some(self.stores.work().run(work).await);
    }

    /// Pins the index where it is, recalls settled. It stands still only for that.
    async fn pin(&mut self, reply: oneshot::Sender<IndexPin>) {
        let Some(mut rows) = self.rows.take() else { return };
        let work = move || {
            let pin = rows.writer.pin();
            (rows, pin)
        };
        let (rows, pin) = self.stores.work().run(work).await;
        self.rows = Some(rows);
        // Nobody waiting any more lets it go.
        drop(reply.send(pin));
    }

    /// Saves the index, recalls settled. It stands still meanwhile, but goes on answering.
    async fn save(&mut self) {
        let position = self.applied();
        if position <= self.saved {
            return;
        }
        let Some(mut rows) = self.rows.take() else { return };
        let (stores, log_id) = (Arc::clone(&self.stores), self.log_id);
        let work = move || {
            rows.writer.settle();
            let saved = save(&*stores, &rows.writer, log_id, rows.applied);
            (rows, saved)
        };
        let (rows, saved) = self.stores.work().run(work).await;
        match saved {
            Ok(()) => info!(log.position = position.get(), "the key index was saved"),
            // Only the next start is slower for it.
            Err(error) => {
                warn!(error = %error, log.position = position.get(), "the key index could not be saved");
            }
        }
        (self.rows, self.saved, self.saved_at) = (Some(rows), position, Instant::now());
    }

    /// The snapshot may be of what the log does not say any more; the next start begins at the first event.
    async fn forget_snapshot(&self) {
        let stores = Arc::clone(&self.stores);
        if let Err(error) = self.stores.work().run(move || stores.remove_snapshot()).await {
            warn!(error = %error, "the saved key index could not be removed");
        }
    }
}

pub(crate) type Fed<'a> = Option<(&'a broadcast::Sender<Arc<LiveNotice>>, LogId)>;

impl Rows {
    pub(crate) fn new(writer: IndexWriter, applied: Position) -> Self {
        Self { writer, applied, last_notice: HashMap::new(), erased: BTreeSet::new(), alarms: true }
    }

    /// For an index that nobody verifies by.
    pub(crate) fn silent(writer: IndexWriter) -> Self {
        let applied = writer.index().applied();
        Self { alarms: false, ..Self::new(writer, applied) }
    }

    /// Takes in a run of events, skipping what the index has; of a hole, answers the position behind it.
    pub(crate) fn take_in(&mut self, events: &[Recorded], fed: Fed<'_>) -> Result<(), Position> {
        let known = events.partition_point(|event| event.position <= self.applied);
        #[cfg(feature = "planted")]
        self.show_again(&events[..known]);
        let mut hole = Ok(());
        for event in &events[known..] {
            if event.position != self.applied.next() {
                hole = Err(event.position);
                break;
            }
            let (envelope, why) = self.apply(event);
            if let Some(why) = why.filter(|_| self.alarms) {
                alarm(event, &why);
            }
            if let Some(envelope) = envelope {
                self.announce(&envelope, event.position, fed);
            }
            self.applied = event.position;
            self.keep_recalls_few();
        }
        // What came before a hole is true, and may be a revocation.
        self.writer.advance(self.applied);
        hole
    }

    /// Settles when as many recalls are pending as may be.
    pub(crate) fn keep_recalls_few(&mut self) {
        if self.writer.pending_recalls() >= MAX_PENDING_RECALLS {
            // Only what is published is settled.
            self.writer.advance(self.applied);
            self.writer.settle();
        }
    }

    /// The writer lets no older event overwrite a newer one either; one with a planted bug does.
    #[cfg(feature = "planted")]
    fn show_again(&mut self, events: &[Recorded]) {
        for event in events {
            let stream = event.stream.as_str().parse::<StreamName>();
            if let Some(envelope) = stream.ok().and_then(|stream| wire::decode(&stream, &event.payload).ok())
            {
                let _ = self.change(event.position, &envelope);
            }
        }
    }

    /// Takes in one event, and answers what of it could be read and why it quarantines what its stream names.
    pub(crate) fn apply(&mut self, event: &Recorded) -> (Option<Envelope>, Option<String>) {
        let Ok(stream) = event.stream.as_str().parse::<StreamName>() else {
            return (None, Some("its stream is neither a key's nor a tenant's".to_owned()));
        };
        match wire::decode(&stream, &event.payload) {
            Ok(envelope) => {
                let misfit = self.change(event.position, &envelope) == Applied::Misfit;
                if misfit {
                    self.quarantine(event.position, &stream);
                }
                let why = misfit.then(|| "it does not follow what came before it in its stream".to_owned());
                (Some(envelope), why)
            }
            Err(unreadable) => {
                self.quarantine(event.position, &stream);
                (None, Some(unreadable.to_string()))
            }
        }
    }

    fn change(&mut self, position: Position, envelope: &Envelope) -> Applied {
        let writer = &mut self.writer;
        let (revision, at) = (envelope.revision, envelope.occurred_at);
        match (&envelope.stream, &envelope.event) {
            (StreamName::Tenant(tenant), Event::TenantOpened(_)) => writer.open_tenant(position, tenant),
            (StreamName::Tenant(tenant), event) => {
                if matches!(event, Event::OwnerErased(_)) {
                    self.erased.insert(tenant.clone());
                }
                writer.change_tenant(position, tenant, revision, at, event)
            }
            (StreamName::Key(tenant, key_id), Event::KeyIssued(issued)) => {
                writer.issue(position, tenant, *key_id, issued)
            }
            (StreamName::Key(tenant, key_id), Event::KeyImported(imported)) => {
                writer.import(position, tenant, *key_id, imported)
            }
            (StreamName::Key(tenant, key_id), event) => {
                writer.change(position, tenant, *key_id, revision, at, event)
            }
        }
    }

    fn quarantine(&mut self, position: Position, stream: &StreamName) {
        match stream {
            StreamName::Key(tenant, key_id) => self.writer.quarantine_key(position, tenant, *key_id),
            StreamName::Tenant(tenant) => self.writer.quarantine_tenant(position, tenant),
        }
    }

    /// Notes the tenant's notice, and sends it to whoever listens.
    fn announce(&mut self, envelope: &Envelope, position: Position, fed: Fed<'_>) {
        if !is_announced(envelope) {
            return;
        }
        let tenant = envelope.stream.tenant();
        if let Some((live, log_id)) = fed {
            let previous = self.last_notice.get(tenant).copied().unwrap_or_else(|| {
                self.writer.index().tenant(tenant).map_or(Position::NONE, |state| state.last_notice)
            });
            if let Some(notice) = notice_of(envelope, position, previous) {
                // Nobody listening any more is no error.
                let _ = live.send(Arc::new(StoredNotice::of(&notice, log_id)));
            }
        }
        self.writer.note_notice(tenant, position);
        match self.last_notice.get_mut(tenant) {
            Some(last) => *last = position,
            None => drop(self.last_notice.insert(tenant.clone(), position)),
        }
    }
}

fn alarm(event: &Recorded, reason: &str) {
    metrics::counter!(QUARANTINED).increment(1);
    error!(
        stream = event.stream.as_str(),
        log.position = event.position.get(),
        reason,
        "an event cannot be read: what its stream names is refused; a newer build may read it, revoking works"
    );
}

#[cfg(test)]
mod tests;
