//! All keys of a tenant, each in its place: what a replica holds. Its rule is that nothing is no key until all is loaded.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domain::{KeyId, Position};
use parking_lot::{Mutex, RwLock};
use quick_cache::DefaultHashBuilder;

use crate::core::entry::Entry;
use crate::core::held::Known;

const SHARDS: usize = 64;

type Shard = RwLock<HashMap<KeyId, Slot, DefaultHashBuilder>>;

/// One key of a replica.
enum Slot {
    Held(Arc<Entry>),
    /// A notice changed it: it is asked for again before it is judged.
    Changed,
}

/// All keys of a tenant.
pub(crate) struct Replica {
    shards: Box<[Shard]>,
    hasher: DefaultHashBuilder,
    len: AtomicUsize,
    limit: usize,
    /// Everything was loaded: what is not there is no key.
    whole: AtomicBool,
    /// The ids whose slot is [`Slot::Changed`].
    changed: Mutex<HashSet<KeyId>>,
}

impl Replica {
    pub(crate) fn new(limit: usize) -> Self {
        let hasher = DefaultHashBuilder::default();
        let shards = (0..SHARDS).map(|_| RwLock::new(HashMap::with_hasher(hasher.clone()))).collect();
        Self {
            shards,
            hasher,
            len: AtomicUsize::new(0),
            limit,
            whole: AtomicBool::new(false),
            changed: Mutex::default(),
        }
    }

    fn shard(&self, key_id: KeyId) -> &Shard {
        // Not the bits that the maps go by.
        &self.shards[(self.hasher.hash_one(key_id) >> 48) as usize % SHARDS]
    }

    pub(crate) fn look_up(&self, key_id: KeyId) -> Known {
        // The claim before the key: a key that came and made the claim wrong was put there after it was taken back.
        let is_whole = self.is_whole();
        match self.shard(key_id).read().get(&key_id) {
            Some(Slot::Held(entry)) => Known::Held(Arc::clone(entry)),
            None if is_whole => Known::Absent,
            Some(Slot::Changed) | None => Known::Nothing,
        }
    }

    pub(crate) fn peek(&self, key_id: KeyId) -> Option<Arc<Entry>> {
        match self.shard(key_id).read().get(&key_id) {
            Some(Slot::Held(entry)) => Some(Arc::clone(entry)),
            Some(Slot::Changed) | None => None,
        }
    }

    pub(crate) fn hold(&self, entry: Entry) {
        self.changed.lock().remove(&entry.key_id);
        self.put(entry.key_id, Slot::Held(Arc::new(entry)));
    }

    pub(crate) fn remove(&self, key_id: KeyId) {
        self.changed.lock().remove(&key_id);
        if self.shard(key_id).write().remove(&key_id).is_some() {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// One key beyond the limit takes back the claim to hold all: from then on the replica asks like a cache.
    fn put(&self, key_id: KeyId, slot: Slot) {
        if self.len.load(Ordering::Relaxed) >= self.limit && !self.shard(key_id).read().contains_key(&key_id)
        {
            self.changed.lock().remove(&key_id);
            return self.whole.store(false, Ordering::Release);
        }
        if self.shard(key_id).write().insert(key_id, slot).is_none() {
            self.len.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A key that is not there may have come into being: it is asked for like one that changed.
    pub(crate) fn change(
        &self,
        key_id: KeyId,
        position: Position,
        change: impl FnOnce(&Entry) -> Option<Entry>,
    ) {
        let changed = match self.shard(key_id).read().get(&key_id) {
            Some(Slot::Held(entry)) if entry.as_of >= position => return,
            Some(Slot::Held(entry)) => change(entry),
            Some(Slot::Changed) | None => None,
        };
        match changed {
            Some(entry) => self.put(key_id, Slot::Held(Arc::new(entry))),
            None => {
                self.changed.lock().insert(key_id);
                self.put(key_id, Slot::Changed);
            }
        }
    }

    pub(crate) fn change_all(&self, changed: impl Fn(&Arc<Entry>) -> Option<Arc<Entry>>) {
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

    pub(crate) fn clear(&self) {
        self.whole.store(false, Ordering::Release);
        self.changed.lock().clear();
        for shard in &self.shards {
            shard.write().clear();
        }
        self.len.store(0, Ordering::Relaxed);
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Puts a loaded entry where nothing is: a key that changed while it was loaded stays one to ask for.
    pub(crate) fn load(&self, entry: Entry) {
        let is_there = self.shard(entry.key_id).read().contains_key(&entry.key_id);
        if !is_there {
            self.put(entry.key_id, Slot::Held(Arc::new(entry)));
        }
    }

    /// From now on what is not there is no key; false if not all of it found room.
    pub(crate) fn declare_whole(&self) -> bool {
        let is_whole = self.len() < self.limit;
        self.whole.store(is_whole, Ordering::Release);
        is_whole
    }

    pub(crate) fn is_whole(&self) -> bool {
        self.whole.load(Ordering::Acquire)
    }

    /// Some of the keys that are to be asked for.
    pub(crate) fn changed(&self, at_most: usize) -> Vec<KeyId> {
        self.changed.lock().iter().take(at_most).copied().collect()
    }
}
