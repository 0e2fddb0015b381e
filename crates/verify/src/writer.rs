//! The one writer of rows: applies events in the order of the log, and lets no older event overwrite a newer one.

mod keys;
mod settle;
mod tenants;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::{KeyId, Position, Revision, TenantId};

use crate::index::KeyIndex;
use crate::interner::Directory;
use crate::row::{ColdRow, HotRow, Refs};
use crate::shard::ShardFull;
use crate::snapshot::{self, SnapshotHeader};

/// Writes the rows of one index. There is one, it belongs to the projection worker, and it cannot be cloned.
pub struct IndexWriter {
    index: Arc<KeyIndex>,
    directory: Directory,
    /// Position and tenant of each recall that was met and that not every row says yet.
    unsettled: Vec<(Position, u32)>,
    #[cfg(feature = "planted")]
    older_overwrites: bool,
}

/// What became of an event.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Applied {
    /// The row says it now.
    Done,
    /// The row already has this position or a later one: ignored.
    Older,
    /// It does not follow what the row says, or cannot be held: the caller quarantines.
    Misfit,
}

impl IndexWriter {
    pub(crate) fn new(index: Arc<KeyIndex>, directory: Directory) -> Self {
        Self {
            index,
            directory,
            unsettled: Vec::new(),
            #[cfg(feature = "planted")]
            older_overwrites: false,
        }
    }

    /// A bug for the simulation to find: from now on an older event overwrites a newer one.
    #[cfg(feature = "planted")]
    pub fn plant_older_overwrites(&mut self) {
        self.older_overwrites = true;
    }

    /// A bug around recalls for the simulation to find, from now on.
    #[cfg(feature = "planted")]
    pub fn plant_recall_bug(&mut self, bug: crate::RecallBug) {
        self.index.planted.plant(bug);
    }

    /// The index that this writes.
    #[must_use]
    pub const fn index(&self) -> &Arc<KeyIndex> {
        &self.index
    }

    /// An event of this key cannot be read here: the key is refused from now on. It counts as one revision, so that a
    /// revocation can follow it. A key that was never heard of becomes one that no secret opens; a key id that another
    /// tenant holds is left alone, since nothing crosses tenants and who holds that id here is unknown anyway.
    pub fn quarantine_key(&mut self, position: Position, tenant: &TenantId, key_id: KeyId) {
        let forced = self.forced();
        // Without a number for the tenant no row can be made, and a key without a row is refused.
        let Ok(number) = self.index.tenants.intern(tenant) else { return };
        self.index.tenants.at(number).note_unread(position);
        let hash = self.index.hash.of(key_id);
        {
            let mut shard = self.index.shard(hash).write();
            if let Some(row) = shard.find(hash, key_id) {
                let (mut hot, mut cold) = (*shard.hot(row), *shard.cold(row));
                if hot.tenant() == number && (position > hot.last() || forced) {
                    if let Some(recalls) = self.index.tenants.at(number).recalls() {
                        recalls.settle(&mut hot, &cold, &self.index.values, position);
                    }
                    hot.quarantine();
                    hot.set_last(position);
                    cold.set_revision(cold.revision().next());
                    shard.set(row, hot, cold);
                }
                return;
            }
        }
        let refs = Refs { tenant: number, ..Refs::default() };
        let (hot, cold) = (HotRow::unread(key_id, number, position), ColdRow::new(refs, Revision::new(1)));
        // A full shard holds no row for it, which refuses it as well.
        let _ = self.add(tenant, hash, hot, cold);
    }

    /// Publishes that everything up to `position` is in the rows, then drops what the overlay held for that long.
    /// In this order: see [`KeyIndex::look_up`] and the overlay's `refuse`.
    pub fn advance(&mut self, position: Position) {
        self.index.publish(position);
        self.index.overlay.drop_applied(position);
    }

    /// Writes everything that a restart needs. The header's position must be the applied one, and every recall settled.
    ///
    /// # Errors
    /// Those of `out`; [`io::ErrorKind::InvalidInput`] when the header speaks of another position or a recall is pending.
    pub fn write_snapshot(&self, header: &SnapshotHeader, out: impl io::Write) -> io::Result<()> {
        if !self.unsettled.is_empty() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "recalls are not in the rows yet"));
        }
        snapshot::write(&self.index, &self.directory, header, out)
    }

    pub(crate) fn directory(&mut self) -> &mut Directory {
        &mut self.directory
    }

    /// Adds a key that is not there; every way to a new row comes through here.
    pub(crate) fn add(&mut self, tenant: &TenantId, hash: u64, hot: HotRow, cold: ColdRow) -> Applied {
        let index = &*self.index;
        let added = index.shard(hash).write().add(hash, hot, cold, |key_id| index.hash.of(key_id));
        match added {
            Ok(()) => {
                index.keys.fetch_add(1, Ordering::Relaxed);
                if tenant.is_operators() {
                    index.operators.write().push(hot.key_id());
                }
                Applied::Done
            }
            Err(ShardFull) => Applied::Misfit,
        }
    }

    #[cfg(feature = "planted")]
    const fn forced(&self) -> bool {
        self.older_overwrites
    }

    #[cfg(not(feature = "planted"))]
    #[expect(clippy::unused_self, reason = "the planted twin reads a field")]
    const fn forced(&self) -> bool {
        false
    }
}

impl fmt::Debug for IndexWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IndexWriter").field("index", &self.index).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
