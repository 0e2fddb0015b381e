//! The one writer of rows: applies events in the order of the log, and lets no older event overwrite a newer one.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use domain::{KeyId, KeyIssued, Position, Revision, Standing, TenantId, Timestamp};

use crate::index::KeyIndex;
use crate::interner::Directory;
use crate::row::{ColdRow, HotRow, MAX_24, Refs, ends};
use crate::shard::ShardFull;
use crate::snapshot::{self, SnapshotHeader};

/// Writes the rows of one index. There is one, it belongs to the projection worker, and it cannot be cloned.
pub struct IndexWriter {
    index: Arc<KeyIndex>,
    directory: Directory,
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
            #[cfg(feature = "planted")]
            older_overwrites: false,
        }
    }

    /// A bug for the simulation to find: from now on an older event overwrites a newer one.
    #[cfg(feature = "planted")]
    pub fn plant_older_overwrites(&mut self) {
        self.older_overwrites = true;
    }

    /// The index that this writes.
    #[must_use]
    pub const fn index(&self) -> &Arc<KeyIndex> {
        &self.index
    }

    /// Applies `TenantOpened`.
    pub fn open_tenant(&mut self, position: Position, tenant: &TenantId) -> Applied {
        let forced = self.forced();
        let Ok(number) = self.index.tenants.intern(tenant) else { return Applied::Misfit };
        self.index.tenants.at(number).change(|history| {
            if position <= history.last && !forced {
                return Applied::Older;
            }
            if history.revision != Revision::NONE && position > history.last {
                return Applied::Misfit;
            }
            history.revision = Revision::new(1);
            history.last = position;
            Applied::Done
        })
    }

    /// Applies `KeyIssued`.
    pub fn issue(
        &mut self,
        position: Position,
        tenant: &TenantId,
        key_id: KeyId,
        issued: &KeyIssued,
    ) -> Applied {
        let forced = self.forced();
        let Ok(number) = self.index.tenants.intern(tenant) else { return Applied::Misfit };
        let Ok(refs) = self.directory.refs(&self.index.values, number, &issued.grant, issued.issuer) else {
            return Applied::Misfit;
        };
        let mut hot = HotRow::issued(key_id, issued.digest, issued.grant.environment, refs, position);
        hot.set_until(issued.grant.expires_at);
        let cold = ColdRow::new(refs, Revision::new(1));
        let hash = self.index.hash.of(key_id);
        {
            let mut shard = self.index.shard(hash).write();
            if let Some(row) = shard.find(hash, key_id) {
                let there = shard.hot(row);
                if there.tenant() != number || position > there.last() {
                    return Applied::Misfit;
                }
                if !forced {
                    return Applied::Older;
                }
                shard.set(row, hot, cold);
                return Applied::Done;
            }
        }
        self.add(tenant, hash, hot, cold)
    }

    /// Applies `KeyRevoked`: ended for good at `at`.
    pub fn revoke(
        &mut self,
        position: Position,
        tenant: &TenantId,
        key_id: KeyId,
        revision: Revision,
        at: Timestamp,
    ) -> Applied {
        self.end(position, tenant, key_id, revision, (Standing::Revoked, at))
    }

    /// Applies `KeyExpired`: ended for good at `at`.
    pub fn expire(
        &mut self,
        position: Position,
        tenant: &TenantId,
        key_id: KeyId,
        revision: Revision,
        at: Timestamp,
    ) -> Applied {
        self.end(position, tenant, key_id, revision, (Standing::Expired, at))
    }

    /// An event of this key cannot be read here: the key is refused from now on. It counts as one revision, so that a
    /// revocation can follow it. A key that was never heard of becomes one that no secret opens; a key id that another
    /// tenant holds is left alone, since nothing crosses tenants and who holds that id here is unknown anyway.
    pub fn quarantine_key(&mut self, position: Position, tenant: &TenantId, key_id: KeyId) {
        let forced = self.forced();
        // Without a number for the tenant no row can be made, and a key without a row is refused.
        let Ok(number) = self.index.tenants.intern(tenant) else { return };
        let hash = self.index.hash.of(key_id);
        {
            let mut shard = self.index.shard(hash).write();
            if let Some(row) = shard.find(hash, key_id) {
                let (mut hot, mut cold) = (*shard.hot(row), *shard.cold(row));
                if hot.tenant() == number && (position > hot.last() || forced) {
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

    /// An event of this tenant cannot be read here: all its keys are refused from now on. In tenant `rescind` only the
    /// event's place is noted, since nobody could mend a service whose operators are all refused.
    pub fn quarantine_tenant(&mut self, position: Position, tenant: &TenantId) {
        // More tenants than can be numbered: then none of their keys has a row either, and all are refused.
        let Ok(number) = self.index.tenants.intern(tenant) else { return };
        let forced = self.forced();
        let entry = self.index.tenants.at(number);
        entry.change(|history| {
            if position > history.last || forced {
                history.last = position;
                history.revision = history.revision.next();
                if !tenant.is_operators() {
                    entry.quarantine();
                }
            }
        });
    }

    /// Notes the position of a tenant's last notice; an earlier one changes nothing.
    pub fn note_notice(&mut self, tenant: &TenantId, position: Position) {
        if let Ok(number) = self.index.tenants.intern(tenant) {
            self.index.tenants.at(number).note_notice(position);
        }
    }

    /// Publishes that everything up to `position` is in the rows, then drops what the overlay held for that long.
    /// In this order: see [`KeyIndex::look_up`] and the overlay's `refuse`.
    pub fn advance(&mut self, position: Position) {
        self.index.publish(position);
        self.index.overlay.drop_applied(position);
    }

    /// Writes everything that a restart needs. The header's position must be the applied one.
    ///
    /// # Errors
    /// Those of `out`; [`io::ErrorKind::InvalidInput`] when the header speaks of another position.
    pub fn write_snapshot(&self, header: &SnapshotHeader, out: impl io::Write) -> io::Result<()> {
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

    fn end(
        &mut self,
        position: Position,
        tenant: &TenantId,
        key_id: KeyId,
        revision: Revision,
        end: (Standing, Timestamp),
    ) -> Applied {
        let forced = self.forced();
        let hash = self.index.hash.of(key_id);
        let mut shard = self.index.shard(hash).write();
        let Some(row) = shard.find(hash, key_id) else { return Applied::Misfit };
        let (mut hot, mut cold) = (*shard.hot(row), *shard.cold(row));
        if *self.index.tenants.at(hot.tenant()).id != *tenant {
            return Applied::Misfit;
        }
        let older = position <= hot.last();
        if older && !forced {
            return Applied::Older;
        }
        if !older && !follows(&hot, &cold, revision, end.0) {
            return Applied::Misfit;
        }
        // On a quarantined key an event may come that its readable part rules out: a revocation stays one.
        if !matches!(hot.standing(), Standing::Revoked | Standing::Recalled) || older {
            hot.end(end.0, end.1);
        }
        hot.set_last(position);
        cold.set_revision(revision);
        shard.set(row, hot, cold);
        Applied::Done
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

/// Whether an end may come next. What a quarantined key's unread events did is not known, so anything may follow them.
fn follows(hot: &HotRow, cold: &ColdRow, revision: Revision, standing: Standing) -> bool {
    if revision.get() > MAX_24 {
        return false;
    }
    let may_end =
        !ends(hot.standing()) || (hot.standing(), standing) == (Standing::Expired, Standing::Revoked);
    hot.is_quarantined() || (may_end && revision == cold.revision().next())
}

#[cfg(test)]
mod tests;
