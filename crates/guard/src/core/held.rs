//! The keys that are held, and the ids that are known to be no key.
//!
//! Readers look things up at any time; only the core's writers change something, one after the other, under the core's lock.

use std::sync::Arc;

use domain::{KeyId, Position};
use quick_cache::sync::Cache;

use crate::core::entry::Entry;
use crate::core::replica::Replica;

/// How much is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Capacity {
    /// The keys that were presented, up to a number. What was not used again since it came goes first (S3-FIFO): a flood of
    /// keys that are presented once does not push out the ones in use.
    Cache {
        /// Keys, about 500 bytes each.
        keys: usize,
        /// Ids that are no key, about 50 bytes each; apart, so that guesses never push out a key.
        absent: usize,
    },
    /// All keys of the tenant, up to a number. What is not there is unknown without asking.
    Replica {
        /// Keys, about 500 bytes each. With more, the replica does not become whole and asks like a cache.
        keys: usize,
    },
}

/// 100,000 keys and 10,000 ids that are none: at most about 50 MB.
impl Default for Capacity {
    fn default() -> Self {
        Self::Cache { keys: 100_000, absent: 10_000 }
    }
}

/// What is known of an id.
pub(crate) enum Known {
    Held(Arc<Entry>),
    Absent,
    Nothing,
}

pub(crate) enum Held {
    Cache { keys: Cache<KeyId, Arc<Entry>>, absent: Cache<KeyId, ()> },
    Replica(Replica),
}

impl Held {
    pub(crate) fn new(capacity: Capacity) -> Self {
        match capacity {
            Capacity::Cache { keys, absent } => {
                Self::Cache { keys: Cache::new(keys.max(1)), absent: Cache::new(absent.max(1)) }
            }
            Capacity::Replica { keys } => Self::Replica(Replica::new(keys)),
        }
    }

    pub(crate) fn look_up(&self, key_id: KeyId) -> Known {
        match self {
            Self::Cache { keys, absent } => match keys.get(&key_id) {
                Some(entry) => Known::Held(entry),
                None if absent.get(&key_id).is_some() => Known::Absent,
                None => Known::Nothing,
            },
            Self::Replica(replica) => replica.look_up(key_id),
        }
    }

    /// Unless what is held is newer, or an end: of two answers the one that was asked for first may come last, and a row may
    /// have been newer than what it was told with.
    pub(crate) fn hold(&self, entry: Entry) {
        let key_id = entry.key_id;
        if self.is_newer(key_id, entry.as_of) {
            return;
        }
        match self {
            Self::Cache { keys, absent } => {
                absent.remove(&key_id);
                keys.insert(key_id, Arc::new(entry));
            }
            Self::Replica(replica) => replica.hold(entry),
        }
    }

    /// As [`Self::hold`].
    pub(crate) fn hold_absent(&self, key_id: KeyId, as_of: Position) {
        if self.is_newer(key_id, as_of) {
            return;
        }
        match self {
            Self::Cache { keys, absent } => {
                keys.remove(&key_id);
                absent.insert(key_id, ());
            }
            Self::Replica(replica) => replica.remove(key_id),
        }
    }

    fn is_newer(&self, key_id: KeyId, as_of: Position) -> bool {
        let held = match self {
            Self::Cache { keys, .. } => keys.peek(&key_id),
            Self::Replica(replica) => replica.peek(key_id),
        };
        held.is_some_and(|held| held.as_of > as_of || held.has_ended())
    }

    /// Puts what `change` makes of an entry that does not reflect `position` yet, or drops it.
    pub(crate) fn change(
        &self,
        key_id: KeyId,
        position: Position,
        change: impl FnOnce(&Entry) -> Option<Entry>,
    ) {
        match self {
            Self::Cache { keys, absent } => {
                absent.remove(&key_id);
                let Some(entry) = keys.peek(&key_id).filter(|entry| entry.as_of < position) else { return };
                match change(&entry) {
                    // Evicted meanwhile: then there is nothing to change.
                    Some(changed) => drop(keys.replace(key_id, Arc::new(changed), true)),
                    None => drop(keys.remove(&key_id)),
                }
            }
            Self::Replica(replica) => replica.change(key_id, position, change),
        }
    }

    /// [`Self::change`] of every entry for which `change` makes another.
    pub(crate) fn change_all(&self, position: Position, change: impl Fn(&Entry) -> Option<Entry>) {
        let changed = |entry: &Arc<Entry>| {
            if entry.as_of < position { change(entry).map(Arc::new) } else { None }
        };
        match self {
            Self::Cache { keys, .. } => {
                for (key_id, entry) in keys.iter() {
                    if let Some(changed) = changed(&entry) {
                        drop(keys.replace(key_id, changed, true));
                    }
                }
            }
            Self::Replica(replica) => replica.change_all(changed),
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        match self {
            Self::Cache { keys, absent } => {
                keys.clear();
                absent.clear();
            }
            Self::Replica(replica) => replica.clear(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Cache { keys, .. } => keys.len(),
            Self::Replica(replica) => replica.len(),
        }
    }

    pub(crate) const fn replica(&self) -> Option<&Replica> {
        match self {
            Self::Cache { .. } => None,
            Self::Replica(replica) => Some(replica),
        }
    }
}
