//! A node: log, projection, application, workers and HTTP put together, started in order and stopped in the reverse.

mod erasures;
mod expiry;
mod fleet;
mod folder;
mod listen;
mod operators;
mod policies;
mod rotations;
mod start_error;
#[cfg(test)]
mod tests;
mod usage;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use application::{Ambient, Application, Lease, LeaseState, SystemAmbient};
use domain::{LogId, Position, TenantId};
use eventlog::jetstream::{JetStream, JetStreamConfig};
use eventlog::{EmbeddedLog, EmbeddedSeals, EventLog, SealStore};
use projection::stores::DiskStores;
use projection::{Keeps, Projection, ProjectionConfig, RecordPlace, Stage};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tracing::{error, info, warn};
use wire::RunId;

use crate::config::{LogChoice, NatsArgs, NatsChoice, Role, ServeConfig};
use crate::fleet::{Fleet, FleetLink, ReceiptRecord, Strangers};
use crate::http::{App, Gates, Meters, SUM_UP_EVERY, router};
use crate::leaks::Signers;
use crate::node::listen::{Doorkeeper, Listening};
use crate::node::usage::KeptUsage;
use crate::notary::{self, Notary};
use crate::policy::watch::PolicyWatch;
use crate::webhooks::{self, Reach, Webhooks};

pub(crate) use folder::Folder;
pub use operators::FirstStart;
pub use start_error::{DurableError, StartError};

/// How long a start waits until the index has caught up and a lease is there. What takes longer goes on behind `/readyz`.
const READY_WITHIN: Duration = Duration::from_secs(10);
/// How long a stop waits for the last views to be flushed and the index to be saved.
const SAVE_WITHIN: Duration = Duration::from_secs(30);
/// How long a stop waits for the last request to let go of the log.
const LET_GO_WITHIN: Duration = Duration::from_secs(2);
/// How often the workers of the projection are looked after.
const WATCH_EVERY: Duration = Duration::from_secs(1);
/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// A running server.
pub struct Node {
    address: SocketAddr,
    url: String,
    operator_key: PathBuf,
    first_start: FirstStart,
    pub(crate) app: Arc<App>,
    /// The only strong reference that lasts; handlers take others for moments.
    projection: Arc<Projection>,
    listening: Listening,
    stopping: watch::Sender<bool>,
    failure: watch::Receiver<Option<String>>,
    /// Aborted when the node is dropped.
    pub(crate) workers: JoinSet<()>,
    usage: KeptUsage,
    nats: Option<JetStream>,
    /// Held until everything else is gone.
    _folder: Folder,
}

/// The log and what lies beside it.
struct Opened {
    log: Arc<dyn EventLog>,
    seals: Arc<dyn SealStore>,
    /// Where the backup ended that the log was restored from, while nobody has said what came after.
    restored: Option<Position>,
    nats: Option<JetStream>,
}

impl Node {
    /// Starts everything. On return requests are answered, an operator stands in the log, and the node is ready unless that
    /// takes longer than ten seconds.
    ///
    /// # Errors
    /// [`StartError`], which says what to do; nothing goes on running then.
    pub async fn start(config: ServeConfig) -> Result<Self, StartError> {
        let folder = Folder::take(&config.data)?;
        let tcp = listen::bind(config.listen)?;
        let tls = listen::tls(config.tls.as_ref())?;
        let signers = Signers::start(config.leaks_github_keys.clone())
            .map_err(|reason| StartError::LeakKeys { reason })?;
        let ambient: Arc<dyn Ambient> = Arc::new(SystemAmbient);
        let opened = open_log(&config, &folder, &*ambient).await?;
        let (notary, notarise) = open_notary(&config, &folder, &opened, &ambient).await?;
        // The recorder first: metrics that are written before it is there go nowhere.
        let meters = Meters::new();
        let projection = start_projection(&config, &folder, &opened).await?;
        let address =
            tcp.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;
        let usage = KeptUsage::open(&folder, opened.log.log_id(), &*ambient, address).await;
        let records = open_records(&config, &folder, opened.log.log_id(), notary).await;
        let strangers = strangers(&opened, usage.run).await;
        let (stopping, stopped) = watch::channel(false);
        let app = Arc::new(assemble(
            &config,
            &opened,
            &projection,
            ambient,
            (meters, signers, &usage, strangers, records),
            stopped,
        ));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let doorkeeper = Doorkeeper::new(config.max_feeds, app.meters.feeds_stuck.clone());
        let pressure = Arc::clone(&app.gates.pressure);
        let listening = Listening::start(tcp, tls, router(Arc::clone(&app)), doorkeeper, pressure)
            .map_err(|source| StartError::Listen { address, source })?;
        let (failed, failure) = watch::channel(None);
        let mut node = Self {
            address,
            url: format!("{scheme}://{address}"),
            operator_key: folder.operator_key(),
            first_start: FirstStart::NotAsked,
            app,
            projection,
            listening,
            stopping,
            failure,
            workers: JoinSet::new(),
            usage,
            nats: opened.nats,
            _folder: folder,
        };
        node.start_workers(&failed, config.role);
        node.start_notary(notarise, &config, &failed);
        if config.role == Role::All {
            match operators::establish(&node.app.application, &node.operator_key, config.recover_operator)
                .await
            {
                Ok(first_start) => node.first_start = first_start,
                Err(error) => {
                    node.stop().await;
                    return Err(error);
                }
            }
        }
        node.app.bootstrapped.store(true, Ordering::Release);
        // A restored log gives no lease: there is nothing to wait for.
        if node.app.restored.is_none() {
            node.wait_ready().await;
        }
        Ok(node)
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where clients on this machine find it.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }

    /// Where the key of the first operator is, if this folder has it.
    #[must_use]
    pub fn operator_key_path(&self) -> &Path {
        &self.operator_key
    }

    /// What this start did about operators.
    #[must_use]
    pub const fn first_start(&self) -> &FirstStart {
        &self.first_start
    }

    /// Whether acknowledged changes are on disk, and if not for certain, why and what to do.
    #[must_use]
    pub fn durability(&self) -> eventlog::Durability {
        self.app.log.durability()
    }

    /// The name of the history that this node works on.
    #[must_use]
    pub fn log_id(&self) -> LogId {
        self.app.log.log_id()
    }

    /// Returns when something that must go on has ended; the text says what. The node should then be stopped.
    pub async fn stopped(&self) -> String {
        let mut failure = self.failure.clone();
        match failure.wait_for(Option::is_some).await {
            Ok(reason) => reason.clone().unwrap_or_default(),
            // Nobody can fail any more.
            Err(_) => std::future::pending().await,
        }
    }

    /// Stops gently: takes no more requests, finishes those under way within ten seconds, flushes the views, saves the
    /// index, closes the log.
    pub async fn stop(self) {
        info!("stopping");
        let Self { app, projection, mut listening, stopping, mut workers, usage, nats, .. } = self;
        stopping.send_replace(true);
        listening.stop().await;
        usage.leave().await;
        if let Some(link) = &app.link {
            link.leave().await;
        }
        workers.shutdown().await;
        match Arc::into_inner(projection) {
            Some(projection) => {
                if timeout(SAVE_WITHIN, projection.stop()).await.is_err() {
                    warn!("the views took too long to close; the next start follows the log again");
                }
            }
            // Nothing is lost: the next start follows the log from the last snapshot.
            None => warn!("the index was not saved: a request still held it"),
        }
        usage.record.close().await;
        app.webhooks.close().await;
        fleet::keep_receipts(&app).await;
        app.receipts.close();
        if let Some(nats) = nats {
            nats.shutdown().await;
        }
        let until = Instant::now() + LET_GO_WITHIN;
        while Arc::strong_count(&app) > 1 && Instant::now() < until {
            sleep(LOOK_AGAIN).await;
        }
        info!("stopped");
    }

    fn start_workers(&mut self, failed: &watch::Sender<Option<String>>, role: Role) {
        let app = &self.app;
        let lease = Lease {
            log: Arc::clone(&app.log),
            index: Arc::clone(&app.index),
            applied: self.projection.applied(),
            ambient: Arc::clone(&app.ambient),
            state: Arc::clone(&app.lease),
        };
        let (announced, link, beside) = (self.usage.announced(), app.link.clone(), Arc::clone(app));
        let keep = async {
            announced.await;
            match link {
                Some(link) => fleet::prove(beside, link, lease).await,
                None => lease.keep().await,
            }
        };
        self.workers.spawn(supervise("lease keeper", Arc::clone(app), failed.clone(), keep));
        let stream = self.nats.as_ref().map(|nats| nats.usage.clone());
        if let Some(stream) = stream.clone() {
            let follow = self.usage.record.clone().follow(stream);
            self.workers.spawn(supervise("usage record", Arc::clone(app), failed.clone(), follow));
        }
        let sink = self.usage.sink(stream);
        let report = self.usage.reporter(app, sink.clone()).run();
        self.workers.spawn(supervise("usage reporter", Arc::clone(app), failed.clone(), report));
        let take = self.usage.take_in(Arc::clone(app), sink);
        self.workers.spawn(supervise("usage of guards", Arc::clone(app), failed.clone(), take));
        let watch = watch_followers(Arc::downgrade(&self.projection));
        self.workers.spawn(supervise("projection", Arc::clone(app), failed.clone(), watch));
        self.workers.spawn(supervise("metrics", Arc::clone(app), failed.clone(), sum_up(Arc::clone(app))));
        self.workers.spawn(supervise("fleet", Arc::clone(app), failed.clone(), fleet::run(Arc::clone(app))));
        if let Some(link) = &app.link {
            start_fleet_workers(&mut self.workers, app, link, failed);
        }
        let erase = erasures::run(Arc::clone(app), self.projection.erasing(), role);
        self.workers.spawn(supervise("erasure worker", Arc::clone(app), failed.clone(), erase));
        if role == Role::All {
            let expire = expiry::run(Arc::clone(app));
            self.workers.spawn(supervise("expiry worker", Arc::clone(app), failed.clone(), expire));
            let rotate = rotations::run(Arc::clone(app));
            self.workers.spawn(supervise("rotation worker", Arc::clone(app), failed.clone(), rotate));
            let apply = policies::run(Arc::clone(app));
            self.workers.spawn(supervise("policy worker", Arc::clone(app), failed.clone(), apply));
            let send = webhooks::run(Arc::clone(app));
            self.workers.spawn(supervise("webhook worker", Arc::clone(app), failed.clone(), send));
        }
    }

    fn start_notary(
        &mut self,
        work: Option<notary::Work>,
        config: &ServeConfig,
        failed: &watch::Sender<Option<String>>,
    ) {
        if let Some(work) = work {
            self.workers.spawn(supervise("notary", Arc::clone(&self.app), failed.clone(), work.run()));
        }
        let (Some(choice), Some(notary)) = (&config.notary, &self.app.notary) else { return };
        for witness in &choice.witnesses {
            let ask = notary::ask_witness(Arc::clone(notary), witness.clone());
            self.workers.spawn(supervise("witness", Arc::clone(&self.app), failed.clone(), ask));
        }
    }

    async fn wait_ready(&self) {
        let mut status = self.projection.index_status();
        let ready = async {
            let _ = status.wait_for(|status| status.stage == Stage::Ready).await;
            let head = self.app.log.head().await.unwrap_or_default();
            self.app.application.wait_applied(head, READY_WITHIN).await;
            while self.app.index.is_stale(self.app.ambient.boot_ms()) {
                sleep(LOOK_AGAIN).await;
            }
        };
        if timeout(READY_WITHIN, ready).await.is_err() {
            warn!("the server answers but is not ready yet; /readyz?verbose tells how far it is");
        }
    }
}

async fn start_projection(
    config: &ServeConfig,
    folder: &Folder,
    opened: &Opened,
) -> Result<Arc<Projection>, StartError> {
    let stores =
        DiskStores::open(&folder.views()).map_err(|source| StartError::io(&folder.views(), source))?;
    let projection = ProjectionConfig {
        stores: Arc::new(stores),
        keeps: Keeps::Everything,
        max_staleness: config.max_staleness,
    };
    let mut projection = Projection::start(projection, Arc::clone(&opened.log)).await;
    if let (Some(nats), Role::All) = (&opened.nats, config.role) {
        projection.announce_on(nats.feed.clone());
    }
    Ok(Arc::new(projection))
}

/// What lies in `records/` beside usage.
struct Records {
    receipts: ReceiptRecord,
    webhooks: Webhooks,
    notary: Option<Arc<Notary>>,
}

async fn open_records(
    config: &ServeConfig,
    folder: &Folder,
    log_id: LogId,
    notary: Option<Arc<Notary>>,
) -> Records {
    let reach = if config.webhooks_allow_private { Reach::Anywhere } else { Reach::Public };
    let place = RecordPlace::webhooks(folder.records());
    let webhooks = Webhooks::open(place, log_id, reach, config.webhooks_retry.clone()).await;
    let receipts = ReceiptRecord::new(RecordPlace::receipts(folder.records()), log_id);
    Records { receipts, webhooks, notary }
}

/// The notary and its worker, if this server is the log's.
async fn open_notary(
    config: &ServeConfig,
    folder: &Folder,
    opened: &Opened,
    ambient: &Arc<dyn Ambient>,
) -> Result<(Option<Arc<Notary>>, Option<notary::Work>), StartError> {
    let Some(choice) = &config.notary else { return Ok((None, None)) };
    // Nothing is signed of a log before it is known what came after it.
    if opened.restored.is_some() {
        return Ok((None, None));
    }
    let opened = notary::open(folder.notary(), &choice.signer, &opened.log, ambient).await?;
    Ok(Some(opened).unzip())
}

/// What several servers on one log need of each other.
fn start_fleet_workers(
    workers: &mut JoinSet<()>,
    app: &Arc<App>,
    link: &Arc<FleetLink>,
    failed: &watch::Sender<Option<String>>,
) {
    let mut spawn = |name, work: Pin<Box<dyn Future<Output = ()> + Send>>| {
        workers.spawn(supervise(name, Arc::clone(app), failed.clone(), work));
    };
    spawn("fleet entry", Box::pin(fleet::stay(Arc::clone(app), Arc::clone(link))));
    spawn("fleet registry", Box::pin(fleet::follow(Arc::clone(app), Arc::clone(link))));
    spawn("fleet speaker", Box::pin(fleet::say(Arc::clone(app), Arc::clone(link))));
    spawn("fleet listener", Box::pin(fleet::listen(Arc::clone(app), Arc::clone(link))));
}

async fn open_log(
    config: &ServeConfig,
    folder: &Folder,
    ambient: &dyn Ambient,
) -> Result<Opened, StartError> {
    let new_log_id = LogId::from_u128(ambient.draw_ulid());
    match &config.log {
        LogChoice::Embedded => {
            let path = folder.log();
            let opening = tokio::task::spawn_blocking(move || EmbeddedLog::open(&path, new_log_id));
            let log = opening.await.map_err(|_| StartError::Panicked { what: "the log" })??;
            let seals = EmbeddedSeals::open(&folder.seals())
                .map_err(|source| StartError::io(&folder.seals(), source))?;
            let restored = log.restored();
            if let Some(end) = restored {
                warn!(
                    log.position = end.get(),
                    "the log was restored from a backup, and nobody has said what came after: every key is refused and no \
                     command taken until this server is stopped and `rescind backup settle` is run"
                );
            }
            let seals = crate::planted::seals(Arc::new(seals));
            Ok(Opened { log: Arc::new(log), seals, restored, nats: None })
        }
        LogChoice::Nats(choice) => {
            let nats = JetStream::connect(jetstream(choice.clone(), new_log_id)).await?;
            let (log, seals) = (Arc::clone(&nats.log), crate::planted::seals(Arc::new(nats.seals.clone())));
            Ok(Opened { log, seals, restored: None, nats: Some(nats) })
        }
    }
}

pub(crate) fn jetstream(choice: NatsChoice, new_log_id: LogId) -> JetStreamConfig {
    let NatsChoice { url, replicas, creds, nkey, ca, monitor } = choice;
    JetStreamConfig { url, creds, nkey, ca, replicas, new_log_id, monitor_url: monitor }
}

/// Makes the durable through which a consumer reads one tenant's notices, unless it is there.
///
/// # Errors
/// [`DurableError`] when NATS is not named, not reached, or has another durable of that name.
pub async fn make_durable(nats: NatsArgs, tenant: &TenantId, name: &str) -> Result<(), DurableError> {
    // It makes no stream, so the id of a new log is never used.
    let config = jetstream(NatsChoice::resolve(nats)?, LogId::from_u128(0));
    Ok(JetStream::make_durable(&config, tenant, name).await?)
}

fn assemble(
    config: &ServeConfig,
    opened: &Opened,
    projection: &Arc<Projection>,
    ambient: Arc<dyn Ambient>,
    (meters, signers, usage, strangers, records): (Meters, Signers, &KeptUsage, Strangers, Records),
    stopping: watch::Receiver<bool>,
) -> App {
    let lease = Arc::new(LeaseState::default());
    let application = Application::new(
        Arc::clone(&opened.log),
        Arc::clone(&opened.seals),
        Arc::clone(&projection.index),
        projection.applied(),
        Arc::clone(&ambient),
        Arc::clone(&lease),
    );
    let application = match &opened.nats {
        Some(nats) => application.hinting(nats.hints.clone()),
        None => application,
    };
    #[cfg(feature = "planted")]
    let application = match crate::planted::Bug::TextUnsealed.is_planted() {
        true => application.leaving_texts_unsealed(),
        false => application,
    };
    // Two nodes that are asked one after the other should not answer the same id.
    let first_request = u64::try_from(ambient.draw_ulid() & u128::from(u64::MAX)).unwrap_or(0);
    App {
        application,
        seals: Arc::clone(&opened.seals),
        restored: opened.restored,
        log: Arc::clone(&opened.log),
        index: Arc::clone(&projection.index),
        index_status: projection.index_status(),
        applied: projection.applied(),
        keys: projection.keys(),
        history: projection.history(),
        tenants: projection.tenants(),
        notices: projection.notices(),
        past: projection.past(),
        usage: usage.record.usage(),
        meter: Arc::clone(&usage.meter),
        guard_usage: Arc::clone(&usage.guards),
        fleet: Fleet::new(&usage.server, config.max_staleness, ambient.boot_ms(), strangers),
        receipts: records.receipts,
        webhooks: records.webhooks,
        notary: records.notary,
        link: opened.nats.as_ref().map(|nats| {
            let registry = nats.fleet.clone();
            Arc::new(FleetLink::new(registry, usage.run, &usage.server, config.max_staleness))
        }),
        policies: PolicyWatch::default(),
        projection: Arc::downgrade(projection),
        runtime: Handle::current(),
        ambient,
        lease,
        role: config.role,
        max_staleness: config.max_staleness,
        operators: TenantId::operators(),
        gates: Gates::new(config.max_feeds),
        meters,
        signers,
        bootstrapped: AtomicBool::new(false),
        broken: AtomicBool::new(false),
        stopping,
        requests: AtomicU64::new(first_request),
    }
}

/// Whether guards that this process has not heard of may still accept keys.
async fn strangers(opened: &Opened, run: RunId) -> Strangers {
    match (&opened.nats, opened.log.head().await) {
        (Some(_), _) => Strangers::Registered(run),
        (None, Ok(head)) if head == Position::NONE => Strangers::None,
        (None, _) => Strangers::OfBefore,
    }
}

/// Runs what must not end while the node runs. If it does, `/livez` fails and [`Node::stopped`] returns.
async fn supervise(
    name: &'static str,
    app: Arc<App>,
    failed: watch::Sender<Option<String>>,
    work: impl Future<Output = ()> + Send + 'static,
) {
    // A task of its own, so that its panic is seen here.
    let mut task = JoinSet::new();
    task.spawn(work);
    let ended = task.join_next().await;
    if *app.stopping.borrow() {
        return;
    }
    let how = if matches!(ended, Some(Err(_))) { "panicked" } else { "ended" };
    error!(worker = name, how, "a worker that must go on has stopped; restart this server");
    app.broken.store(true, Ordering::Relaxed);
    failed.send_replace(Some(format!("the {name} {how}")));
}

/// Ends when the index or a view is no longer followed. A look a second is soon enough: the lease has then run out or will.
async fn watch_followers(projection: Weak<Projection>) {
    while projection.upgrade().is_some_and(|projection| !projection.has_lost_a_worker()) {
        sleep(WATCH_EVERY).await;
    }
}

async fn sum_up(app: Arc<App>) {
    let mut ticks = interval(SUM_UP_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        app.meters.sum_up();
    }
}
