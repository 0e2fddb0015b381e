//! The guard as a service holds it: verdicts, its own account, and the tasks behind it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::error;
use verify::Verdict;

use crate::builder::{Builder, ConnectError};
use crate::core::{Arrived, At, Core, Decision, Judged, Knowing};
use crate::filler::Asked;
use crate::link::Link;
use crate::requirement::Requirement;
use crate::status::{Lease, Status};
use crate::usage::UsageTeller;
use crate::{feed, filler, keeper, replica};

/// A token is at most two keys (our own form and another system's), and each may be pushed out once while it is waited for.
const MOST_ASKS: usize = 4;

/// Verifies keys in the service that accepts them. Cheap to clone; its tasks end when the last clone is dropped.
#[derive(Clone)]
pub struct Guard {
    handle: Arc<Handle>,
}

struct Handle {
    link: Arc<Link>,
    first_sight_within: Duration,
    stop: watch::Sender<bool>,
    stopped: watch::Receiver<bool>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.link.core.close();
        self.stop.send_replace(true);
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard").field("status", &self.status()).finish_non_exhaustive()
    }
}

impl Guard {
    /// A guard of tenant `default`, see [`Builder::connect`]. The credential needs the scopes `feed` and `verify`.
    ///
    /// # Errors
    /// [`ConnectError`].
    pub async fn connect(url: &str, credential: &str) -> Result<Self, ConnectError> {
        Self::builder(url, credential).connect().await
    }

    /// A guard with other settings.
    #[must_use]
    pub fn builder(url: &str, credential: &str) -> Builder {
        Builder::new(url, credential)
    }

    pub(crate) fn spawn(link: Link, how: FeedBy, first_sight_within: Duration) -> Self {
        let link = Arc::new(link);
        let (stop, asked_to_stop) = watch::channel(false);
        let (stopping, stopped) = watch::channel(false);
        tokio::spawn(supervise(Arc::clone(&link), how, asked_to_stop, stopping));
        Self { handle: Arc::new(Handle { link, first_sight_within, stop, stopped }) }
    }

    /// May this key be used for this, now?
    ///
    /// Answers from memory. Of a key that is seen first the server is asked, once for all who present it, within
    /// [`Builder::first_sight_within`]; who could not be told in time gets `stale`, which is a refusal. Never fails, never
    /// waits longer, and never says `valid` past the lease.
    pub async fn verify(&self, token: &str, requirement: &Requirement) -> Decision {
        let boot_ms = self.link().clock.boot_ms();
        match self.judge(token, requirement, boot_ms, Knowing::default()) {
            Judged::Answer(decision) if !waits_for_server(&decision, requirement) => {
                self.count(&decision, requirement, boot_ms);
                decision
            }
            // Apart and boxed: whoever holds the key does not pay for the room that this takes.
            judged => Box::pin(self.verify_slowly(token, requirement, judged, boot_ms)).await,
        }
    }

    async fn verify_slowly(
        &self,
        token: &str,
        requirement: &Requirement,
        judged: Judged,
        boot_ms: u64,
    ) -> Decision {
        let Decided { decision, by } = self.decide(token, requirement, judged, boot_ms).await;
        match by {
            By::Guard { boot_ms } => self.count(&decision, requirement, boot_ms),
            // What the server said itself it has counted itself.
            By::Server => self.link().meters.count(decision.verdict),
        }
        decision
    }

    /// [`Self::verify`] without waiting: none if the server would have to be asked.
    #[must_use]
    pub fn check(&self, token: &str, requirement: &Requirement) -> Option<Decision> {
        let boot_ms = self.link().clock.boot_ms();
        match self.judge(token, requirement, boot_ms, Knowing::default()) {
            Judged::Answer(decision) => {
                self.count(&decision, requirement, boot_ms);
                Some(decision)
            }
            Judged::Ask(_) => None,
        }
    }

    fn judge(&self, token: &str, requirement: &Requirement, boot_ms: u64, knowing: Knowing) -> Judged {
        let clock = &*self.link().clock;
        self.core().judge_knowing(token, requirement, &At { boot_ms, now: || clock.now() }, knowing)
    }

    fn count(&self, decision: &Decision, requirement: &Requirement, boot_ms: u64) {
        self.link().meters.count(decision.verdict);
        self.link().uses.count(decision, requirement, boot_ms);
    }

    /// Goes on from what was first judged at `boot_ms`.
    async fn decide(
        &self,
        token: &str,
        requirement: &Requirement,
        mut judged: Judged,
        mut boot_ms: u64,
    ) -> Decided {
        let link = self.link();
        let until = Instant::now() + self.handle.first_sight_within;
        let mut knowing = Knowing::default();
        for asked in 0..=MOST_ASKS {
            let key_id = match judged {
                Judged::Answer(decision) => {
                    let decided = Decided { decision, by: By::Guard { boot_ms } };
                    return self.past_lease(decided, token, requirement, until).await;
                }
                Judged::Ask(key_id) => key_id,
            };
            // Whatever the server said, a guard past its lease would refuse: nobody is kept waiting for that.
            if asked == MOST_ASKS || !self.core().is_fresh(boot_ms) {
                break;
            }
            match link.filler.ask(key_id, Some(token), until).await {
                Asked::Told(Arrived::Held) => {}
                Asked::Told(Arrived::Absent) => knowing = knowing.that_absent(key_id),
                Asked::Told(Arrived::Again | Arrived::Unreadable) | Asked::TimedOut => break,
                Asked::Crowded => {
                    link.meters.crowded.increment(1);
                    break;
                }
            }
            boot_ms = link.clock.boot_ms();
            judged = self.judge(token, requirement, boot_ms, knowing);
        }
        let boot_ms = link.clock.boot_ms();
        let stale = Decided { decision: self.core().stale(boot_ms), by: By::Guard { boot_ms } };
        self.past_lease(stale, token, requirement, until).await
    }

    async fn past_lease(
        &self,
        decided: Decided,
        token: &str,
        requirement: &Requirement,
        until: Instant,
    ) -> Decided {
        if !waits_for_server(&decided.decision, requirement) {
            return decided;
        }
        let asked = self.link().ask_server(token, requirement, until).await;
        asked.map_or(decided, |decision| Decided { decision, by: By::Server })
    }

    /// Tells of every notice that was applied, by its position, and of every hint, by the position as it was. Whoever keeps
    /// connections open for long checks their keys again at each: what was revoked is refused by then.
    #[must_use]
    pub fn applied(&self) -> watch::Receiver<domain::Position> {
        self.link().applied.subscribe()
    }

    /// The guard's own account.
    #[must_use]
    pub fn status(&self) -> Status {
        let (link, core) = (self.link(), self.core());
        let boot_ms = link.clock.boot_ms();
        let lag_ms = core.lag_ms(boot_ms);
        let lease = match lag_ms {
            None => Lease::Never,
            Some(_) if core.is_fresh(boot_ms) => Lease::Runs,
            Some(_) => Lease::RunOut,
        };
        let noted = link.notes.noted();
        Status {
            guard_id: link.guard_id().to_owned(),
            state: noted.state(lease),
            applied: core.applied(),
            heard: core.heard(),
            lag_ms,
            bound_ms: core.bound_ms(),
            held: core.held(),
            whole: core.is_whole(),
            last_error: noted.call_error.or(noted.feed_error),
        }
    }

    /// Stops answering, says so to the server, and returns when all tasks have ended. Dropping does the same behind the
    /// caller's back.
    pub async fn close(self) {
        self.core().close();
        self.handle.stop.send_replace(true);
        let mut stopped = self.handle.stopped.clone();
        // An error means that the tasks are gone, with their runtime.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }

    /// Does one thing wrong from now on.
    #[cfg(feature = "planted")]
    pub fn plant(&self, bug: crate::core::GuardBug) {
        self.core().plant(bug);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.link().notes.changes()
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.core().is_replica()
    }

    fn link(&self) -> &Link {
        &self.handle.link
    }

    fn core(&self) -> &Core {
        &self.handle.link.core
    }
}

/// Whether the route wants the server's word in place of this.
fn waits_for_server(decision: &Decision, requirement: &Requirement) -> bool {
    decision.verdict == Verdict::Stale && requirement.asks_server()
}

/// A decision, and whose it is.
struct Decided {
    decision: Decision,
    by: By,
}

enum By {
    /// This guard's, at this boot time.
    Guard { boot_ms: u64 },
    /// The server's, which was asked for it.
    Server,
}

/// How a guard hears notices.
#[derive(Clone, Debug, Default)]
pub(crate) enum FeedBy {
    #[default]
    Sse,
    #[cfg(feature = "nats")]
    Nats(crate::nats::NatsFeed),
}

impl FeedBy {
    /// The word that the fleet shows.
    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Self::Sse => "sse",
            #[cfg(feature = "nats")]
            Self::Nats(_) => "nats",
        }
    }
}

fn spawn_feed(tasks: &mut JoinSet<()>, link: Arc<Link>, how: FeedBy) {
    match how {
        FeedBy::Sse => tasks.spawn(async move { feed::run(&link).await }),
        #[cfg(feature = "nats")]
        FeedBy::Nats(nats) => tasks.spawn(async move { crate::nats::run(&link, &nats).await }),
    };
}

/// Runs the tasks until it is asked to stop or one of them breaks. Then none goes on: without its keeper the lease runs out,
/// and the guard refuses.
async fn supervise(
    link: Arc<Link>,
    how: FeedBy,
    mut asked_to_stop: watch::Receiver<bool>,
    stopped: watch::Sender<bool>,
) {
    let mut tasks = JoinSet::new();
    let of = |link: &Arc<Link>| Arc::clone(link);
    spawn_feed(&mut tasks, of(&link), how);
    let shared = of(&link);
    tasks.spawn(async move { keeper::keep_lease(&shared).await });
    let shared = of(&link);
    tasks.spawn(async move { keeper::report(&shared).await });
    if link.core.is_replica() {
        let shared = of(&link);
        tasks.spawn(async move { replica::run(&shared).await });
    }
    for _ in 0..filler::WORKERS {
        let shared = of(&link);
        tasks.spawn(async move { filler::run(&shared).await });
    }
    // Lent to its task, for the last of it is told when no task runs any more.
    let teller = Arc::new(Mutex::new(UsageTeller::new()));
    let (shared, lent) = (of(&link), Arc::clone(&teller));
    tasks.spawn(async move { lent.lock().await.run(&shared).await });
    let ended = tokio::select! {
        // An error means that nobody holds the guard any more.
        _ = asked_to_stop.wait_for(|stop| *stop) => None,
        ended = tasks.join_next() => Some(ended),
    };
    if let Some(ended) = ended {
        let why = ended.and_then(Result::err).map_or_else(|| "ended".to_owned(), |error| error.to_string());
        error!(
            guard.id = link.guard_id(),
            why, "a task of the guard broke: it refuses once its lease has run out"
        );
        link.notes.note(|noted| {
            noted.broken = true;
            noted.call_error = Some(format!("a task of the guard broke: {why}"));
        });
        tasks.shutdown().await;
        let _ = asked_to_stop.wait_for(|stop| *stop).await;
    }
    tasks.shutdown().await;
    link.notes.note(|noted| noted.closed = true);
    if link.core.was_registered() {
        teller.lock().await.say_good_bye(&link).await;
        link.leave().await;
    }
    stopped.send_replace(true);
}
