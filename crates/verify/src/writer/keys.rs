//! What the events of a key do to its row.

use domain::{
    Event, Grant, KeyId, KeyImported, KeyIssued, Position, Revision, Standing, TenantId, Timestamp,
    standing_after,
};

use crate::index::KeyIndex;
use crate::interner::{Directory, TooMany};
use crate::planted::RecallBug;
use crate::row::{ColdRow, HotRow, MAX_24, Refs, ends};
use crate::writer::{Applied, IndexWriter};

impl IndexWriter {
    /// Applies `KeyIssued`.
    pub fn issue(
        &mut self,
        position: Position,
        tenant: &TenantId,
        key_id: KeyId,
        issued: &KeyIssued,
    ) -> Applied {
        let KeyIssued { digest, grant, issuer, .. } = issued;
        let row = |refs| HotRow::issued(key_id, *digest, grant.environment, refs, position);
        self.begin(position, tenant, key_id, (grant, *issuer), row)
    }

    /// Applies `KeyImported`.
    pub fn import(
        &mut self,
        position: Position,
        tenant: &TenantId,
        key_id: KeyId,
        imported: &KeyImported,
    ) -> Applied {
        let KeyImported { digest, grant, issuer } = imported;
        let row = |refs| {
            let mut row = HotRow::issued(key_id, *digest, grant.environment, refs, position);
            row.import();
            row
        };
        self.begin(position, tenant, key_id, (grant, *issuer), row)
    }

    fn begin(
        &mut self,
        position: Position,
        tenant: &TenantId,
        key_id: KeyId,
        (grant, issuer): (&Grant, Option<KeyId>),
        row: impl FnOnce(Refs) -> HotRow,
    ) -> Applied {
        let forced = self.forced();
        let Ok(number) = self.index.tenants.intern(tenant) else { return Applied::Misfit };
        let Ok(refs) = self.directory.refs(&self.index.values, number, grant, issuer) else {
            return Applied::Misfit;
        };
        let mut hot = row(refs);
        hot.set_until(grant.expires_at);
        if self.index.planted.is(RecallBug::HitsLater) {
            hot.forget_settled();
        }
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

    /// Applies any other event of a key, which happened at `at`.
    pub fn change(
        &mut self,
        position: Position,
        tenant: &TenantId,
        key_id: KeyId,
        revision: Revision,
        at: Timestamp,
        event: &Event,
    ) -> Applied {
        let forced = self.forced();
        let Self { index, directory, .. } = self;
        let hash = index.hash.of(key_id);
        let mut shard = index.shard(hash).write();
        let Some(row) = shard.find(hash, key_id) else { return Applied::Misfit };
        let (mut hot, mut cold) = (*shard.hot(row), *shard.cold(row));
        let entry = index.tenants.at(hot.tenant());
        if *entry.id != *tenant {
            return Applied::Misfit;
        }
        let older = position <= hot.last();
        if older && !forced {
            return Applied::Older;
        }
        // First what stood before this event in the log; after the shard's lock, as no holder of the list's takes a shard's.
        if let Some(recalls) = entry.recalls().filter(|_| !index.planted.is(RecallBug::SettlesLate)) {
            recalls.settle(&mut hot, &cold, &index.values, position);
        }
        if !older && !follows(&hot, &cold, revision, event) {
            return Applied::Misfit;
        }
        let mut change = Change { index, directory, at, forced: older };
        match change.make(&mut hot, &mut cold, event) {
            Ok(true) => {}
            Ok(false) | Err(TooMany) => return Applied::Misfit,
        }
        hot.set_last(position);
        cold.set_revision(revision);
        shard.set(row, hot, cold);
        Applied::Done
    }
}

/// Whether an event may come next. What a quarantined key's unread events did is not known, so anything may follow them. A
/// recall stands in another stream, so whatever was decided before it may follow it.
fn follows(hot: &HotRow, cold: &ColdRow, revision: Revision, event: &Event) -> bool {
    if revision.get() > MAX_24 {
        return false;
    }
    let may_follow = match hot.standing() {
        Standing::Revoked => false,
        Standing::Expired => matches!(event, Event::KeyRevoked(_)),
        Standing::Active | Standing::Suspended | Standing::Recalled | Standing::Quarantined => true,
    };
    hot.is_quarantined() || (may_follow && revision == cold.revision().next())
}

/// One event on its way into a row.
struct Change<'a> {
    index: &'a KeyIndex,
    directory: &'a mut Directory,
    at: Timestamp,
    /// It is older than the row and overwrites it all the same: only with a planted bug.
    forced: bool,
}

impl Change<'_> {
    /// False for an event that does not change a key that exists.
    fn make(&mut self, hot: &mut HotRow, cold: &mut ColdRow, event: &Event) -> Result<bool, TooMany> {
        let values = &self.index.values;
        match event {
            Event::KeyRelabelled(relabelled) => {
                cold.set_labels(self.directory.labels(values, &relabelled.labels)?);
            }
            Event::KeyTransferred(transferred) => {
                hot.set_owner(self.directory.owner(values, hot.tenant(), &transferred.owner)?);
            }
            Event::KeyRescoped(rescoped) => hot.set_scopes(self.directory.scopes(values, &rescoped.scopes)?),
            Event::KeyRestricted(restricted) => {
                hot.set_networks(self.directory.networks(values, &restricted.networks)?);
            }
            // The time that a key ended has taken the place of its expiry.
            Event::KeyExpiryChanged(changed) if !ends(hot.standing()) => hot.set_until(changed.expires_at),
            Event::KeyExpiryChanged(_)
            | Event::KeyRenamed(_)
            | Event::KeyRotated(_)
            | Event::KeyFirstUsed(_)
            | Event::RotationCancelled(_)
            | Event::ExpiryWarned(_) => {}
            Event::KeySuspended(_)
            | Event::KeyReinstated(_)
            | Event::RotationFinished(_)
            | Event::KeyLeaked(_)
            | Event::KeyRevoked(_)
            | Event::KeyExpired(_) => {
                let Some(standing) = standing_after(event) else { return Ok(false) };
                self.stand(hot, standing);
            }
            Event::TenantOpened(_)
            | Event::TenantConfigured(_)
            | Event::TenantClosed(_)
            | Event::KeysRecalled(_)
            | Event::PolicySet(_)
            | Event::PolicyRemoved(_)
            | Event::OwnerErased(_)
            | Event::KeyIssued(_)
            | Event::KeyImported(_) => return Ok(false),
        }
        Ok(true)
    }

    /// A revoked or recalled key stays that, and an expired one ends otherwise only by being revoked: such events come after
    /// a recall that their command did not know, or on a quarantined key.
    fn stand(&self, hot: &mut HotRow, standing: Standing) {
        let may = self.forced
            || match hot.standing() {
                Standing::Revoked | Standing::Recalled => false,
                Standing::Expired => standing == Standing::Revoked,
                Standing::Active | Standing::Suspended | Standing::Quarantined => true,
            };
        if !may {
            return;
        }
        match standing {
            Standing::Expired | Standing::Revoked | Standing::Recalled => hot.end(standing, self.at),
            Standing::Suspended => hot.suspend(),
            Standing::Active | Standing::Quarantined => hot.reinstate(),
        }
    }
}
