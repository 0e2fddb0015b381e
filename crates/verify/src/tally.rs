//! Counts verdicts in the way of requests: a lock held for some nanoseconds, and no write anywhere until it is drained.
//!
//! What was counted once since the last drain is counted up without an allocation. What is new takes a place in a table that
//! the drain before made twice as large as what it found, so in a steady stream of requests that allocates nothing either.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{KeyId, TenantId, Timestamp};
use hashbrown::HashTable;
use parking_lot::Mutex;

use crate::index::KeyHash;
use crate::verdict::Verdict;

/// Locks, so that threads rarely meet: each key has one.
const SHARDS: usize = 32;
/// Keys and details that a table has room for from the start.
const ROOM: usize = 16;
/// Details of one key that are told apart between two drains; what is beyond joins a sum without details.
const DETAILS_OF_KEY: u32 = 64;
/// Details are kept by the hour, so that a sum which waits for long still falls into the right ones.
const HOUR_MS: u64 = 3_600_000;
/// The end of a key's details.
const LAST: u32 = u32::MAX;

/// How much is told apart between two drains.
#[derive(Clone, Copy, Debug)]
pub struct TallyLimits {
    /// Keys, some 250 bytes each with what is counted of them. Verdicts on more than these are told as missed.
    pub keys: usize,
    /// Details, some 120 bytes each. What is beyond joins a sum without details.
    pub details: usize,
}

/// One verdict on a key whose full secret was presented.
#[derive(Debug)]
pub struct Tallied<'a> {
    /// Its tenant.
    pub tenant: &'a Arc<TenantId>,
    /// Which key.
    pub key_id: KeyId,
    /// What was said.
    pub verdict: Verdict,
    /// When.
    pub now: Timestamp,
}

/// How often one key got one verdict within one hour, for one purpose from one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sum<O> {
    /// Its tenant.
    pub tenant: Arc<TenantId>,
    /// Which key.
    pub key_id: KeyId,
    /// What was said.
    pub verdict: Verdict,
    /// For what and from where; none where details were given up for their sum.
    pub origin: Option<O>,
    /// How often.
    pub count: u64,
    /// The first time.
    pub first: Timestamp,
    /// The last time.
    pub last: Timestamp,
}

/// Counts verdicts until they are drained. `O` is for what and from where.
#[derive(Debug)]
pub struct Tally<O> {
    shards: Box<[Mutex<Shard<O>>]>,
    hash: KeyHash,
    limits: TallyLimits,
    missed: AtomicU64,
}

#[derive(Debug)]
struct Shard<O> {
    keys: HashTable<OfKey>,
    details: Vec<Detail<O>>,
}

#[derive(Debug)]
struct OfKey {
    key_id: KeyId,
    tenant: Arc<TenantId>,
    first: u32,
    count: u32,
}

#[derive(Debug)]
struct Detail<O> {
    /// The key's next one.
    next: u32,
    verdict: Verdict,
    hour: u64,
    origin: Option<O>,
    count: u64,
    first: Timestamp,
    last: Timestamp,
}

impl<O> Tally<O> {
    /// Has counted nothing.
    #[must_use]
    pub fn new(limits: TallyLimits) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::new(Shard::with_room(ROOM, ROOM))).collect();
        let limits = TallyLimits { keys: limits.keys / SHARDS, details: limits.details / SHARDS };
        Self { shards, hash: KeyHash::new(), limits, missed: AtomicU64::new(0) }
    }

    /// Counts one verdict. `is_same` tells whether it goes with what was counted for such an origin, `origin` makes one.
    pub fn count(&self, tallied: &Tallied<'_>, is_same: impl Fn(&O) -> bool, origin: impl FnOnce() -> O) {
        // The low bits of a key id are random.
        let shard = &self.shards[usize::from(tallied.key_id.to_bytes()[15]) % SHARDS];
        if !shard.lock().count(tallied, &self.hash, self.limits, is_same, origin) {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Takes everything out, the sums of one key side by side, and how many verdicts found no room at all.
    pub fn drain(&self) -> (Vec<Sum<O>>, u64) {
        let missed = self.missed.swap(0, Ordering::Relaxed);
        let mut sums = Vec::new();
        for shard in &self.shards {
            let Some(full) = shard.lock().take() else { continue };
            full.into_sums(&mut sums);
        }
        (sums, missed)
    }
}

impl<O> Shard<O> {
    fn with_room(keys: usize, details: usize) -> Self {
        Self { keys: HashTable::with_capacity(keys), details: Vec::with_capacity(details) }
    }

    /// What was counted, leaving room for twice as much; none if nothing was.
    fn take(&mut self) -> Option<Self> {
        if self.keys.is_empty() {
            return None;
        }
        let fresh = Self::with_room(ROOM.max(self.keys.len() * 2), ROOM.max(self.details.len() * 2));
        Some(std::mem::replace(self, fresh))
    }

    fn into_sums(self, sums: &mut Vec<Sum<O>>) {
        let mut details: Vec<_> = self.details.into_iter().map(Some).collect();
        for OfKey { key_id, tenant, first, .. } in self.keys {
            let mut at = first;
            while let Some(detail) = details.get_mut(at as usize).and_then(Option::take) {
                at = detail.next;
                let Detail { verdict, origin, count, first, last, .. } = detail;
                let tenant = Arc::clone(&tenant);
                sums.push(Sum { tenant, key_id, verdict, origin, count, first, last });
            }
        }
    }

    /// Whether there was room to count it.
    fn count(
        &mut self,
        tallied: &Tallied<'_>,
        hash: &KeyHash,
        limits: TallyLimits,
        is_same: impl Fn(&O) -> bool,
        origin: impl FnOnce() -> O,
    ) -> bool {
        let Tallied { tenant, key_id, verdict, now } = *tallied;
        let (hour, has_room) = (now.as_millis() / HOUR_MS, self.keys.len() < limits.keys);
        let of_key = match self.keys.find_mut(hash.of(key_id), |of_key| of_key.key_id == key_id) {
            Some(of_key) => of_key,
            None if !has_room => return false,
            None => {
                let new = OfKey { key_id, tenant: Arc::clone(tenant), first: LAST, count: 0 };
                let place = self.keys.insert_unique(hash.of(key_id), new, |of_key| hash.of(of_key.key_id));
                place.into_mut()
            }
        };
        let (mut at, mut sum) = (of_key.first, None);
        while let Some(detail) = self.details.get_mut(at as usize) {
            if detail.verdict == verdict && detail.hour == hour {
                match &detail.origin {
                    Some(origin) if is_same(origin) => {
                        detail.more(now);
                        return true;
                    }
                    Some(_) => {}
                    None => sum = Some(at),
                }
            }
            at = detail.next;
        }
        let is_told_apart = of_key.count < DETAILS_OF_KEY && self.details.len() < limits.details;
        if let Some(sum) = sum.filter(|_| !is_told_apart) {
            self.details[sum as usize].more(now);
            return true;
        }
        let Ok(place) = u32::try_from(self.details.len()) else { return false };
        let origin = is_told_apart.then(origin);
        let (next, first, last) = (of_key.first, now, now);
        self.details.push(Detail { next, verdict, hour, origin, count: 1, first, last });
        (of_key.first, of_key.count) = (place, of_key.count + 1);
        true
    }
}

impl<O> Detail<O> {
    fn more(&mut self, now: Timestamp) {
        self.count += 1;
        self.first = self.first.min(now);
        self.last = self.last.max(now);
    }
}
