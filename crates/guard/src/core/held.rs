//! The keys that are held, and the ids that are known to be no key.
//!
//! Readers look things up at any time; only the core's writers change something, one after the other, under the core's lock.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domain::{KeyId, Position};
use parking_lot::RwLock;
use quick_cache::DefaultHashBuilder;
use quick_cache::sync::Cache;

use crate::core::entry::Entry;

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

    pub(crate) fn hold(&self, entry: Entry) {
        let key_id = entry.key_id;
        match self {
            Self::Cache { keys, absent } => {
                absent.remove(&key_id);
                keys.insert(key_id, Arc::new(entry));
            }
            Self::Replica(replica) => replica.put(key_id, Slot::Held(Arc::new(entry))),
        }
    }

    pub(crate) fn hold_absent(&self, key_id: KeyId) {
        match self {
            Self::Cache { keys, absent } => {
                keys.remove(&key_id);
                absent.insert(key_id, ());
            }
            Self::Replica(replica) => replica.remove(key_id),
        }
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
            Self::Replica(replica) => replica.len.load(Ordering::Relaxed),
        }
    }

    pub(crate) const fn replica(&self) -> Option<&Replica> {
        match self {
            Self::Cache { .. } => None,
            Self::Replica(replica) => Some(replica),
        }
    }
}

/// One key of a replica.
enum Slot {
    Held(Arc<Entry>),
    /// A notice changed it: it is asked for again before it is judged.
    Changed,
}

const SHARDS: usize = 64;

/// All keys of a tenant.
pub(crate) struct Replica {
    shards: Box<[RwLock<HashMap<KeyId, Slot, DefaultHashBuilder>>]>,
    hasher: DefaultHashBuilder,
    len: AtomicUsize,
    limit: usize,
    /// Everything was loaded: what is not there is no key.
    whole: AtomicBool,
}

impl Replica {
    fn new(limit: usize) -> Self {
        let hasher = DefaultHashBuilder::default();
        let shards = (0..SHARDS).map(|_| RwLock::new(HashMap::with_hasher(hasher.clone()))).collect();
        Self { shards, hasher, len: AtomicUsize::new(0), limit, whole: AtomicBool::new(false) }
    }

    fn shard(&self, key_id: KeyId) -> &RwLock<HashMap<KeyId, Slot, DefaultHashBuilder>> {
        use std::hash::BuildHasher;
        // The high bits: the maps go by the low ones.
        &self.shards[(self.hasher.hash_one(key_id) >> 48) as usize % SHARDS]
    }

    fn look_up(&self, key_id: KeyId) -> Known {
        match self.shard(key_id).read().get(&key_id) {
            Some(Slot::Held(entry)) => Known::Held(Arc::clone(entry)),
            Some(Slot::Changed) => Known::Nothing,
            None if self.whole.load(Ordering::Acquire) => Known::Absent,
            None => Known::Nothing,
        }
    }

    fn put(&self, key_id: KeyId, slot: Slot) {
        if self.shard(key_id).write().insert(key_id, slot).is_none()
            && self.len.fetch_add(1, Ordering::Relaxed) >= self.limit
        {
            // One key beyond the limit is dropped, and with it the claim to hold all.
            self.whole.store(false, Ordering::Release);
            self.remove(key_id);
        }
    }

    fn remove(&self, key_id: KeyId) {
        if self.shard(key_id).write().remove(&key_id).is_some() {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// A key that is not there may have come into being: it is asked for like one that changed.
    fn change(&self, key_id: KeyId, position: Position, change: impl FnOnce(&Entry) -> Option<Entry>) {
        let slot = match self.shard(key_id).read().get(&key_id) {
            Some(Slot::Held(entry)) if entry.as_of >= position => return,
            Some(Slot::Held(entry)) => change(entry).map_or(Slot::Changed, |entry| Slot::Held(Arc::new(entry))),
            Some(Slot::Changed) | None => Slot::Changed,
        };
        self.put(key_id, slot);
    }

    fn change_all(&self, changed: impl Fn(&Arc<Entry>) -> Option<Arc<Entry>>) {
        for shard in &self.shards {
            for slot in shard.write().values_mut() {
                if let Slot::Held(entry) = slot
                    && let Some(other) = changed(entry)
                {
                    *entry = other;
                }
            }
        }
    }

    fn clear(&self) {
        self.whole.store(false, Ordering::Release);
        for shard in &self.shards {
            shard.write().clear();
        }
        self.len.store(0, Ordering::Relaxed);
    }

    /// Puts a loaded entry where nothing newer is: a key that changed while it was loaded stays one to ask for.
    pub(crate) fn load(&self, entry: Entry) {
        let key_id = entry.key_id;
        let is_there = self.shard(key_id).read().contains_key(&key_id);
        if !is_there {
            self.put(key_id, Slot::Held(Arc::new(entry)));
        }
    }

    /// From now on what is not there is no key, if all of it found room.
    pub(crate) fn declare_whole(&self) {
        if self.len.load(Ordering::Relaxed) < self.limit {
            self.whole.store(true, Ordering::Release);
        }
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    /// The keys that are to be asked for.
    pub(crate) fn changed(&self, at_most: usize) -> Vec<KeyId> {
        let mut found = Vec::new();
        for shard in &self.shards {
            let shard = shard.read();
            let changed = shard.iter().filter(|(_, slot)| matches!(slot, Slot::Changed));
            found.extend(changed.map(|(key_id, _)| *key_id).take(at_most - found.len()));
        }
        found
    }
}
