//! A key's life as its own stream tells it: what only few decisions need, so that no index has to keep it.

use crate::event::{Envelope, Event, KeyIssued};
use crate::grant::Grant;
use crate::ids::{KeyId, Timestamp};
use crate::leak::LeakResponse;
use crate::rotation::Rotation;

/// Beside [`crate::Key`]: how it came to be, and what is under way. A recall stands in the tenant's stream and is not here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// When it was issued or imported.
    pub issued_at: Timestamp,
    /// What comes with it now.
    pub grant: Grant,
    /// The key that it is to replace.
    pub predecessor: Option<KeyId>,
    /// When it was first found valid, if it is a successor and that was recorded.
    pub first_used_at: Option<Timestamp>,
    /// When its suspension ends by itself.
    pub suspended_until: Option<Timestamp>,
    /// The rotation in which it is the predecessor.
    pub rotation: Option<Rotation>,
}

impl Life {
    fn begin(at: Timestamp, grant: &Grant, predecessor: Option<KeyId>) -> Self {
        Self {
            issued_at: at,
            grant: grant.clone(),
            predecessor,
            first_used_at: None,
            suspended_until: None,
            rotation: None,
        }
    }

    /// The life after one more event that [`crate::Key::evolve`] took; others change nothing here.
    #[must_use]
    pub fn evolve(life: Option<Self>, envelope: &Envelope) -> Option<Self> {
        let at = envelope.occurred_at;
        let Some(mut life) = life else {
            return match &envelope.event {
                Event::KeyIssued(issued) => {
                    let KeyIssued { grant, predecessor, .. } = &**issued;
                    Some(Self::begin(at, grant, *predecessor))
                }
                Event::KeyImported(imported) => Some(Self::begin(at, &imported.grant, None)),
                _ => None,
            };
        };
        match &envelope.event {
            Event::KeyRenamed(renamed) => life.grant.name.clone_from(&renamed.name),
            Event::KeyRelabelled(relabelled) => life.grant.labels.clone_from(&relabelled.labels),
            Event::KeyTransferred(transferred) => life.grant.owner.clone_from(&transferred.owner),
            Event::KeyRescoped(rescoped) => life.grant.scopes.clone_from(&rescoped.scopes),
            Event::KeyRestricted(restricted) => life.grant.networks.clone_from(&restricted.networks),
            Event::KeyExpiryChanged(changed) => life.grant.expires_at = changed.expires_at,
            Event::KeySuspended(suspended) => life.suspended_until = suspended.until,
            Event::KeyReinstated(_) => life.suspended_until = None,
            Event::KeyLeaked(leaked) => {
                life.suspended_until = None;
                if leaked.response == LeakResponse::Revoke {
                    life.rotation = None;
                }
            }
            Event::KeyRotated(rotated) => {
                life.rotation =
                    Some(Rotation { successor: rotated.successor, rule: rotated.rule, started_at: at });
            }
            Event::KeyFirstUsed(used) => life.first_used_at = Some(used.first_used_at),
            Event::RotationFinished(_)
            | Event::RotationCancelled(_)
            | Event::KeyRevoked(_)
            | Event::KeyExpired(_) => life.rotation = None,
            _ => {}
        }
        Some(life)
    }
}
