//! The events of a key, as they are stored.

use domain::{
    ExpiryWarned, KeyExpired, KeyExpiryChanged, KeyFirstUsed, KeyImported, KeyIssued, KeyLeaked,
    KeyReinstated, KeyRelabelled, KeyRenamed, KeyRescoped, KeyRestricted, KeyRevoked, KeyRotated,
    KeySuspended, KeyTransferred, RotationCancelled, RotationFinished, RotationRule,
};

use super::parts;
use crate::proto;

pub(super) fn issued(event: &KeyIssued) -> proto::KeyIssued {
    let grant = &event.grant;
    proto::KeyIssued {
        prefix: event.prefix.to_string(),
        environment: parts::environment(grant.environment).into(),
        digest: event.digest.to_bytes().to_vec().into(),
        name: parts::optional_personal(grant.name.as_ref()),
        owner_tag: grant.owner.tag.to_bytes().to_vec().into(),
        owner: Some(parts::personal(&grant.owner.name)),
        scopes: parts::scopes(&grant.scopes),
        labels: parts::labels(&grant.labels),
        networks: parts::networks(&grant.networks),
        expires_at_ms: parts::optional_instant(grant.expires_at),
        issuer: parts::optional_key_id(event.issuer),
        predecessor: parts::optional_key_id(event.predecessor),
    }
}

pub(super) fn imported(event: &KeyImported) -> proto::KeyImported {
    let grant = &event.grant;
    proto::KeyImported {
        environment: parts::environment(grant.environment).into(),
        digest: event.digest.to_bytes().to_vec().into(),
        name: parts::optional_personal(grant.name.as_ref()),
        owner_tag: grant.owner.tag.to_bytes().to_vec().into(),
        owner: Some(parts::personal(&grant.owner.name)),
        scopes: parts::scopes(&grant.scopes),
        labels: parts::labels(&grant.labels),
        networks: parts::networks(&grant.networks),
        expires_at_ms: parts::optional_instant(grant.expires_at),
        issuer: parts::optional_key_id(event.issuer),
    }
}

pub(super) fn renamed(event: &KeyRenamed) -> proto::KeyRenamed {
    proto::KeyRenamed { name: parts::optional_personal(event.name.as_ref()) }
}

pub(super) fn relabelled(event: &KeyRelabelled) -> proto::KeyRelabelled {
    proto::KeyRelabelled { labels: parts::labels(&event.labels) }
}

pub(super) fn transferred(event: &KeyTransferred) -> proto::KeyTransferred {
    proto::KeyTransferred {
        owner_tag: event.owner.tag.to_bytes().to_vec().into(),
        owner: Some(parts::personal(&event.owner.name)),
    }
}

pub(super) fn rescoped(event: &KeyRescoped) -> proto::KeyRescoped {
    proto::KeyRescoped { scopes: parts::scopes(&event.scopes) }
}

pub(super) fn restricted(event: &KeyRestricted) -> proto::KeyRestricted {
    proto::KeyRestricted { networks: parts::networks(&event.networks) }
}

pub(super) fn expiry_changed(event: &KeyExpiryChanged) -> proto::KeyExpiryChanged {
    proto::KeyExpiryChanged { expires_at_ms: parts::optional_instant(event.expires_at) }
}

pub(super) fn suspended(event: &KeySuspended) -> proto::KeySuspended {
    proto::KeySuspended {
        reason: parts::suspend_reason(event.reason).into(),
        note: parts::optional_personal(event.note.as_ref()),
        until_ms: parts::optional_instant(event.until),
    }
}

pub(super) fn reinstated(event: &KeyReinstated) -> proto::KeyReinstated {
    proto::KeyReinstated { note: parts::optional_personal(event.note.as_ref()) }
}

pub(super) fn rotated(event: &KeyRotated) -> proto::KeyRotated {
    use proto::key_rotated::{AtTime, ByHand, OnEvidence, Rule};
    let rule = match event.rule {
        RotationRule::At(at) => Rule::AtTime(AtTime { at_ms: at.as_millis() }),
        RotationRule::OnEvidence { quiet_ms, look_back_ms } => {
            Rule::OnEvidence(OnEvidence { quiet_ms, look_back_ms })
        }
        RotationRule::ByHand => Rule::ByHand(ByHand {}),
    };
    proto::KeyRotated { successor: parts::key_id(event.successor), rule: Some(rule) }
}

pub(super) fn first_used(event: &KeyFirstUsed) -> proto::KeyFirstUsed {
    proto::KeyFirstUsed { first_used_at_ms: event.first_used_at.as_millis() }
}

pub(super) fn rotation_finished(event: &RotationFinished) -> proto::RotationFinished {
    proto::RotationFinished { successor: parts::key_id(event.successor), forced: event.forced }
}

pub(super) fn rotation_cancelled(event: &RotationCancelled) -> proto::RotationCancelled {
    proto::RotationCancelled { successor: parts::key_id(event.successor) }
}

pub(super) fn leaked(event: &KeyLeaked) -> proto::KeyLeaked {
    proto::KeyLeaked {
        source: event.source.to_string(),
        url: parts::optional_personal(event.url.as_ref()),
        response: parts::leak_response(event.response).into(),
    }
}

pub(super) fn revoked(event: &KeyRevoked) -> proto::KeyRevoked {
    proto::KeyRevoked {
        reason: parts::revoke_reason(event.reason).into(),
        note: parts::optional_personal(event.note.as_ref()),
    }
}

pub(super) const fn warned(event: &ExpiryWarned) -> proto::ExpiryWarned {
    proto::ExpiryWarned { expires_at_ms: event.expires_at.as_millis() }
}

pub(super) const fn expired(event: &KeyExpired) -> proto::KeyExpired {
    proto::KeyExpired { expires_at_ms: event.expires_at.as_millis() }
}
