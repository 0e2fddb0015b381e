//! Loading all keys of a tenant, fenced like a fill: what notices touch meanwhile is not taken from what is being loaded.

use domain::{KeyId, Position, Selector, Standing, Timestamp};
use wire::guard::{FilledKey, SnapshotBegin};

use crate::core::entry::Entry;
use crate::core::{Core, Outcome, State};

/// Recalls during one load; with more, it begins anew.
const MAX_RECALLS: usize = 1_000;

/// A load under way: begun, told where it stands, then line by line.
#[derive(Debug)]
pub struct LoadTicket {
    number: u64,
    at_least: Position,
    as_of: Position,
}

impl LoadTicket {
    /// What the snapshot must rest on.
    #[must_use]
    pub const fn at_least(&self) -> Position {
        self.at_least
    }
}

/// Whether a load is still worth going on with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// It is.
    GoesOn,
    /// Everything was dropped meanwhile, or the snapshot is not what was asked for: from the beginning.
    Over,
}

#[derive(Default)]
pub(crate) struct Loading {
    number: u64,
    under_way: Option<Vec<(Position, Selector, Timestamp)>>,
}

impl Loading {
    /// What was loaded so far is gone.
    pub(crate) fn forget(&mut self) {
        self.under_way = None;
    }

    pub(crate) fn recall(&mut self, position: Position, selector: &Selector, at: Timestamp) {
        if let Some(recalls) = &mut self.under_way {
            recalls.push((position, selector.clone(), at));
        }
        if self.under_way.as_ref().is_some_and(|recalls| recalls.len() > MAX_RECALLS) {
            self.forget();
        }
    }

    fn recalls(&self, ticket: &LoadTicket) -> Option<&[(Position, Selector, Timestamp)]> {
        self.under_way.as_deref().filter(|_| ticket.number == self.number)
    }
}

impl Core {
    /// Begins to load all keys; none if this is no replica, or no feed has begun.
    #[must_use]
    pub fn begin_load(&self) -> Option<LoadTicket> {
        let mut state = self.state.lock();
        if self.held.replica().is_none() || !state.is_following || state.is_closed {
            return None;
        }
        state.loading.number += 1;
        state.loading.under_way = Some(Vec::new());
        let at_least = state.at_least.max(self.said.heard());
        Some(LoadTicket { number: state.loading.number, at_least, as_of: at_least })
    }

    /// Takes the first line.
    pub fn on_load_begin(&self, ticket: &mut LoadTicket, begin: &SnapshotBegin, boot_ms: u64) -> Load {
        let mut state = self.state.lock();
        if state.loading.recalls(ticket).is_none() {
            return Load::Over;
        }
        if self.is_other_log(&mut state, &begin.log_id) == Outcome::Reset
            || Position::new(begin.as_of) < ticket.at_least
        {
            return Load::Over;
        }
        ticket.as_of = Position::new(begin.as_of);
        self.take_tenant(&mut state, begin.tenant, ticket.as_of, boot_ms);
        Load::GoesOn
    }

    /// Takes one key. One that cannot be read is asked for by itself when it is presented.
    pub fn on_loaded(&self, ticket: &LoadTicket, filled: &FilledKey, boot_ms: u64) -> Load {
        let mut state = self.state.lock();
        let State { loading, shared, .. } = &mut *state;
        let Some((recalls, replica)) = loading.recalls(ticket).zip(self.held.replica()) else {
            return Load::Over;
        };
        match Entry::read(filled, ticket.as_of, boot_ms, shared) {
            Ok(entry) => {
                let hit = recalls
                    .iter()
                    .find(|(position, selector, _)| *position > entry.as_of && entry.is_hit(selector));
                match hit {
                    Some((_, _, at)) => replica.load(entry.standing_as(Standing::Recalled, *at)),
                    None => replica.load(entry),
                }
            }
            Err(_) => {
                if let Ok(key_id) = filled.key_id.parse() {
                    replica.change(key_id, ticket.as_of.next(), |_| None);
                }
            }
        }
        Load::GoesOn
    }

    /// Takes the end: from now on what is not there is no key. Says so if not all of them found room.
    pub fn on_load_end(&self, ticket: &LoadTicket) -> Load {
        let mut state = self.state.lock();
        let is_current = state.loading.recalls(ticket).is_some();
        state.loading.forget();
        match self.held.replica() {
            Some(replica) if is_current && replica.declare_whole() => Load::GoesOn,
            _ => Load::Over,
        }
    }

    /// Whether all keys of the tenant are held; never of a cache.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.held.replica().is_some_and(super::replica::Replica::is_whole)
    }

    pub(crate) fn is_replica(&self) -> bool {
        self.held.replica().is_some()
    }

    /// Keys that a replica has to ask for, since they changed.
    #[must_use]
    pub fn changed_keys(&self, at_most: usize) -> Vec<KeyId> {
        self.held.replica().map(|replica| replica.changed(at_most)).unwrap_or_default()
    }

    /// Everything held is gone; what is being loaded, too.
    pub(crate) fn clear_held(&self, state: &mut State) {
        state.loading.forget();
        self.held.clear();
    }
}
