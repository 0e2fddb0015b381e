//! The refused keys that the rows do not know yet: makes a revocation effective before any projection runs.

use std::sync::atomic::{AtomicUsize, Ordering};

use domain::{KeyId, Position, Timestamp};
use hashbrown::HashTable;
use parking_lot::RwLock;

/// Keys whose revocation is durable at a position that the rows may not have reached.
///
/// It is as large as the revocations that the projection has not applied; a projection that stands still also
/// ends the lease, and without a lease no command is taken, so it cannot grow for longer than `max_staleness`.
#[derive(Default)]
pub(crate) struct Overlay {
    /// How many entries there are, so that an empty overlay costs a verify one load.
    len: AtomicUsize,
    refused: RwLock<HashTable<Refused>>,
}

struct Refused {
    hash: u64,
    key_id: KeyId,
    position: Position,
    since: Timestamp,
}

impl Overlay {
    /// Refuses a key until the rows have applied `position`. `applied` is read under the lock: the projection
    /// publishes its position before it takes this lock, so either it is seen here and the rows already refuse the
    /// key, or the entry is there when the projection comes to drop it.
    pub(crate) fn refuse(
        &self,
        hash: u64,
        key_id: KeyId,
        position: Position,
        since: Timestamp,
        applied: impl FnOnce() -> Position,
    ) {
        let mut refused = self.refused.write();
        if applied() >= position {
            return;
        }
        match refused.find_mut(hash, |entry| entry.key_id == key_id) {
            Some(entry) => {
                entry.position = entry.position.max(position);
                entry.since = entry.since.min(since);
            }
            None => {
                refused.insert_unique(hash, Refused { hash, key_id, position, since }, |entry| entry.hash);
            }
        }
        self.len.store(refused.len(), Ordering::Release);
    }

    /// Since when a key is refused here.
    pub(crate) fn since(&self, hash: u64, key_id: KeyId) -> Option<Timestamp> {
        // Acquire: whoever sees the overlay emptied by `drop_applied` also sees the rows written before it.
        if self.len.load(Ordering::Acquire) == 0 {
            return None;
        }
        self.refused.read().find(hash, |entry| entry.key_id == key_id).map(|entry| entry.since)
    }

    /// Drops what the rows say by now. To be called after `applied` was published. Takes the lock even when nothing
    /// seems to be there: a refusal that read the position before may be about to add its entry.
    pub(crate) fn drop_applied(&self, applied: Position) {
        let mut refused = self.refused.write();
        if refused.is_empty() {
            return;
        }
        refused.retain(|entry| entry.position > applied);
        self.len.store(refused.len(), Ordering::Release);
    }

    pub(crate) fn len(&self) -> usize {
        self.len.load(Ordering::Acquire)
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.refused.read().allocation_size()
    }
}
