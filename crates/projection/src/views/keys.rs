//! The view `keys`: a row a key with everything that may be shown of it, and the names it can be found under.

mod due;
mod fold;
mod leads;
mod query;
mod rotations;
mod row;
mod stored;
mod sweep;
mod then;

pub use due::{DueKey, DueSuspension};
pub use query::{KeyCursor, KeyCursorError, KeyPage, KeyQuery, Keys, MAX_EXAMINED};
pub use rotations::{
    RotationCursor, RotationCursorError, RotationPage, RunningCursor, RunningPage, UnusedSuccessor,
};
pub use row::{KeyGrant, KeyLeak, KeyRow, RotationPhase, RotationPhaseError, RotationRow, RotationState};
pub(crate) use then::KeyThen;

use domain::{Envelope, Event, KeyId, StreamName, TenantId};

use self::leads::{leads, row_name};
use self::stored::StoredRow;
use self::sweep::{Recall, Sweep};
use crate::changes::Changes;
use crate::tree::TreeError;
use crate::view::{Entry, Taken, View, decode_row, encode_row};

/// Follows what may be shown of each key.
#[derive(Default)]
pub(crate) struct KeysView {
    sweep: Sweep,
}

impl View for KeysView {
    const NAME: &'static str = "keys";
    const SCHEMA: u32 = 2;

    fn apply(&mut self, entry: &Entry<'_>, changes: &mut Changes<'_>) -> Result<Taken, TreeError> {
        match &entry.stream {
            StreamName::Key(tenant, key_id) => {
                follow(entry, tenant, *key_id, changes)?;
                Ok(Taken::Whole)
            }
            StreamName::Tenant(tenant) => match entry.read() {
                Ok(Envelope { event: Event::KeysRecalled(recalled), occurred_at, .. }) => {
                    let recall =
                        Recall { tenant, recalled: &recalled, occurred_at, position: entry.position() };
                    self.sweep.part(&recall, changes)
                }
                // The index worker raises the alarm for an unreadable event; the view of tenants shows it.
                Ok(_) | Err(_) => Ok(Taken::Whole),
            },
        }
    }
}

/// Follows one key's own history.
fn follow(
    entry: &Entry<'_>,
    tenant: &TenantId,
    key_id: KeyId,
    changes: &mut Changes<'_>,
) -> Result<(), TreeError> {
    let old = stored(changes, tenant, key_id)?;
    let (new, followed) = fold::after(old.as_ref(), entry);
    put(changes, tenant, key_id, old.as_ref(), &new);
    let Some(envelope) = followed else { return Ok(()) };
    let predecessor = new.grant.as_ref().and_then(|grant| grant.predecessor).map(KeyId::from_bytes);
    if let (Event::KeyFirstUsed(used), Some(predecessor)) = (&envelope.event, predecessor)
        && let Some(old) = stored(changes, tenant, predecessor)?
        && let Some(new) = fold::adopted(&old, key_id.to_bytes(), used.first_used_at.as_millis())
    {
        put(changes, tenant, predecessor, Some(&old), &new);
    }
    Ok(())
}

fn stored(changes: &Changes<'_>, tenant: &TenantId, key_id: KeyId) -> Result<Option<StoredRow>, TreeError> {
    changes.get(&row_name(tenant, key_id))?.map(|bytes| decode_row(&bytes)).transpose()
}

/// Puts a row in its place, and what leads to it.
fn put(
    changes: &mut Changes<'_>,
    tenant: &TenantId,
    key_id: KeyId,
    old: Option<&StoredRow>,
    new: &StoredRow,
) {
    let before = old.map(|row| leads(tenant, key_id, row)).unwrap_or_default();
    let after = leads(tenant, key_id, new);
    for lead in before.iter().filter(|lead| !after.contains(lead)) {
        changes.remove(lead.clone());
    }
    changes.put(row_name(tenant, key_id), encode_row(new));
    for lead in after.into_iter().filter(|lead| !before.contains(lead)) {
        changes.put(lead, Vec::new());
    }
}

#[cfg(test)]
mod tests;
