//! How an event changes the row of its key. Decides as the key index does, so that both quarantine the same keys.

use domain::{
    Envelope, Event, KeysRecalled, LeakResponse, Position, Revision, RevokeReason, Standing, Timestamp,
    standing_after,
};

use super::row::has_ended;
use super::stored::{StoredGrant, StoredLeak, StoredRotation, StoredRow, StoredState, code_of};
use crate::tree::TreeError;
use crate::view::Entry;
use crate::views::stored::StoredPersonal;

/// The row after one more event of the key's own, and the event if it could be read and come next: if not, the key is
/// quarantined.
pub(super) fn after(old: Option<&StoredRow>, entry: &Entry<'_>) -> (StoredRow, Option<Envelope>) {
    let followed = entry.read().ok().and_then(|envelope| {
        let new = next(old, &envelope, entry.position())?;
        Some((new, Some(envelope)))
    });
    followed.unwrap_or_else(|| (quarantined(old, entry.position()), None))
}

/// The row after one more readable event; none if the event cannot come next.
fn next(old: Option<&StoredRow>, envelope: &Envelope, position: Position) -> Option<StoredRow> {
    let Some(old) = old else { return begin(envelope, position) };
    let may_follow = match old.base() {
        Standing::Active | Standing::Suspended => true,
        // A change that was decided before the recall and appended after it.
        Standing::Recalled => true,
        Standing::Expired => matches!(envelope.event, Event::KeyRevoked(_)),
        Standing::Revoked | Standing::Quarantined => false,
    };
    // What a quarantined key's unread events did is not known, so anything may follow them.
    let follows = may_follow && envelope.revision == Revision::new(old.revision).next();
    if !changes_a_key(&envelope.event) || !(follows || old.quarantined) {
        return None;
    }
    let mut row = StoredRow { position: position.get(), revision: envelope.revision.get(), ..old.clone() };
    if let Some(grant) = &mut row.grant {
        change_grant(grant, &envelope.event);
    }
    change_life(&mut row, envelope);
    change_standing(&mut row, envelope);
    Some(row)
}

fn begin(envelope: &Envelope, position: Position) -> Option<StoredRow> {
    let grant = match &envelope.event {
        Event::KeyIssued(issued) => StoredGrant::issued(envelope.occurred_at, issued),
        Event::KeyImported(imported) => StoredGrant::imported(envelope.occurred_at, imported),
        _ => return None,
    };
    Some(StoredRow {
        standing: code_of(Standing::Active),
        grant: Some(grant),
        revision: 1,
        position: position.get(),
        ..StoredRow::default()
    })
}

const fn changes_a_key(event: &Event) -> bool {
    match event {
        Event::KeyRenamed(_)
        | Event::KeyRelabelled(_)
        | Event::KeyTransferred(_)
        | Event::KeyRescoped(_)
        | Event::KeyRestricted(_)
        | Event::KeyExpiryChanged(_)
        | Event::KeySuspended(_)
        | Event::KeyReinstated(_)
        | Event::KeyRotated(_)
        | Event::KeyFirstUsed(_)
        | Event::RotationFinished(_)
        | Event::RotationCancelled(_)
        | Event::KeyLeaked(_)
        | Event::KeyRevoked(_)
        | Event::ExpiryWarned(_)
        | Event::KeyExpired(_) => true,
        Event::TenantOpened(_)
        | Event::TenantConfigured(_)
        | Event::TenantClosed(_)
        | Event::KeysRecalled(_)
        | Event::PolicySet(_)
        | Event::PolicyRemoved(_)
        | Event::OwnerErased(_)
        | Event::KeyIssued(_)
        | Event::KeyImported(_) => false,
    }
}

fn change_grant(grant: &mut StoredGrant, event: &Event) {
    match event {
        Event::KeyRenamed(renamed) => grant.name = renamed.name.as_ref().map(StoredPersonal::of),
        Event::KeyRelabelled(relabelled) => grant.set_labels(&relabelled.labels),
        Event::KeyTransferred(transferred) => {
            grant.owner_tag = transferred.owner.tag.to_bytes();
            grant.owner = StoredPersonal::of(&transferred.owner.name);
        }
        Event::KeyRescoped(rescoped) => grant.set_scopes(&rescoped.scopes),
        Event::KeyRestricted(restricted) => grant.set_networks(&restricted.networks),
        Event::KeyExpiryChanged(changed) => {
            grant.expires_at_ms = changed.expires_at.map_or(0, Timestamp::as_millis);
        }
        _ => {}
    }
}

/// What is under way with the key, whether it may be used or not.
fn change_life(row: &mut StoredRow, envelope: &Envelope) {
    let at_ms = envelope.occurred_at.as_millis();
    let mut end_rotation = |state| {
        if let Some(rotation) = &mut row.rotation {
            rotation.state = state;
        }
    };
    match &envelope.event {
        Event::KeyRotated(rotated) => {
            row.rotation = Some(StoredRotation::begin(envelope.occurred_at, rotated));
        }
        Event::RotationFinished(finished) => {
            end_rotation(StoredState::Finished { at_ms, forced: finished.forced });
        }
        Event::RotationCancelled(_) => end_rotation(StoredState::Cancelled { at_ms }),
        Event::KeyFirstUsed(used) => row.first_used_at_ms = used.first_used_at.as_millis(),
        Event::KeyLeaked(leaked) => {
            row.leaked = Some(StoredLeak {
                at_ms,
                source: leaked.source.as_str().to_owned(),
                url: leaked.url.as_ref().map(StoredPersonal::of),
            });
        }
        _ => {}
    }
}

/// What the key is, and why. One that has ended stays what it is, but that an expired one can be revoked.
fn change_standing(row: &mut StoredRow, envelope: &Envelope) {
    let Some(standing) = standing_after(&envelope.event) else { return };
    let revoked_late = (row.base(), standing) == (Standing::Expired, Standing::Revoked);
    if has_ended(row.base()) && !revoked_late {
        return;
    }
    let at_ms = envelope.occurred_at.as_millis();
    row.standing = code_of(standing);
    row.ended_at_ms = if has_ended(standing) { at_ms } else { 0 };
    (row.suspended, row.suspended_until_ms, row.reason, row.note) = (None, 0, None, None);
    let word = |reason: RevokeReason| Some(reason.as_str().to_owned());
    match &envelope.event {
        Event::KeySuspended(suspended) => {
            row.suspended = Some(suspended.reason.as_str().to_owned());
            row.suspended_until_ms = suspended.until.map_or(0, Timestamp::as_millis);
            row.note = suspended.note.as_ref().map(StoredPersonal::of);
        }
        Event::RotationFinished(_) => row.reason = word(RevokeReason::Superseded),
        Event::KeyLeaked(leaked) if leaked.response == LeakResponse::Revoke => {
            row.reason = word(RevokeReason::Leaked);
        }
        Event::KeyRevoked(revoked) => {
            row.reason = word(revoked.reason);
            row.note = revoked.note.as_ref().map(StoredPersonal::of);
        }
        _ => {}
    }
}

/// The row after the first valid use of the successor in its rotation; none if that changes nothing of it.
pub(super) fn adopted(old: &StoredRow, successor: [u8; 16], used_at_ms: u64) -> Option<StoredRow> {
    let mut rotation = old.rotation.clone().filter(|rotation| rotation.successor == successor)?;
    rotation.adopted_at_ms = used_at_ms;
    Some(StoredRow { rotation: Some(rotation), ..old.clone() })
}

/// The row of a key that a recall hits; none if it does not hit it: it is not meant, or has ended, also by this recall.
pub(super) fn recalled(
    old: &StoredRow,
    recall: &KeysRecalled,
    at: Timestamp,
    position: Position,
) -> Result<Option<StoredRow>, TreeError> {
    if has_ended(old.base()) || !old.is_meant_by(&recall.selector)? {
        return Ok(None);
    }
    Ok(Some(StoredRow {
        standing: code_of(Standing::Recalled),
        suspended: None,
        suspended_until_ms: 0,
        ended_at_ms: at.as_millis(),
        reason: Some(recall.reason.as_str().to_owned()),
        note: recall.note.as_ref().map(StoredPersonal::of),
        recalled_by: position.get(),
        ..old.clone()
    }))
}

/// The row of a key of which an event cannot be read: counted as one revision.
fn quarantined(old: Option<&StoredRow>, position: Position) -> StoredRow {
    let old = old.cloned().unwrap_or_default();
    StoredRow { quarantined: true, revision: old.revision + 1, position: position.get(), ..old }
}
