//! The registry of a fleet of several servers, as this server has heard it: every server and guard that may answer anybody.
//!
//! Why a receipt can rest on it:
//!
//! - **Servers.** Before each of its proofs a server puts its own entry, waits until a quorum has it, hears it come back, and
//!   only then asks the log; the proof is dated from before the put. So whatever a server accepts, and whatever the guards
//!   accept that it gives leases, ends one bound after its last entry, and in doing so it has heard who its guards are.
//! - **Guards.** A guard belongs to the one server that its entry names. The entry stands before the log's head is read that
//!   the guard rests on, and a server gives no lease to a guard whose entry, as it has heard it, names another.
//! - **The barrier.** After an ending is in the log, this server puts its own entry again and waits until it has heard it. All
//!   entries have one order, so what it knows then is everybody who was let in before. Who comes later reads the log's head
//!   after the ending was in it, and never accepts what was ended.
//! - **Leaving.** An entry is deleted by whom it is about, when nothing is answered any more, or by anybody long after every
//!   bound has passed; and only if nobody has put it again meanwhile.
//!
//! Entries are durable, so a start knows the guards of the process before it, and nobody is a stranger once they have loaded.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};

use domain::{Position, TenantId};
use eventlog::jetstream::FleetEntry;
use wire::RunId;
use wire::fleet::{GuardEntry, GuardSays, ServerEntry, ServerSays};

use crate::fleet::DRIFT_MS;
use crate::fleet::member::{GuardId, Introduction, Member, MemberState, Told};
use crate::fleet::receipt::{By, Target, TargetState, Who};

/// What stands before a run in the name of a server's entry.
const SERVER: &str = "server.";
/// What stands before an id in the name of a guard's entry.
const GUARD: &str = "guard.";
/// Entries that one server keeps in mind: ten times what it takes as guards itself. Beyond it, it knows only some.
const MAX_ENTRIES: usize = 100_000;
/// How long after its bound an entry that nobody refreshes is deleted, in milliseconds: until then it is shown as gone.
const FORGOTTEN_MS: u64 = 60_000;
/// Deletions of one round: each is a write, and the next round is a second away.
const DELETIONS: usize = 64;

/// The name of a server's entry.
pub(crate) fn server_entry(run: RunId) -> String {
    format!("{SERVER}{run}")
}

/// The name of a guard's entry.
pub(crate) fn guard_entry(guard: GuardId) -> String {
    format!("{GUARD}{guard}")
}

/// Another server on the same log. Times are boot milliseconds of this one.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    pub(crate) name: Box<str>,
    pub(crate) version: Box<str>,
    pub(crate) max_staleness_ms: u64,
    pub(crate) applied: Position,
    pub(crate) held: u64,
    pub(crate) stale: bool,
    /// When its last proof was asked for.
    pub(crate) proven_at: Option<u64>,
    /// When it last said something, by entry or otherwise.
    pub(crate) last_heard: u64,
    revision: u64,
    /// When its last entry was heard: no proof of before is newer.
    seen_at: u64,
}

impl Peer {
    fn accepts_until(&self) -> u64 {
        self.seen_at.saturating_add(self.max_staleness_ms).saturating_add(DRIFT_MS)
    }

    /// How it does, where this server has applied `head`.
    pub(crate) fn state(&self, head: Position, boot_ms: u64) -> MemberState {
        if boot_ms > self.accepts_until() {
            MemberState::Gone
        } else if self.stale {
            MemberState::Stale
        } else if self.applied < head || Member::is_silent(self.last_heard, boot_ms) {
            MemberState::Lagging
        } else {
            MemberState::Current
        }
    }
}

/// A guard's entry.
struct Entry {
    owner: RunId,
    revision: u64,
    /// When it was heard, or that its owner's entry was deleted: what was given before then ends one bound later.
    since: u64,
    /// As its owner tells; this server's own guards are told by themselves.
    member: Member,
    /// Its owner says that it can accept nothing by what it has.
    gone: bool,
}

/// See the module.
pub(super) struct Registry {
    run: RunId,
    servers: BTreeMap<RunId, Peer>,
    guards: HashMap<GuardId, Entry>,
    /// Names of entries that this build cannot read: verifiers all the same.
    unreadable: HashSet<Box<str>>,
    /// There were more than [`MAX_ENTRIES`].
    overflown: bool,
    /// Every entry up to this revision has been heard.
    seen: u64,
    /// Which bucket the revisions are of.
    identity: Option<i128>,
    /// The names heard since a follower began anew; none once all have been.
    reloading: Option<HashSet<Box<str>>>,
    /// Somebody lost the bucket, so guards must register again: until then this server knows only some.
    partial_until: u64,
    /// When a barrier last held.
    pub(super) passed_at: Option<u64>,
    /// Own guards about whom the other servers are to be told.
    pub(super) untold: HashSet<GuardId>,
}

/// Whoever answers nobody any more, by what was heard.
#[derive(Debug, Default)]
pub(super) struct Departed(pub(super) Vec<Who>);

impl Registry {
    pub(super) fn new(run: RunId) -> Self {
        Self {
            run,
            servers: BTreeMap::new(),
            guards: HashMap::new(),
            unreadable: HashSet::new(),
            overflown: false,
            seen: 0,
            identity: None,
            reloading: None,
            partial_until: 0,
            passed_at: None,
            untold: HashSet::new(),
        }
    }

    pub(super) const fn seen(&self) -> u64 {
        self.seen
    }

    /// A follower begins: it hands out all entries again.
    pub(super) fn begin(&mut self, identity: i128, until: u64) {
        if self.identity.replace(identity).is_some_and(|before| before != identity) {
            // What is not in the new bucket has not left. Receipts that name it wait for its bound.
            (self.seen, self.partial_until) = (0, until);
            self.servers.clear();
            self.guards.clear();
        }
        self.unreadable.clear();
        self.overflown = false;
        self.reloading = Some(HashSet::new());
    }

    /// Takes in what a follower handed out.
    pub(super) fn take_in(&mut self, entries: Vec<FleetEntry>, loaded: bool, boot_ms: u64) -> Departed {
        let mut departed = Departed::default();
        for entry in entries {
            self.seen = self.seen.max(entry.revision);
            if let Some(names) = &mut self.reloading {
                names.insert(entry.name.as_str().into());
            }
            self.take_in_one(&entry, boot_ms, &mut departed);
        }
        if loaded && let Some(names) = self.reloading.take() {
            // Deleted while nobody listened.
            let servers = self.servers.keys().map(|run| server_entry(*run));
            let guards = self.guards.keys().map(|guard| guard_entry(*guard));
            let lost: Vec<String> =
                servers.chain(guards).filter(|name| !names.contains(name.as_str())).collect();
            for name in lost {
                self.remove(&name, boot_ms, &mut departed);
            }
        }
        departed
    }

    fn take_in_one(&mut self, entry: &FleetEntry, boot_ms: u64, departed: &mut Departed) {
        let FleetEntry { name, revision, payload } = entry;
        let Some(payload) = payload else { return self.remove(name, boot_ms, departed) };
        let full = self.servers.len() + self.guards.len() + self.unreadable.len() >= MAX_ENTRIES;
        let taken = match (name.strip_prefix(SERVER), name.strip_prefix(GUARD)) {
            (Some(run), _) => self.take_in_server(run, *revision, payload, (full, boot_ms)),
            (_, Some(guard)) => self.take_in_guard(guard, *revision, payload, (full, boot_ms)),
            _ => None,
        };
        match taken {
            Some(()) => drop(self.unreadable.remove(name.as_str())),
            None if full => self.overflown = true,
            None => drop(self.unreadable.insert(name.as_str().into())),
        }
    }

    fn take_in_server(
        &mut self,
        run: &str,
        revision: u64,
        payload: &[u8],
        (full, boot_ms): (bool, u64),
    ) -> Option<()> {
        let run: RunId = run.parse().ok()?;
        let entry: ServerEntry = serde_json::from_slice(payload).ok()?;
        let known = self.servers.remove(&run);
        if full && known.is_none() {
            return None;
        }
        let peer = Peer {
            name: entry.name.into(),
            version: entry.version.into(),
            max_staleness_ms: entry.max_staleness_ms,
            revision,
            seen_at: boot_ms,
            applied: known.as_ref().map_or(Position::NONE, |known| known.applied),
            held: known.as_ref().map_or(0, |known| known.held),
            stale: known.as_ref().is_none_or(|known| known.stale),
            proven_at: known.as_ref().and_then(|known| known.proven_at),
            last_heard: boot_ms,
        };
        self.servers.insert(run, peer);
        Some(())
    }

    fn take_in_guard(
        &mut self,
        guard: &str,
        revision: u64,
        payload: &[u8],
        (full, boot_ms): (bool, u64),
    ) -> Option<()> {
        let guard: GuardId = guard.parse().ok()?;
        let entry: GuardEntry = serde_json::from_slice(payload).ok()?;
        let owner = entry.owner.parse().ok()?;
        let introduction = Introduction {
            guard_id: guard,
            operator: entry.operator.parse().ok()?,
            tenant: entry.tenant.parse().ok()?,
            name: entry.name.into(),
            version: entry.version.into(),
            feed: entry.feed.into(),
            max_staleness_ms: entry.max_staleness_ms,
        };
        let member = match self.guards.remove(&guard) {
            Some(Entry { mut member, .. }) => {
                member.introduce_again(introduction, boot_ms);
                member
            }
            None if full => return None,
            None => Member::new(introduction, boot_ms),
        };
        self.guards.insert(guard, Entry { owner, revision, since: boot_ms, member, gone: false });
        Some(())
    }

    fn remove(&mut self, name: &str, boot_ms: u64, departed: &mut Departed) {
        self.unreadable.remove(name);
        if let Some(run) = name.strip_prefix(SERVER).and_then(|run| run.parse().ok()) {
            if self.servers.remove(&run).is_some() {
                departed.0.push(Who::Server(run));
            }
            // Its guards go on by what it gave them until then.
            for entry in self.guards.values_mut().filter(|entry| entry.owner == run) {
                entry.since = boot_ms;
            }
        } else if let Some(guard) = name.strip_prefix(GUARD).and_then(|guard| guard.parse().ok())
            && self.guards.remove(&guard).is_some()
        {
            departed.0.push(Who::Guard(guard));
        }
    }

    /// Takes in what a server says; what is new of whom, up to where it is enforced and by which way.
    pub(super) fn hear(&mut self, says: &ServerSays, boot_ms: u64) -> Vec<(Who, By, Position)> {
        let mut news = Vec::new();
        let Ok(run) = says.run.parse() else { return news };
        if run == self.run {
            return news;
        }
        let Some(peer) = self.servers.get_mut(&run) else { return news };
        let applied = Position::new(says.applied);
        if applied > peer.applied {
            peer.applied = applied;
            news.push((Who::Server(run), By::Report, applied));
        }
        (peer.held, peer.stale, peer.last_heard) = (says.held, says.stale, boot_ms);
        peer.proven_at = says.lag_ms.map(|ago| boot_ms.saturating_sub(ago));
        for said in &says.guards {
            let Ok(guard) = said.guard_id.parse() else { continue };
            let Some(entry) = self.guards.get_mut(&guard).filter(|entry| entry.owner == run) else {
                continue;
            };
            let reported = Position::new(said.applied);
            if reported > entry.member.applied {
                news.push((Who::Guard(guard), By::Report, reported));
            }
            entry.relay(said, boot_ms);
            if entry.gone {
                news.push((Who::Guard(guard), By::Bound, applied));
            }
        }
        news
    }

    /// Whether leases are given to this guard here, and nowhere else.
    pub(super) fn is_own(&self, guard: GuardId) -> bool {
        self.guards.get(&guard).is_some_and(|entry| self.owns(entry))
    }

    fn owns(&self, entry: &Entry) -> bool {
        entry.owner == self.run
    }

    /// Whether what has been heard is everybody there is.
    pub(super) fn is_whole(&self, boot_ms: u64) -> bool {
        self.unreadable.is_empty() && !self.overflown && boot_ms >= self.partial_until
    }

    /// All other servers.
    pub(super) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.servers.iter().filter(|(run, _)| **run != self.run).map(|(_, peer)| peer)
    }

    /// All guards that have an entry, with how long each may go on by what it has.
    pub(super) fn members<'a>(
        &'a self,
        own: &'a HashMap<GuardId, Member>,
    ) -> impl Iterator<Item = (GuardId, Member)> + 'a {
        self.guards.iter().map(|(guard, entry)| (*guard, self.member(*guard, entry, own)))
    }

    fn member(&self, guard: GuardId, entry: &Entry, own: &HashMap<GuardId, Member>) -> Member {
        let is_own = self.owns(entry);
        let mut member = match own.get(&guard).filter(|_| is_own) {
            Some(own) => own.clone(),
            None => entry.member.clone(),
        };
        // Another server may have given it something right before this entry.
        member.granted(entry.since);
        if let Some(owner) = self.servers.get(&entry.owner).filter(|_| !is_own) {
            member.granted(owner.seen_at);
        }
        member.over |= entry.gone && !is_own;
        member
    }

    /// What there is to say of one's own guards: of all, or of those with news.
    pub(super) fn take_news(
        &mut self,
        all: bool,
        own: &HashMap<GuardId, Member>,
        boot_ms: u64,
    ) -> Vec<GuardSays> {
        let untold = std::mem::take(&mut self.untold);
        let told = self.guards.iter().filter(|(guard, entry)| {
            self.owns(entry) && own.contains_key(*guard) && (all || untold.contains(*guard))
        });
        let told = told.map(|(guard, entry)| {
            let member = self.member(*guard, entry, own);
            let ago = |at: u64| boot_ms.saturating_sub(at);
            GuardSays {
                guard_id: guard.to_string(),
                applied: member.applied.get(),
                held: member.held,
                stale: member.stale,
                gone: member.is_over(boot_ms),
                heard_ms_ago: ago(member.last_heard),
                lag_ms: member.whole_at.map(ago),
            }
        });
        told.collect()
    }

    /// The verifiers of a receipt, but for this server: to be called behind its barrier.
    pub(super) fn targets(
        &self,
        (tenant, position): (&TenantId, Position),
        begun: u64,
        own: &HashMap<GuardId, Member>,
        boot_ms: u64,
    ) -> Vec<Target> {
        let after_ms = boot_ms.saturating_sub(begun);
        let servers = self.servers.iter().filter(|(run, _)| **run != self.run).map(|(run, peer)| {
            let until = peer.accepts_until().min(begun.saturating_add(peer.max_staleness_ms + DRIFT_MS));
            let state = if peer.applied >= position {
                TargetState::Enforced { by: By::Report, after_ms }
            } else if boot_ms > until {
                TargetState::Enforced { by: By::Bound, after_ms: until.saturating_sub(begun) }
            } else {
                TargetState::Outstanding { until }
            };
            Target { who: Who::Server(*run), name: peer.name.clone(), state }
        });
        let guards = self.guards.iter().filter(|(_, entry)| entry.member.introduction.tenant == *tenant);
        let guards = guards.filter_map(|(guard, entry)| {
            let mut member = self.member(*guard, entry, own);
            // What its owner says of it holds for what its owner has applied.
            let owner = self.servers.get(&entry.owner).map_or(Position::NONE, |owner| owner.applied);
            member.over &= owner >= position;
            (!member.left).then(|| member.target(position, boot_ms, begun)).flatten()
        });
        servers.chain(guards).collect()
    }

    /// Entries that are to be deleted, with the revisions that they must still have.
    pub(super) fn to_delete(&self, own: &HashMap<GuardId, Member>, boot_ms: u64) -> Vec<(String, u64)> {
        let passed = |until: u64| boot_ms > until.saturating_add(FORGOTTEN_MS);
        let servers =
            self.servers.iter().filter(|(run, peer)| **run != self.run && passed(peer.accepts_until()));
        let servers = servers.map(|(run, peer)| (server_entry(*run), peer.revision));
        let guards = self.guards.iter().filter(|(guard, entry)| {
            let ends = entry.since.saturating_add(entry.member.introduction.max_staleness_ms);
            match own.get(*guard).filter(|_| entry.owner == self.run) {
                Some(member) => member.left,
                None if entry.owner == self.run => passed(ends.saturating_add(DRIFT_MS)),
                None => !self.servers.contains_key(&entry.owner) && passed(ends.saturating_add(DRIFT_MS)),
            }
        });
        let guards = guards.map(|(guard, entry)| (guard_entry(*guard), entry.revision));
        servers.chain(guards).take(DELETIONS).collect()
    }
}

impl Entry {
    fn relay(&mut self, said: &GuardSays, boot_ms: u64) {
        let heard = boot_ms.saturating_sub(said.heard_ms_ago);
        let told = Told { held: said.held, stale: said.stale, whole: false };
        self.member.heard(Position::new(said.applied), Some(told), heard);
        self.member.whole_at = said.lag_ms.map(|ago| boot_ms.saturating_sub(ago));
        self.gone = said.gone;
    }
}
