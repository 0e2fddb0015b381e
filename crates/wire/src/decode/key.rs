//! The events of a key, as they are read back.

use domain::{
    ExpiryWarned, Grant, KeyExpired, KeyExpiryChanged, KeyFirstUsed, KeyImported, KeyIssued, KeyLeaked,
    KeyReinstated, KeyRelabelled, KeyRenamed, KeyRescoped, KeyRestricted, KeyRevoked, KeyRotated,
    KeySuspended, KeyTransferred, RotationCancelled, RotationFinished, RotationRule, Timestamp,
};

use super::{Unreadable, field, parts};
use crate::proto;

/// The grant in an event that has its fields: two message types, one list of fields.
macro_rules! grant {
    ($stored:ident, $event:literal) => {
        Grant {
            environment: parts::environment($stored.environment, concat!($event, ".environment"))?,
            name: parts::optional_personal($stored.name, concat!($event, ".name"))?,
            owner: parts::owner(
                &$stored.owner_tag,
                $stored.owner,
                (concat!($event, ".owner_tag"), concat!($event, ".owner")),
            )?,
            scopes: parts::scopes(&$stored.scopes, concat!($event, ".scopes"))?,
            labels: parts::labels(&$stored.labels, concat!($event, ".labels"))?,
            networks: parts::networks(&$stored.networks, concat!($event, ".networks"))?,
            expires_at: parts::optional_instant($stored.expires_at_ms),
        }
    };
}

pub(super) fn issued(stored: proto::KeyIssued) -> Result<KeyIssued, Unreadable> {
    Ok(KeyIssued {
        prefix: stored.prefix.parse().map_err(|_| field("key_issued.prefix"))?,
        digest: parts::digest(&stored.digest, "key_issued.digest")?,
        grant: grant!(stored, "key_issued"),
        issuer: parts::optional_key_id(&stored.issuer, "key_issued.issuer")?,
        predecessor: parts::optional_key_id(&stored.predecessor, "key_issued.predecessor")?,
    })
}

pub(super) fn imported(stored: proto::KeyImported) -> Result<KeyImported, Unreadable> {
    Ok(KeyImported {
        digest: parts::digest(&stored.digest, "key_imported.digest")?,
        grant: grant!(stored, "key_imported"),
        issuer: parts::optional_key_id(&stored.issuer, "key_imported.issuer")?,
    })
}

pub(super) fn renamed(stored: proto::KeyRenamed) -> Result<KeyRenamed, Unreadable> {
    Ok(KeyRenamed { name: parts::optional_personal(stored.name, "key_renamed.name")? })
}

pub(super) fn relabelled(stored: &proto::KeyRelabelled) -> Result<KeyRelabelled, Unreadable> {
    Ok(KeyRelabelled { labels: parts::labels(&stored.labels, "key_relabelled.labels")? })
}

pub(super) fn transferred(stored: proto::KeyTransferred) -> Result<KeyTransferred, Unreadable> {
    let names = ("key_transferred.owner_tag", "key_transferred.owner");
    Ok(KeyTransferred { owner: parts::owner(&stored.owner_tag, stored.owner, names)? })
}

pub(super) fn rescoped(stored: &proto::KeyRescoped) -> Result<KeyRescoped, Unreadable> {
    Ok(KeyRescoped { scopes: parts::scopes(&stored.scopes, "key_rescoped.scopes")? })
}

pub(super) fn restricted(stored: &proto::KeyRestricted) -> Result<KeyRestricted, Unreadable> {
    Ok(KeyRestricted { networks: parts::networks(&stored.networks, "key_restricted.networks")? })
}

pub(super) fn expiry_changed(stored: &proto::KeyExpiryChanged) -> KeyExpiryChanged {
    KeyExpiryChanged { expires_at: parts::optional_instant(stored.expires_at_ms) }
}

pub(super) fn suspended(stored: proto::KeySuspended) -> Result<KeySuspended, Unreadable> {
    Ok(KeySuspended {
        reason: parts::suspend_reason(stored.reason, "key_suspended.reason")?,
        note: parts::optional_personal(stored.note, "key_suspended.note")?,
        until: parts::optional_instant(stored.until_ms),
    })
}

pub(super) fn reinstated(stored: proto::KeyReinstated) -> Result<KeyReinstated, Unreadable> {
    Ok(KeyReinstated { note: parts::optional_personal(stored.note, "key_reinstated.note")? })
}

pub(super) fn rotated(stored: &proto::KeyRotated) -> Result<KeyRotated, Unreadable> {
    use proto::key_rotated::Rule;
    let rule = match &stored.rule {
        Some(Rule::AtTime(at)) => RotationRule::At(Timestamp::from_millis(at.at_ms)),
        // The spans are not measured again: a bound that a later build draws otherwise must not quarantine keys.
        Some(Rule::OnEvidence(rule)) => {
            RotationRule::OnEvidence { quiet_ms: rule.quiet_ms, look_back_ms: rule.look_back_ms }
        }
        Some(Rule::ByHand(_)) => RotationRule::ByHand,
        None => return Err(field("key_rotated.rule")),
    };
    Ok(KeyRotated { successor: parts::key_id(&stored.successor, "key_rotated.successor")?, rule })
}

pub(super) const fn first_used(stored: &proto::KeyFirstUsed) -> KeyFirstUsed {
    KeyFirstUsed { first_used_at: Timestamp::from_millis(stored.first_used_at_ms) }
}

pub(super) fn rotation_finished(stored: &proto::RotationFinished) -> Result<RotationFinished, Unreadable> {
    let successor = parts::key_id(&stored.successor, "rotation_finished.successor")?;
    Ok(RotationFinished { successor, forced: stored.forced })
}

pub(super) fn rotation_cancelled(stored: &proto::RotationCancelled) -> Result<RotationCancelled, Unreadable> {
    Ok(RotationCancelled { successor: parts::key_id(&stored.successor, "rotation_cancelled.successor")? })
}

pub(super) fn leaked(stored: proto::KeyLeaked) -> Result<KeyLeaked, Unreadable> {
    Ok(KeyLeaked {
        source: stored.source.parse().map_err(|_| field("key_leaked.source"))?,
        url: parts::optional_personal(stored.url, "key_leaked.url")?,
        response: parts::leak_response(stored.response, "key_leaked.response")?,
    })
}

pub(super) fn revoked(stored: proto::KeyRevoked) -> Result<KeyRevoked, Unreadable> {
    Ok(KeyRevoked {
        reason: parts::revoke_reason(stored.reason, "key_revoked.reason")?,
        note: parts::optional_personal(stored.note, "key_revoked.note")?,
    })
}

pub(super) const fn warned(stored: &proto::ExpiryWarned) -> ExpiryWarned {
    ExpiryWarned { expires_at: Timestamp::from_millis(stored.expires_at_ms) }
}

pub(super) const fn expired(stored: &proto::KeyExpired) -> KeyExpired {
    KeyExpired { expires_at: Timestamp::from_millis(stored.expires_at_ms) }
}
