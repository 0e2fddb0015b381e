//! What a fleet of several servers adds: the registry that is heard, what servers say, and the barrier behind each receipt.

use domain::Position;
use eventlog::jetstream::FleetEntry;
use tokio::sync::watch;
use wire::fleet::{GuardSays, ServerSays};

use crate::fleet::receipt::{By, TargetState};
use crate::fleet::registry::Peer;
use crate::fleet::{Ending, Fleet};

impl Fleet {
    /// Up to which revision the registry has been heard.
    pub(crate) fn registry_seen(&self) -> watch::Receiver<u64> {
        self.seen.subscribe()
    }

    /// The registry is followed from its start.
    pub(crate) fn follow_begins(&self, identity: i128, boot_ms: u64) {
        let mut inner = self.inner.lock();
        let Some(registry) = &mut inner.registry else { return };
        registry.begin(identity, boot_ms.saturating_add(self.bound_ms));
        self.seen.send_replace(registry.seen());
    }

    /// Takes in entries of the registry.
    pub(crate) fn take_in(&self, entries: Vec<FleetEntry>, loaded: bool, boot_ms: u64) {
        let mut inner = self.inner.lock();
        let Some(registry) = &mut inner.registry else { return };
        let departed = registry.take_in(entries, loaded, boot_ms);
        let seen = registry.seen();
        let any = !departed.0.is_empty();
        for who in departed.0 {
            inner.enforce(who, By::Left, boot_ms, |_| true);
        }
        drop(inner);
        self.seen.send_replace(seen);
        if any {
            self.raise();
        }
    }

    /// Takes in what another server says.
    pub(crate) fn hear_server(&self, says: &ServerSays, boot_ms: u64) {
        let mut inner = self.inner.lock();
        let Some(registry) = &mut inner.registry else { return };
        let news = registry.hear(says, boot_ms);
        if inner.open.is_empty() || news.is_empty() {
            return;
        }
        for (who, by, applied) in news {
            inner.enforce(who, by, boot_ms, |position| position <= applied);
        }
        drop(inner);
        self.raise();
    }

    /// Raised when there is something to say of an own guard.
    pub(crate) async fn has_news(&self) {
        self.news.notified().await;
    }

    /// What there is to say of one's own guards: of all, or of those with news.
    pub(crate) fn take_news(&self, all: bool, boot_ms: u64) -> Vec<GuardSays> {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        inner.registry.as_mut().map(|r| r.take_news(all, &inner.guards, boot_ms)).unwrap_or_default()
    }

    /// Raised when an entry is to be deleted at once.
    pub(crate) async fn has_chores(&self) {
        self.chores.notified().await;
    }

    /// Entries that are to be deleted, with the revisions that they must still have.
    pub(crate) fn to_delete(&self, boot_ms: u64) -> Vec<(String, u64)> {
        let inner = self.inner.lock();
        inner.registry.as_ref().map(|r| r.to_delete(&inner.guards, boot_ms)).unwrap_or_default()
    }

    /// The receipts that wait for a barrier. Of these [`barrier_held`](Self::barrier_held) may be said if the barrier begins now.
    pub(crate) fn awaiting_barrier(&self) -> Vec<Position> {
        let inner = self.inner.lock();
        let open = inner.open.iter().filter(|(_, receipt)| receipt.awaits_registry());
        open.map(|(position, _)| *position).collect()
    }

    /// Everybody who was let in before these receipts were opened has been heard of.
    pub(crate) fn barrier_held(&self, receipts: &[Position], boot_ms: u64) {
        let mut inner = self.inner.lock();
        let inner = &mut *inner;
        let Some(registry) = &mut inner.registry else { return };
        if !registry.is_whole(boot_ms) {
            return;
        }
        registry.passed_at = Some(boot_ms);
        for position in receipts {
            let Some(receipt) = inner.open.get_mut(position) else { continue };
            let Ending { tenant, position, .. } = &receipt.ending;
            let mut found = registry.targets((tenant, *position), receipt.begun, &inner.guards, boot_ms);
            found.sort_by(|a, b| a.order().cmp(&b.order()));
            // What was said stays said; all else is known better now.
            for target in &mut found {
                let before = receipt.targets.iter().find(|before| before.who == target.who);
                if let Some(before) = before
                    && let TargetState::Enforced { by: By::Report | By::Left, .. } = before.state
                {
                    target.state = before.state;
                }
            }
            let kept = receipt.targets.drain(..).filter(|before| found.iter().all(|t| t.who != before.who));
            let mut targets: Vec<_> = kept.collect();
            targets.extend(found);
            (receipt.targets, receipt.strangers_until) = (targets, None);
        }
        inner.settle();
        self.raise();
    }

    /// All other servers.
    pub(crate) fn peers(&self) -> Vec<Peer> {
        let inner = self.inner.lock();
        inner.registry.as_ref().map(|registry| registry.peers().cloned().collect()).unwrap_or_default()
    }
}
