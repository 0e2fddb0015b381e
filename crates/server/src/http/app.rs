//! What the handlers share: the node's parts, the gates that keep one kind of load from starving another, and waits.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use application::{Ambient, Application, LeaseState};
use domain::{Position, TenantId};
use eventlog::{EventLog, SealStore};
use projection::usage::Usage;
use projection::{History, Keys, Notices, Past, Projection, Status, Tenants};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;
use verify::{KeyIndex, Moment};

use crate::config::Role;
use crate::fleet::{Fleet, FleetLink, ReceiptRecord};
use crate::http::codes;
use crate::http::metrics::Meters;
use crate::http::pressure::Pressure;
use crate::http::problem::Problem;
use crate::leaks::Signers;
use crate::notary::Notary;
use crate::policy::watch::PolicyWatch;
use crate::usage::{GuardUsage, UsageMeter};
use crate::webhooks::Webhooks;

/// How long a read waits for `min_position`: a server that follows is milliseconds behind, so who waits longer than this
/// asks a server in trouble, or for a position of another log.
const REACH_WITHIN: Duration = Duration::from_secs(2);
/// So many events behind the index, a view is as good as caught up: it takes them in within milliseconds.
const JUST_BEHIND: u64 = 256;
/// How long a read without `min_position` waits for such a view. Past this it tells what there is.
const SHOWN_WITHIN: Duration = Duration::from_millis(100);

/// Commands under way at once: enough for a thousand that wait for one batch of a log on NATS, and for another behind it.
const COMMANDS: usize = 2048;
/// Imports under way at once: together they leave room in the log's lowest queue.
const IMPORTS: usize = 3;
/// Verifies under way at once. One takes microseconds once its body is there; more than this are slow senders.
const VERIFIES: usize = 1024;
/// Requests of guards under way at once: at a lease a second each, those of thousands of guards.
const GUARDS: usize = 1024;
/// Reads of views under way at once: each may occupy one of the runtime's 512 threads that may wait.
const READS: usize = 256;
/// Scrapes, health checks and the API page under way at once.
const OPENS: usize = 64;
/// Readings of the log open at once: each keeps the log's disk and a core busy.
const READINGS: usize = 16;

/// How many of each kind may be under way. A gate a kind, so that no load of verifies keeps a revocation out.
pub(crate) struct Gates {
    pub(crate) commands: Semaphore,
    pub(crate) imports: Arc<Semaphore>,
    pub(crate) verifies: Semaphore,
    /// Sheds some of them before that gate is full.
    pub(crate) pressure: Arc<Pressure>,
    pub(crate) guards: Semaphore,
    pub(crate) reads: Semaphore,
    pub(crate) opens: Semaphore,
    pub(crate) feeds: Arc<Semaphore>,
    pub(crate) readings: Arc<Semaphore>,
}

impl Gates {
    /// `feeds` may be open at once: each holds a connection and a place in the channel of notices.
    pub(crate) fn new(feeds: usize) -> Self {
        Self {
            commands: Semaphore::new(COMMANDS),
            imports: Arc::new(Semaphore::new(IMPORTS)),
            verifies: Semaphore::new(VERIFIES),
            pressure: Arc::default(),
            guards: Semaphore::new(GUARDS),
            reads: Semaphore::new(READS),
            opens: Semaphore::new(OPENS),
            feeds: Arc::new(Semaphore::new(feeds)),
            readings: Arc::new(Semaphore::new(READINGS)),
        }
    }
}

/// The node as its handlers see it.
pub(crate) struct App {
    pub(crate) application: Application,
    /// Every seal, for backups.
    pub(crate) seals: Arc<dyn SealStore>,
    /// Where the backup ended that the log was restored from, while nobody has said what came after.
    pub(crate) restored: Option<Position>,
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) index: Arc<KeyIndex>,
    pub(crate) index_status: watch::Receiver<Status>,
    pub(crate) applied: watch::Receiver<Position>,
    pub(crate) keys: Keys,
    pub(crate) history: History,
    pub(crate) tenants: Tenants,
    pub(crate) notices: Notices,
    /// Answers about any moment of the log.
    pub(crate) past: Past,
    /// What is on record of verdicts, and where those of this server are counted.
    pub(crate) usage: Usage,
    pub(crate) meter: Arc<UsageMeter>,
    /// Where what guards count goes.
    pub(crate) guard_usage: Arc<GuardUsage>,
    /// Who else answers for keys, and what they have enforced.
    pub(crate) fleet: Fleet,
    /// Its complete receipts, on disk.
    pub(crate) receipts: ReceiptRecord,
    /// Where notices are sent to.
    pub(crate) webhooks: Webhooks,
    /// What makes the log provable, if this server does.
    pub(crate) notary: Option<Arc<Notary>>,
    /// Where that stands, if several servers are on the log.
    pub(crate) link: Option<Arc<FleetLink>>,
    /// What the worker that applies policies has seen.
    pub(crate) policies: PolicyWatch,
    /// The node owns it and stops it; a handler that finds it gone is late.
    pub(crate) projection: Weak<Projection>,
    /// The node's own, on which everything runs but connections, verifies and health.
    pub(crate) runtime: Handle,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) lease: Arc<LeaseState>,
    pub(crate) role: Role,
    pub(crate) max_staleness: Duration,
    /// Tenant `rescind`, at hand for every request.
    pub(crate) operators: TenantId,
    pub(crate) gates: Gates,
    pub(crate) meters: Meters,
    pub(crate) signers: Signers,
    /// Set once an operator stands in the log and tenant `default` is open.
    pub(crate) bootstrapped: AtomicBool,
    /// Set when a worker that must not end has ended.
    pub(crate) broken: AtomicBool,
    /// Becomes true when the node stops: streams end then.
    pub(crate) stopping: watch::Receiver<bool>,
    /// Makes request ids: a random start, counted on.
    pub(crate) requests: AtomicU64,
}

impl App {
    /// The two clocks now.
    pub(crate) fn moment(&self) -> Moment {
        Moment { now: self.ambient.now(), boot_ms: self.ambient.boot_ms() }
    }

    /// An id that no other request of this process has.
    pub(crate) fn next_request_id(&self) -> String {
        format!("{:016x}", self.requests.fetch_add(1, Ordering::Relaxed))
    }

    /// Waits until the index has taken in `min_position`.
    pub(crate) async fn reach_index(&self, min_position: Option<u64>) -> Result<(), Problem> {
        let Some(position) = min_position.map(Position::new) else { return Ok(()) };
        if self.application.wait_applied(position, REACH_WITHIN).await {
            return Ok(());
        }
        Err(not_reached(position, self.index.applied()))
    }

    /// Waits until the index has taken in all that the log holds now: another server may be ahead of this one, and what is
    /// not found before may be found then.
    pub(crate) async fn reach_head(&self) -> Result<(), Problem> {
        let away = |reason: String| Problem::new(&codes::UNAVAILABLE).detail(reason).retry();
        let head = timeout(REACH_WITHIN, self.log.head()).await;
        let head = head.map_err(|_elapsed| away("the log did not answer in time".to_owned()))?;
        let head = head.map_err(|error| away(error.to_string()))?;
        if self.application.wait_applied(head, REACH_WITHIN).await {
            return Ok(());
        }
        Err(away(format!("this server has heard {} of {head} events", self.index.applied())))
    }

    /// Waits until a view has taken in `min_position`; unless that is asked for, what the index has by now, if the view is just
    /// behind it: who reads right after a write sees it.
    pub(crate) async fn reach_view(
        &self,
        mut status: watch::Receiver<Status>,
        min_position: Option<u64>,
    ) -> Result<(), Problem> {
        let Some(position) = min_position.map(Position::new) else {
            let position = self.index.applied();
            let behind = position.get().saturating_sub(status.borrow().applied.get());
            if (1..=JUST_BEHIND).contains(&behind) {
                let shown = status.wait_for(|status| status.applied >= position);
                let _ = timeout(SHOWN_WITHIN, shown).await;
            }
            return Ok(());
        };
        let reached = async { status.wait_for(|status| status.applied >= position).await.is_ok() };
        if timeout(REACH_WITHIN, reached).await.unwrap_or(false) {
            return Ok(());
        }
        let applied = status.borrow().applied;
        Err(not_reached(position, applied))
    }
}

fn not_reached(wanted: Position, applied: Position) -> Problem {
    Problem::new(&codes::POSITION_NOT_REACHED).detail(format!("{applied} of {wanted}")).retry()
}
