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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{KeyLeaked, KeyRenamed, KeyTransferred, RotationCancelled, RotationFinished};
    use crate::given::{
        KEY_ID, LATER, NOW, SUCCESSOR, expired, first_used, given_key, grant, issued, issued_as_successor,
        owner, reinstated, revoked, rotated, suspended,
    };
    use crate::reason::RevokeReason;
    use crate::rotation::RotationRule;

    fn leaked(response: LeakResponse) -> Event {
        Event::KeyLeaked(KeyLeaked { source: "scan".parse().unwrap(), url: None, response })
    }

    #[test]
    fn a_life_begins_with_what_was_granted() {
        let given = given_key([issued_as_successor()]);
        let expected = Life::begin(NOW, &grant(), Some(KEY_ID));
        assert_eq!(*given.life(), expected);
        assert_eq!(given_key([issued_as_successor(), first_used()]).life().first_used_at, Some(NOW));
    }

    #[test]
    fn what_people_read_follows_its_events() {
        let lists = owner(6, "lists-team");
        let given = given_key([
            issued(),
            Event::KeyRenamed(KeyRenamed { name: None }),
            Event::KeyTransferred(KeyTransferred { owner: lists.clone() }),
        ]);
        assert_eq!(given.life().grant, Grant { name: None, owner: lists, ..grant() });
    }

    #[test]
    fn a_suspension_ends_by_itself_only_if_the_last_word_said_so() {
        for (events, until) in [
            (vec![suspended(Some(LATER))], Some(LATER)),
            (vec![suspended(None)], None),
            (vec![suspended(Some(LATER)), reinstated()], None),
            (vec![suspended(Some(LATER)), leaked(LeakResponse::Suspend)], None),
        ] {
            let given = given_key([issued()].into_iter().chain(events));
            assert_eq!(given.life().suspended_until, until);
        }
    }

    #[test]
    fn a_rotation_is_under_way_until_it_or_the_key_ends() {
        let under_way = Rotation { successor: SUCCESSOR, rule: RotationRule::ByHand, started_at: NOW };
        let finished = Event::RotationFinished(RotationFinished { successor: SUCCESSOR, forced: false });
        let cancelled = Event::RotationCancelled(RotationCancelled { successor: SUCCESSOR });
        for (event, goes_on) in [
            (suspended(None), true),
            (leaked(LeakResponse::Suspend), true),
            (finished, false),
            (cancelled, false),
            (expired(), false),
            (revoked(RevokeReason::Other), false),
            (leaked(LeakResponse::Revoke), false),
        ] {
            let given = given_key([issued(), rotated(RotationRule::ByHand), event.clone()]);
            assert_eq!(given.life().rotation, goes_on.then(|| under_way.clone()), "{}", event.name());
        }
    }
}
