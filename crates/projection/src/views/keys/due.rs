//! Questions to the view `keys` about time: whose time is up, and whose suspension ends.

use domain::{KeyId, TenantId, Timestamp};

use super::leads::{DUE, DUE_SUSPENSION};
use super::query::{Keys, MAX_EXAMINED};
use crate::shelf::QueryError;
use crate::tree::{Tree, TreeError};
use crate::views::{split_end, tenant_in};

/// A key whose time is up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueKey {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// When its time was up.
    pub expires_at: Timestamp,
}

/// A key whose suspension was to end by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueSuspension {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// When its suspension was to end.
    pub until: Timestamp,
}

impl Keys {
    /// The first `limit` keys of all tenants whose time is up at `now` and which nothing has ended yet, oldest expiry first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<DueKey>, QueryError> {
        let due = |Due { tenant, key_id, at }| DueKey { tenant, key_id, expires_at: at };
        let found = self.shelf.query(move |tree| reached(tree, DUE, now, limit)).await?;
        Ok(found.into_iter().map(due).collect())
    }

    /// The first `limit` keys of all tenants whose suspension was to end by `now`, oldest first.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn due_suspensions(
        &self,
        now: Timestamp,
        limit: usize,
    ) -> Result<Vec<DueSuspension>, QueryError> {
        let due = |Due { tenant, key_id, at }| DueSuspension { tenant, key_id, until: at };
        let found = self.shelf.query(move |tree| reached(tree, DUE_SUSPENSION, now, limit)).await?;
        Ok(found.into_iter().map(due).collect())
    }

    /// The next instant at which a key's time is up, past ones included.
    ///
    /// # Errors
    /// [`QueryError`].
    pub async fn next_due(&self) -> Result<Option<Timestamp>, QueryError> {
        let first = self.shelf.query(|tree| reached(tree, DUE, Timestamp::MAX, 1)).await?;
        Ok(first.first().map(|due| due.at))
    }
}

struct Due {
    tenant: TenantId,
    key_id: KeyId,
    at: Timestamp,
}

fn reached(tree: &dyn Tree, kind: u8, now: Timestamp, limit: usize) -> Result<Vec<Due>, TreeError> {
    let rows = tree.scan(&[kind], None, limit.min(MAX_EXAMINED))?;
    let mut due = rows.iter().map(|(name, _)| due(name)).collect::<Result<Vec<_>, _>>()?;
    due.retain(|key| key.at <= now);
    Ok(due)
}

/// The kind, eight bytes of time, the tenant, a zero, the key id.
fn due(name: &[u8]) -> Result<Due, TreeError> {
    let bad = || TreeError::damaged("a row of what is due is too short");
    let (rest, key_id) = split_end::<16>(name)?;
    let (time, tenant) = rest.get(1..).and_then(|rest| rest.split_first_chunk()).ok_or_else(bad)?;
    Ok(Due {
        tenant: tenant_in(tenant.strip_suffix(&[0]).ok_or_else(bad)?)?,
        key_id: KeyId::from_bytes(key_id),
        at: Timestamp::from_millis(u64::from_be_bytes(*time)),
    })
}
