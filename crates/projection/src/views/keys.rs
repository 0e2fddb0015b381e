//! The view `keys`: a row a key with everything that may be shown of it, and the names it can be found under.

mod query;
mod row;

pub use query::{DueKey, KeyCursor, KeyCursorError, KeyPage, KeyQuery, Keys};
pub use row::{KeyIssue, KeyRow};

use domain::{Envelope, Event, KeyId, Personal, Position, Revision, Standing, StreamName, TenantId};

use self::row::{StoredIssue, StoredPersonal, StoredRow, code_of};
use super::RowName;
use crate::changes::Changes;
use crate::tree::TreeError;
use crate::view::{Entry, View, decode_row, encode_row};

/// The kinds of rows. All but the first have no value: they only lead to a key.
const ROW: u8 = b'r';
const BY_OWNER: u8 = b'o';
const BY_LABEL: u8 = b'l';
const BY_STANDING: u8 = b's';
const BY_EXPIRY: u8 = b'x';
const DUE: u8 = b'e';

/// Follows what may be shown of each key.
#[derive(Default)]
pub(crate) struct KeysView;

impl View for KeysView {
    const NAME: &'static str = "keys";
    const SCHEMA: u32 = 1;

    fn apply(&mut self, entry: &Entry<'_>, changes: &mut Changes<'_>) -> Result<(), TreeError> {
        let StreamName::Key(tenant, key_id) = &entry.stream else { return Ok(()) };
        let name = row_name(tenant, *key_id);
        let old: Option<StoredRow> = changes.get(&name)?.map(|bytes| decode_row(&bytes)).transpose()?;
        // The index worker raises the alarm for an unreadable event; here it is only shown.
        let followed = entry.read().ok().and_then(|envelope| next(old.as_ref(), &envelope, entry.position()));
        let new = followed.unwrap_or_else(|| quarantined(old.as_ref(), entry.position()));
        let before = old.map(|row| leads(tenant, *key_id, &row)).unwrap_or_default();
        let after = leads(tenant, *key_id, &new);
        for lead in before.iter().filter(|lead| !after.contains(lead)) {
            changes.remove(lead.clone());
        }
        changes.put(name, encode_row(&new));
        for lead in after.into_iter().filter(|lead| !before.contains(lead)) {
            changes.put(lead, Vec::new());
        }
        Ok(())
    }
}

/// The row after one more readable event; none if the event cannot come next. Decides as the key index does, so that both
/// quarantine the same keys.
fn next(old: Option<&StoredRow>, envelope: &Envelope, position: Position) -> Option<StoredRow> {
    match (&envelope.event, old) {
        (Event::KeyIssued(issued), None) => Some(StoredRow {
            standing: code_of(Standing::Active),
            quarantined: false,
            revision: 1,
            position: position.get(),
            issue: Some(StoredIssue::of(envelope.occurred_at, issued)),
            ended_at_ms: 0,
            reason: None,
            note: None,
        }),
        (Event::KeyRevoked(revoked), Some(old)) => {
            let mut row = ended(old, envelope, position, Standing::Revoked)?;
            if row.base() != old.base() {
                row.reason = Some(revoked.reason.as_str().to_owned());
                row.note = revoked.note.as_ref().map(StoredPersonal::of);
            }
            Some(row)
        }
        (Event::KeyExpired(_), Some(old)) => ended(old, envelope, position, Standing::Expired),
        (Event::TenantOpened(_) | Event::KeyIssued(_) | Event::KeyRevoked(_) | Event::KeyExpired(_), _) => {
            None
        }
    }
}

/// The row of a key that ended, if it can end so now. What a quarantined key's unread events did is not known, so any
/// end may follow them; a revocation stays one.
fn ended(old: &StoredRow, envelope: &Envelope, position: Position, end: Standing) -> Option<StoredRow> {
    let may_end = match old.base() {
        Standing::Active | Standing::Suspended => true,
        Standing::Expired => end == Standing::Revoked,
        Standing::Revoked | Standing::Recalled | Standing::Quarantined => false,
    };
    let follows = may_end && envelope.revision == Revision::new(old.revision).next();
    if !follows && !old.quarantined {
        return None;
    }
    let mut row = StoredRow { position: position.get(), revision: envelope.revision.get(), ..old.clone() };
    if !matches!(old.base(), Standing::Revoked | Standing::Recalled) {
        row.standing = code_of(end);
        row.ended_at_ms = envelope.occurred_at.as_millis();
    }
    Some(row)
}

/// The row of a key of which an event cannot be read: counted as one revision.
fn quarantined(old: Option<&StoredRow>, position: Position) -> StoredRow {
    match old {
        Some(old) => StoredRow {
            quarantined: true,
            revision: old.revision + 1,
            position: position.get(),
            ..old.clone()
        },
        None => StoredRow {
            standing: code_of(Standing::Active),
            quarantined: true,
            revision: 1,
            position: position.get(),
            issue: None,
            ended_at_ms: 0,
            reason: None,
            note: None,
        },
    }
}

fn row_name(tenant: &TenantId, key_id: KeyId) -> Vec<u8> {
    RowName::of(ROW).tenant(tenant).key_id(key_id).done()
}

/// Under what a key can be found: its standing always, and what its issue says.
fn leads(tenant: &TenantId, key_id: KeyId, row: &StoredRow) -> Vec<Vec<u8>> {
    let of = |kind| RowName::of(kind).tenant(tenant);
    let standing = row.standing();
    let mut leads = vec![of(BY_STANDING).bytes(&[code_of(standing)]).key_id(key_id).done()];
    let Some(issue) = &row.issue else { return leads };
    leads.push(of(BY_OWNER).bytes(&issue.owner_tag).key_id(key_id).done());
    for (name, value) in &issue.labels {
        leads.push(label_prefix(tenant, name, value).key_id(key_id).done());
    }
    if issue.expires_at_ms != 0 && may_expire(standing) {
        leads.push(of(BY_EXPIRY).number(issue.expires_at_ms).key_id(key_id).done());
        leads.push(RowName::of(DUE).number(issue.expires_at_ms).tenant(tenant).key_id(key_id).done());
    }
    leads
}

fn label_prefix(tenant: &TenantId, name: &str, value: &str) -> RowName {
    let row = RowName::of(BY_LABEL).tenant(tenant);
    row.bytes(name.as_bytes()).bytes(b"=").bytes(value.as_bytes()).bytes(&[0])
}

/// Whether a key's time can still run out: whatever ended or cannot be read does not expire any more.
const fn may_expire(standing: Standing) -> bool {
    matches!(standing, Standing::Active | Standing::Suspended)
}

impl StoredPersonal {
    fn of(personal: &Personal) -> Self {
        match personal {
            Personal::Plain(text) => Self::Plain(text.as_str().to_owned()),
            Personal::Sealed(bytes) => Self::Sealed(bytes.clone()),
        }
    }
}

#[cfg(test)]
mod tests;
