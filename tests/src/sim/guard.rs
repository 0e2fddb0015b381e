//! One guard of the simulation: the real core, and around it what the guard's tasks do, on lines that delay, lose and repeat.

use std::collections::{BTreeSet, VecDeque};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use application::Ambient;
use domain::{KeyId, Position, TenantId};
use guard::core::{Arrived, Core, FillTicket, LeaseOutcome, Outcome};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use wire::guard::{AskFill, AskLease};
use wire::{Heard, Hint};

use super::ambient::SimAmbient;
use super::cable::Line;
use super::door::{Door, NotTold, Said};
use super::rng::Rng;
use super::seen::Seen;

/// How often a lease is asked for.
const LEASE_EACH: Duration = Duration::from_secs(1);
/// Before anything is tried again.
const AGAIN: Duration = Duration::from_millis(50);
/// Questions that are open at a time; later ones wait for the next second.
const MAX_OPEN: usize = 8;
/// Keys of one fill: few, so that answers overtake each other.
const KEYS_OF_A_FILL: usize = 3;
/// Hints on their way at a time.
const MAX_COMING: usize = 64;
/// One in so many notices of a line that promises nothing is lost, comes twice, or changes places with the one before.
const SLOPPY: u64 = 6;

/// A guard's way to the servers. It stays when the process begins anew.
pub(crate) struct Way {
    pub(crate) calls: Line,
    pub(crate) feed: Line,
    pub(crate) hints: Line,
    doors: Vec<Arc<Door>>,
    at: AtomicUsize,
    /// The feed is a subscription that promises nothing, not a stream.
    is_sloppy: AtomicBool,
    rng: Mutex<Rng>,
    /// What becomes of hints: apart, since they are drawn beside the notices.
    luck: Mutex<Rng>,
    pub(crate) seen: Mutex<Seen>,
}

impl Way {
    pub(crate) fn new(doors: Vec<Arc<Door>>, at: usize, rng: &mut Rng) -> Self {
        Self {
            calls: Line::new(rng.fork()),
            feed: Line::new(rng.fork()),
            hints: Line::new(rng.fork()),
            doors,
            at: AtomicUsize::new(at),
            is_sloppy: AtomicBool::new(rng.one_in(2)),
            rng: Mutex::new(rng.fork()),
            luck: Mutex::new(rng.fork()),
            seen: Mutex::default(),
        }
    }

    pub(crate) fn at(&self) -> usize {
        self.at.load(Ordering::Relaxed)
    }

    /// New calls and feeds go to another server from now on.
    pub(crate) fn lead_to(&self, node: usize) {
        self.at.store(node, Ordering::Relaxed);
    }

    pub(crate) fn make_sloppy(&self, is_sloppy: bool) {
        self.is_sloppy.store(is_sloppy, Ordering::Relaxed);
    }

    fn note(&self, what: &str) {
        self.seen.lock().note(what);
    }

    fn door(&self) -> &Door {
        &self.doors[self.at()]
    }

    /// A call over the line. What it takes there and back is drawn at once: answers come in any order, draws do not.
    async fn call<T>(&self, answer: impl Future<Output = Result<T, NotTold>>) -> Result<T, NotTold> {
        let whole = || self.calls.whole().map_err(|_| NotTold::Away);
        let (there, back) = (self.calls.takes(), self.calls.takes());
        sleep(there).await;
        whole()?;
        let answer = answer.await?;
        sleep(back).await;
        whole()?;
        Ok(answer)
    }
}

/// What was heard since the feed began.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Everything up to here was before.
    pub(crate) began: Position,
    /// The notices that were taken, in their order.
    pub(crate) taken: Vec<Position>,
}

/// A guard's process.
pub(crate) struct SimGuard {
    pub(crate) core: Core,
    id: String,
    pub(crate) tenant: TenantId,
    pub(crate) clock: Arc<SimAmbient>,
    pub(crate) way: Arc<Way>,
    /// Keys that somebody presented and nobody knows.
    wanted: Mutex<BTreeSet<KeyId>>,
    asked: Notify,
    pub(crate) ledger: Mutex<Ledger>,
}

impl SimGuard {
    pub(crate) fn new(
        (id, tenant): (String, TenantId),
        core: Core,
        clock: Arc<SimAmbient>,
        way: Arc<Way>,
    ) -> Self {
        Self {
            core,
            id,
            tenant,
            clock,
            way,
            wanted: Mutex::default(),
            asked: Notify::new(),
            ledger: Mutex::default(),
        }
    }

    /// What a caller does whose key is not held.
    pub(crate) fn want(&self, key_id: KeyId) {
        self.wanted.lock().insert(key_id);
        self.asked.notify_one();
    }

    /// All of the guard's tasks, until dropped.
    pub(crate) async fn live(self: Arc<Self>) {
        tokio::join!(self.hear(), self.hear_hints(), self.keep_lease(), self.fill());
    }

    async fn register(&self) -> bool {
        let answer = self.way.call(self.way.door().register(&self.id, &self.tenant)).await;
        let Ok(registered) = answer else { return false };
        let Ok(log_id) = registered.log_id.parse() else { return false };
        self.core.on_registered(log_id, Position::new(registered.at_least), registered.max_staleness_ms);
        true
    }

    /// Feeds, one after the other.
    async fn hear(&self) {
        loop {
            if self.core.is_registered() || self.register().await {
                self.follow().await;
            }
            sleep(AGAIN).await;
        }
    }

    /// One feed, until it ends or says that something was missed.
    async fn follow(&self) {
        let Self { way, core, tenant, .. } = self;
        let door = way.door();
        let resume = core.resume_from();
        let Ok(mut feed) = way.call(door.feed(tenant, resume)).await else { return };
        let (mut coming, mut last) = (VecDeque::new(), Instant::now());
        let mut until_cut = pin!(way.feed.until_cut());
        loop {
            let next = coming.front().map_or(last, |(arrival, _)| *arrival);
            tokio::select! {
                biased;
                () = &mut until_cut => return,
                () = sleep_until(next), if !coming.is_empty() => {
                    let outcome = coming.pop_front().map(|(_, said)| self.take(&said));
                    if matches!(outcome, Some(Outcome::Gap | Outcome::Reset)) {
                        return;
                    }
                }
                said = feed.next(door) => {
                    let Ok(said) = said else { return };
                    for said in self.as_it_comes(said) {
                        last = last.max(way.feed.arrival());
                        coming.push_back((last, said));
                    }
                }
            }
        }
    }

    /// Hints of whatever ends from now on, each on a way of its own: they overtake notices and each other, and some are lost.
    async fn hear_hints(&self) {
        let Self { way, core, tenant, clock, .. } = self;
        let mut coming: Vec<(Instant, Hint)> = Vec::new();
        let mut known = None;
        loop {
            let next = coming.iter().map(|(arrival, _)| *arrival).min();
            tokio::select! {
                biased;
                () = sleep_until(next.unwrap_or_else(Instant::now)), if next.is_some() => {
                    let now = Instant::now();
                    for (_, hint) in coming.extract_if(.., |(arrival, _)| *arrival <= now) {
                        if way.hints.whole().is_ok() {
                            let outcome = core.on_hint(&hint, clock.boot_ms());
                            way.note(&format!("hint {outcome:?}"));
                        }
                    }
                }
                told = way.door().hints(tenant, &mut known) => {
                    for hint in told {
                        let is_lost = way.luck.lock().one_in(SLOPPY);
                        if !is_lost && coming.len() < MAX_COMING {
                            coming.push((way.hints.arrival(), hint));
                        }
                    }
                }
            }
        }
    }

    /// What becomes of notices on a line that promises nothing.
    fn as_it_comes(&self, said: Vec<Said>) -> Vec<Said> {
        if !self.way.is_sloppy.load(Ordering::Relaxed) {
            return said;
        }
        let mut rng = self.way.rng.lock();
        let mut comes: Vec<Said> = Vec::new();
        for said in said {
            let is_notice = matches!(said, Said::Notice(_));
            match rng.below(if is_notice { SLOPPY } else { 1 }) {
                1 => self.way.note("notice lost"),
                2 => comes.extend([said.clone(), said]),
                3 if !comes.is_empty() => comes.insert(comes.len() - 1, said),
                _ => comes.push(said),
            }
        }
        comes
    }

    fn take(&self, said: &Said) -> Outcome {
        let outcome = match said {
            Said::Hello { log_id, head, last_notice } => {
                let begins = self.core.resume_from().is_none();
                let outcome = self.core.on_hello(&log_id.to_string(), *head, *last_notice);
                if begins && outcome == Outcome::Taken {
                    *self.ledger.lock() = Ledger { began: *last_notice, taken: Vec::new() };
                }
                outcome
            }
            Said::Notice(json) => {
                let heard = Heard::parse(json.as_bytes()).expect("a notice that a server made can be read");
                let outcome = self.core.on_notice(&heard);
                if outcome == Outcome::Taken {
                    self.ledger.lock().taken.push(heard.position());
                }
                outcome
            }
            Said::Heartbeat { head, last_notice } => {
                self.core.on_heartbeat(*head, *last_notice, self.clock.boot_ms())
            }
            Said::Reset => {
                self.core.reset();
                Outcome::Reset
            }
        };
        self.way.note(&format!("feed {outcome:?}"));
        outcome
    }

    /// Asks each second, whatever became of the question before: answers come late, and one after another's.
    async fn keep_lease(self: &Arc<Self>) {
        let mut calls = JoinSet::new();
        let mut ticks = interval(LEASE_EACH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            while calls.try_join_next().is_some() {}
            if self.core.is_registered() && calls.len() < MAX_OPEN {
                let ask = self.core.ask_lease(&self.id, self.clock.boot_ms());
                calls.spawn(Arc::clone(self).ask_lease(ask));
            }
        }
    }

    async fn ask_lease(self: Arc<Self>, ask: AskLease) {
        match self.way.call(self.way.door().lease(&self.tenant, &ask)).await {
            Ok(granted) => {
                let outcome = self.core.on_lease(&granted);
                self.way.note(&format!("lease {outcome:?}"));
                // Heard twice, it counts once.
                let again = self.core.on_lease(&granted);
                assert_eq!(again, LeaseOutcome::Refused, "an answer counts once");
            }
            Err(NotTold::Unknown) => drop(self.register().await),
            Err(NotTold::Away) => {}
        }
    }

    async fn fill(self: &Arc<Self>) {
        let mut calls = JoinSet::new();
        loop {
            self.asked.notified().await;
            while calls.try_join_next().is_some() {}
            while calls.len() < MAX_OPEN {
                let Some(ticket) = self.next_fill() else { break };
                calls.spawn(Arc::clone(self).ask_fill(ticket));
            }
        }
    }

    fn next_fill(&self) -> Option<FillTicket> {
        let mut wanted = self.wanted.lock();
        let keys: Vec<KeyId> = wanted.iter().take(KEYS_OF_A_FILL).copied().collect();
        if keys.is_empty() {
            return None;
        }
        let ticket = self.core.begin_fill(keys.clone())?;
        wanted.retain(|key_id| !keys.contains(key_id));
        Some(ticket)
    }

    async fn ask_fill(self: Arc<Self>, ticket: FillTicket) {
        let ask = AskFill {
            guard_id: self.id.clone(),
            keys: ticket.keys().iter().map(ToString::to_string).collect(),
            at_least: ticket.at_least().get(),
        };
        match self.way.call(self.way.door().fill(&self.tenant, &ask)).await {
            Ok(filled) => {
                let arrived: Vec<Arrived> = self.core.on_filled(&ticket, &filled, self.clock.boot_ms());
                for arrived in arrived {
                    self.way.note(&format!("fill {arrived:?}"));
                }
            }
            Err(reason) => {
                self.core.abandon_fill(&ticket);
                if reason == NotTold::Unknown {
                    self.register().await;
                }
            }
        }
    }
}
