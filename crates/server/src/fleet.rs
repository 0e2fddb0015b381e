//! The fleet: which verifiers answer for a tenant's keys, how far each has come, and who has enforced what.
//!
//! A guard is registered before it answers anybody. It can accept a key only on a lease, and it gets leases only here; so
//! [`Fleet`] knows until when each guard could go on with what it had, whatever becomes of it. Everything here is decided
//! from two clocks that are passed in, under one lock that is held for microseconds.

mod link;
mod member;
mod receipt;
mod record;
mod registry;
mod shared;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use domain::{KeyId, Position, TenantId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use wire::RunId;

pub(crate) use crate::fleet::link::{FleetLink, NotRegistered};
pub(crate) use crate::fleet::member::{GuardId, Introduction, Member, MemberState, Told};
pub(crate) use crate::fleet::receipt::{By, Receipt, TargetState};
use crate::fleet::receipt::{NOT_READ, Target, Who};
pub(crate) use crate::fleet::record::ReceiptRecord;
use crate::fleet::registry::Registry;
pub(crate) use crate::fleet::registry::{Peer, guard_entry, server_entry};

/// How far clocks may drift apart within one bound.
pub(crate) const DRIFT_MS: u64 = 500;
/// Guards that one server takes: each costs it a lease a second, and a place in every receipt.
pub(crate) const MAX_GUARDS: usize = 10_000;
/// How far apart reports come on average when all guards have heard the same notice: a report costs server and guard about
/// as long together.
const REPORT_EVERY_US: u64 = 200;
/// Reports are spread over so long at most.
const REPORT_WITHIN_MAX_MS: u64 = 1_000;
/// How long a guard that is gone is still shown.
const GONE_SHOWN: Duration = Duration::from_secs(600);
/// Receipts that wait for somebody at once: each lasts a bound at most, so this many are a storm of revocations, and what
/// comes beyond it is counted by its bound alone.
const MAX_OPEN: usize = 4_096;
/// Closed receipts at hand before they are asked from the record, and those that wait to be written there.
const MAX_CLOSED: usize = 4_096;

/// Whether guards that this server cannot name may go on by leases that others gave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strangers {
    /// Nobody gave any: the log was empty.
    None,
    /// Those that an earlier process of this server gave, until they run out.
    OfBefore,
    /// Other servers give some, all the time; who they are stands in the registry, where this server's run is this one.
    Registered(RunId),
}

/// Why a guard is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotHeard {
    /// It did not register here, or so long ago that it was taken for gone.
    Unknown,
    /// Another operator's key registered it.
    Elsewhere,
    /// There are [`MAX_GUARDS`].
    Full,
}

/// All verifiers that one server knows, and its open receipts.
pub(crate) struct Fleet {
    inner: Mutex<Inner>,
    /// Raised with everything that may complete a receipt.
    changed: watch::Sender<u64>,
    /// The most that a guard goes on after its last proof, drift included.
    bound_ms: u64,
    /// Before this boot time guards may go on by leases that an earlier process gave: this server cannot name them.
    known_from: u64,
    /// What this server is called in receipts.
    name: Box<str>,
    /// Up to which revision the registry has been heard.
    seen: watch::Sender<u64>,
    /// There is something to tell the other servers.
    news: Notify,
    /// There is something to delete from the registry.
    chores: Notify,
}

#[derive(Default)]
struct Inner {
    /// Those that registered here.
    guards: HashMap<GuardId, Member>,
    /// Where several servers are on one log.
    registry: Option<Registry>,
    /// By the position of what is to be enforced.
    open: BTreeMap<Position, Receipt>,
    closed: BTreeMap<Position, Receipt>,
    /// Closed ones that the record does not have yet.
    unkept: BTreeMap<Position, Receipt>,
}

/// What a receipt is about.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    pub(crate) tenant: TenantId,
    pub(crate) position: Position,
    pub(crate) at: Timestamp,
    /// When this server refused, where it is the one that ended it; none in a late receipt.
    pub(crate) effective_at: Option<Timestamp>,
}

impl Fleet {
    /// A fleet without guards.
    pub(crate) fn new(name: &str, max_staleness: Duration, boot_ms: u64, strangers: Strangers) -> Self {
        let bound_ms = u64::try_from(max_staleness.as_millis()).unwrap_or(u64::MAX).saturating_add(DRIFT_MS);
        let registry = match strangers {
            Strangers::Registered(run) => Some(Registry::new(run)),
            Strangers::None | Strangers::OfBefore => None,
        };
        Self {
            inner: Mutex::new(Inner { registry, ..Inner::default() }),
            changed: watch::Sender::new(0),
            bound_ms,
            known_from: match strangers {
                Strangers::None => 0,
                Strangers::OfBefore => boot_ms.saturating_add(bound_ms),
                Strangers::Registered(_) => NOT_READ,
            },
            name: name.into(),
            seen: watch::Sender::new(0),
            news: Notify::new(),
            chores: Notify::new(),
        }
    }

    /// Takes a guard in; again under the same id keeps what is known of it. To be called before the head is read that its
    /// first fill rests on.
    pub(crate) fn register(&self, introduction: Introduction, boot_ms: u64) -> Result<(), NotHeard> {
        let mut inner = self.inner.lock();
        inner.forget(boot_ms);
        let full = inner.guards.len() >= MAX_GUARDS;
        match inner.guards.get_mut(&introduction.guard_id) {
            Some(known) if known.introduction.operator != introduction.operator => Err(NotHeard::Elsewhere),
            Some(known) => {
                known.introduce_again(introduction, boot_ms);
                Ok(())
            }
            None if full => Err(NotHeard::Full),
            None => {
                inner.guards.insert(introduction.guard_id, Member::new(introduction, boot_ms));
                Ok(())
            }
        }
    }

    /// Whose guard it is, and what it said of itself.
    pub(crate) fn introduced(&self, guard: GuardId, operator: KeyId) -> Result<Introduction, NotHeard> {
        let inner = self.inner.lock();
        if inner.registry.as_ref().is_some_and(|registry| !registry.is_own(guard)) {
            return Err(NotHeard::Unknown);
        }
        let member = inner.guards.get(&guard).filter(|member| !member.left).ok_or(NotHeard::Unknown)?;
        if member.introduction.operator == operator {
            Ok(member.introduction.clone())
        } else {
            Err(NotHeard::Elsewhere)
        }
    }

    /// Notes that a guard may go on for a bound from now, before it is told so. `boot_ms` is read after the lease's facts. It
    /// must belong to this server still: the proof may be newer than the last look at that.
    pub(crate) fn grant(&self, guard: GuardId, boot_ms: u64) -> Result<(), NotHeard> {
        let mut inner = self.inner.lock();
        if inner.registry.as_ref().is_some_and(|registry| !registry.is_own(guard)) {
            return Err(NotHeard::Unknown);
        }
        inner.guards.get_mut(&guard).ok_or(NotHeard::Unknown)?.granted(boot_ms);
        Ok(())
    }

    /// Over how long its guards' reports are to be spread. One guard reports at once.
    pub(crate) fn report_within_ms(&self) -> u64 {
        let others = self.inner.lock().guards.len().saturating_sub(1) as u64;
        (others * REPORT_EVERY_US / 1_000).min(REPORT_WITHIN_MAX_MS)
    }

    /// A guard says how far it has come, and what it holds if it tells.
    pub(crate) fn heard(&self, guard: GuardId, applied: Position, told: Option<Told>, boot_ms: u64) {
        let mut inner = self.inner.lock();
        let Some(member) = inner.guards.get_mut(&guard) else { return };
        member.heard(applied, told, boot_ms);
        inner.enforce(Who::Guard(guard), By::Report, boot_ms, |position| position <= applied);
        self.tell(&mut inner, guard);
        drop(inner);
        self.raise();
    }

    /// Has the other servers told of a guard.
    fn tell(&self, inner: &mut Inner, guard: GuardId) {
        if let Some(registry) = &mut inner.registry {
            registry.untold.insert(guard);
            self.news.notify_one();
        }
    }

    /// A guard answers nobody any more.
    pub(crate) fn leave(&self, guard: GuardId, boot_ms: u64) {
        let mut inner = self.inner.lock();
        if let Some(member) = inner.guards.get_mut(&guard) {
            member.left = true;
            member.last_heard = boot_ms;
        }
        inner.enforce(Who::Guard(guard), By::Left, boot_ms, |_| true);
        drop(inner);
        self.raise();
        self.chores.notify_one();
    }

    /// Opens the receipt of an ending that is effective here. To be called once the index has applied its position: leases
    /// given later ask for its notice, and fills given later have it. `late` says that the index did so long ago.
    pub(crate) fn open(&self, ending: Ending, late: bool, boot_ms: u64) -> Receipt {
        let mut inner = self.inner.lock();
        if let Some(receipt) = inner.open.get(&ending.position).or_else(|| inner.closed.get(&ending.position))
        {
            return receipt.clone();
        }
        let guards = inner.guards.values();
        let mut targets: Vec<Target> = guards
            .filter(|member| member.introduction.tenant == ending.tenant && !member.left)
            .filter_map(|member| member.target(ending.position, boot_ms, boot_ms))
            .collect();
        targets.sort_by(|a, b| a.order().cmp(&b.order()));
        targets.insert(0, Target::this_server(&self.name));
        let strangers_until = (boot_ms < self.known_from).then_some(self.known_from);
        let mut receipt = Receipt { ending, late, begun: boot_ms, strangers_until, targets };
        receipt.look(boot_ms);
        inner.keep(receipt.clone());
        receipt
    }

    /// A receipt as it is now; none if it is too old to be at hand.
    pub(crate) fn receipt(&self, position: Position, boot_ms: u64) -> Option<Receipt> {
        let mut inner = self.inner.lock();
        if let Some(receipt) = inner.open.get_mut(&position) {
            receipt.look(boot_ms);
            let receipt = receipt.clone();
            if receipt.is_complete() {
                inner.open.remove(&position);
                inner.close(receipt.clone());
            }
            return Some(receipt);
        }
        inner.closed.get(&position).cloned()
    }

    /// The complete receipts that the record should have; they are taken for written.
    pub(crate) fn take_unkept(&self) -> Vec<Receipt> {
        std::mem::take(&mut self.inner.lock().unkept).into_values().collect()
    }

    /// Closes what only time completes, and forgets who has long been gone. To be called each second.
    pub(crate) fn tick(&self, boot_ms: u64) {
        let mut inner = self.inner.lock();
        for receipt in inner.open.values_mut() {
            receipt.look(boot_ms);
        }
        inner.settle();
        inner.forget(boot_ms);
    }

    /// The guards that registered here.
    pub(crate) fn own_members(&self) -> Vec<Member> {
        self.inner.lock().guards.values().cloned().collect()
    }

    /// All guards of a tenant, or all, of whichever server.
    pub(crate) fn members(&self, tenant: Option<&TenantId>) -> Vec<Member> {
        let inner = self.inner.lock();
        let mut known: HashMap<GuardId, Member> = inner.guards.clone();
        if let Some(registry) = &inner.registry {
            known.extend(registry.members(&inner.guards));
        }
        drop(inner);
        let wanted =
            known.into_values().filter(|member| tenant.is_none_or(|t| member.introduction.tenant == *t));
        let mut members: Vec<Member> = wanted.collect();
        members.sort_by(|a, b| a.order().cmp(&b.order()));
        members
    }

    /// What this server is called.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Whether guards that this server cannot name may still go on.
    pub(crate) fn has_strangers(&self, boot_ms: u64) -> bool {
        match &self.inner.lock().registry {
            Some(registry) => registry.passed_at.is_none_or(|at| boot_ms > at.saturating_add(self.bound_ms)),
            None => boot_ms < self.known_from,
        }
    }

    /// Raised with every change; to be subscribed before a receipt is looked at.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    fn raise(&self) {
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
    }
}

impl Inner {
    /// Notes that a verifier has enforced what `covers`.
    fn enforce(&mut self, who: Who, by: By, boot_ms: u64, covers: impl Fn(Position) -> bool) {
        for (position, receipt) in &mut self.open {
            if covers(*position) {
                receipt.enforce(who, by, boot_ms);
            }
        }
        self.settle();
    }

    /// Moves complete receipts out of the way of reports.
    fn settle(&mut self) {
        let complete: Vec<Position> =
            self.open.iter().filter(|(_, receipt)| receipt.is_complete()).map(|(at, _)| *at).collect();
        for position in complete {
            if let Some(receipt) = self.open.remove(&position) {
                self.close(receipt);
            }
        }
    }

    fn keep(&mut self, receipt: Receipt) {
        if receipt.is_complete() {
            self.close(receipt);
        } else if self.open.len() < MAX_OPEN {
            self.open.insert(receipt.ending.position, receipt);
        }
    }

    fn close(&mut self, receipt: Receipt) {
        let position = receipt.ending.position;
        // A late one can be opened again at any time, and may be older than one that the record has.
        if !receipt.late {
            self.unkept.insert(position, receipt.clone());
        }
        self.closed.insert(position, receipt);
        for receipts in [&mut self.closed, &mut self.unkept] {
            while receipts.len() > MAX_CLOSED {
                receipts.pop_first();
            }
        }
    }

    fn forget(&mut self, boot_ms: u64) {
        let shown = u64::try_from(GONE_SHOWN.as_millis()).unwrap_or(u64::MAX);
        self.guards.retain(|_, member| {
            !member.is_over(boot_ms) || boot_ms < member.last_heard.saturating_add(shown)
        });
    }
}
