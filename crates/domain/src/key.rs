//! A key as its history makes it, and the fold that gets there.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::attributes::{Labels, Networks, OwnerTag};
use crate::event::{Envelope, Event};
use crate::grant::Grant;
use crate::ids::{KeyId, Revision, StreamName, TenantId, Timestamp};
use crate::key_format::Environment;
use crate::leak::LeakResponse;
use crate::refusal::Refusal;
use crate::scope::ScopeSet;

/// What a key is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Standing {
    /// May be used.
    Active,
    /// May not be used until it is reinstated.
    Suspended,
    /// Its time was up.
    Expired,
    /// May never be used again.
    Revoked,
    /// Revoked together with all that matched a selector.
    Recalled,
    /// An event of its history cannot be read here.
    Quarantined,
}

impl Standing {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Active, Self::Suspended, Self::Expired, Self::Revoked, Self::Recalled, Self::Quarantined];

    /// The word in API, CLI and views.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Expired => "expired",
            Self::Revoked => "revoked",
            Self::Recalled => "recalled",
            Self::Quarantined => "quarantined",
        }
    }

    /// What a key is that was this and should become `next`. Nothing comes after a recall; and where part of a history cannot
    /// be read, only its end is certain.
    const fn after(self, next: Self) -> Self {
        match (self, next) {
            (Self::Recalled, _) => Self::Recalled,
            (Self::Quarantined, Self::Active | Self::Suspended | Self::Expired) => Self::Quarantined,
            _ => next,
        }
    }
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no standing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a standing is one of active, suspended, expired, revoked, recalled, quarantined")]
pub struct StandingError;

impl FromStr for Standing {
    type Err = StandingError;

    fn from_str(text: &str) -> Result<Self, StandingError> {
        Self::ALL.into_iter().find(|standing| standing.as_str() == text).ok_or(StandingError)
    }
}

/// What decisions about a key rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its tenant.
    pub tenant: TenantId,
    /// Its id.
    pub key_id: KeyId,
    /// Live or test.
    pub environment: Environment,
    /// Whom it belongs to.
    pub owner: OwnerTag,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Its labels.
    pub labels: Labels,
    /// Where it may be used from.
    pub networks: Networks,
    /// When its time is up. A key that has ended may have forgotten it.
    pub expires_at: Option<Timestamp>,
    /// The key that issued it.
    pub issuer: Option<KeyId>,
    /// What it is now.
    pub standing: Standing,
    /// How many events its history has.
    pub revision: Revision,
}

/// A history that no sequence of decisions can have made.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("event {event} at revision {found} does not follow revision {after} of {stream}")]
pub struct HistoryError {
    /// The event that does not fit.
    pub event: &'static str,
    /// Whose history.
    pub stream: StreamName,
    /// The revision that the event carries.
    pub found: Revision,
    /// The revision before it.
    pub after: Revision,
}

impl Key {
    /// The key that an issue or an import makes.
    #[must_use]
    pub fn granted(tenant: TenantId, key_id: KeyId, grant: &Grant, issuer: Option<KeyId>) -> Self {
        Self {
            tenant,
            key_id,
            environment: grant.environment,
            owner: grant.owner.tag,
            scopes: grant.scopes.clone(),
            labels: grant.labels.clone(),
            networks: grant.networks.clone(),
            expires_at: grant.expires_at,
            issuer,
            standing: Standing::Active,
            revision: Revision::new(1),
        }
    }

    /// Whether its time is up, recorded or not.
    #[must_use]
    pub fn is_past(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    /// Whether the key can still be changed: it has not ended, and all of it can be read.
    ///
    /// # Errors
    /// [`Refusal::AlreadyRevoked`], [`Refusal::AlreadyRecalled`], [`Refusal::AlreadyExpired`], [`Refusal::KeyQuarantined`].
    pub(crate) const fn changeable(&self) -> Result<(), Refusal> {
        match self.standing {
            Standing::Active | Standing::Suspended => Ok(()),
            Standing::Revoked => Err(Refusal::AlreadyRevoked),
            Standing::Recalled => Err(Refusal::AlreadyRecalled),
            Standing::Expired => Err(Refusal::AlreadyExpired),
            Standing::Quarantined => Err(Refusal::KeyQuarantined),
        }
    }

    /// Whether it is over with the key: it may never be used again.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self.standing, Standing::Expired | Standing::Revoked | Standing::Recalled)
    }

    /// The key after one more event of its history. Recalls stand in the tenant's history: who knows of one sets the
    /// standing.
    ///
    /// # Errors
    /// [`HistoryError`] when the event is not the one that can come next.
    pub fn evolve(key: Option<Self>, envelope: &Envelope) -> Result<Self, HistoryError> {
        let after = key.as_ref().map_or(Revision::NONE, |key| key.revision);
        let misfit = || HistoryError {
            event: envelope.event.name(),
            stream: envelope.stream.clone(),
            found: envelope.revision,
            after,
        };
        let StreamName::Key(tenant, key_id) = &envelope.stream else { return Err(misfit()) };
        if envelope.revision != after.next() {
            return Err(misfit());
        }
        match (key, &envelope.event) {
            (None, Event::KeyIssued(issued)) => {
                Ok(Self::granted(tenant.clone(), *key_id, &issued.grant, issued.issuer))
            }
            (None, Event::KeyImported(imported)) => {
                Ok(Self::granted(tenant.clone(), *key_id, &imported.grant, imported.issuer))
            }
            (Some(key), event) => {
                let key = Self { revision: envelope.revision, ..key };
                key.changed_by(event).ok_or_else(misfit)
            }
            (None, _) => Err(misfit()),
        }
    }

    /// The key after a change of its attributes that was just decided; its revision is left alone. Other events change
    /// nothing.
    #[must_use]
    pub fn amended(self, event: &Event) -> Self {
        let before = self.clone();
        self.changed_by(event).unwrap_or(before)
    }

    /// None for an event that does not change a key that exists, or that nobody can have decided on one that has ended.
    fn changed_by(self, event: &Event) -> Option<Self> {
        let over = match self.standing {
            Standing::Revoked => true,
            Standing::Expired => !matches!(event, Event::KeyRevoked(_)),
            // What was decided before the recall may stand after it in the log.
            Standing::Active | Standing::Suspended | Standing::Recalled | Standing::Quarantined => false,
        };
        if over {
            return None;
        }
        Some(match event {
            Event::KeyRelabelled(relabelled) => Self { labels: relabelled.labels.clone(), ..self },
            Event::KeyTransferred(transferred) => Self { owner: transferred.owner.tag, ..self },
            Event::KeyRescoped(rescoped) => Self { scopes: rescoped.scopes.clone(), ..self },
            Event::KeyRestricted(restricted) => Self { networks: restricted.networks.clone(), ..self },
            Event::KeyExpiryChanged(changed) => Self { expires_at: changed.expires_at, ..self },
            Event::KeyRenamed(_)
            | Event::KeyRotated(_)
            | Event::KeyFirstUsed(_)
            | Event::RotationCancelled(_)
            | Event::ExpiryWarned(_) => self,
            Event::KeySuspended(_)
            | Event::KeyReinstated(_)
            | Event::RotationFinished(_)
            | Event::KeyLeaked(_)
            | Event::KeyRevoked(_)
            | Event::KeyExpired(_) => Self { standing: self.standing.after(standing_after(event)?), ..self },
            Event::TenantOpened(_)
            | Event::TenantConfigured(_)
            | Event::TenantClosed(_)
            | Event::KeysRecalled(_)
            | Event::PolicySet(_)
            | Event::PolicyRemoved(_)
            | Event::OwnerErased(_)
            | Event::KeyIssued(_)
            | Event::KeyImported(_) => return None,
        })
    }
}

/// What a key is after an event that changes its standing; none for an event that does not.
#[must_use]
pub const fn standing_after(event: &Event) -> Option<Standing> {
    match event {
        Event::KeyIssued(_) | Event::KeyImported(_) | Event::KeyReinstated(_) => Some(Standing::Active),
        Event::KeySuspended(_) => Some(Standing::Suspended),
        Event::RotationFinished(_) | Event::KeyRevoked(_) => Some(Standing::Revoked),
        Event::KeyLeaked(leaked) => Some(match leaked.response {
            LeakResponse::Revoke => Standing::Revoked,
            LeakResponse::Suspend => Standing::Suspended,
        }),
        Event::KeyExpired(_) => Some(Standing::Expired),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::KeyLeaked;
    use crate::given::{
        KEY_ID, acme, envelope, expired, given_key, issued, reinstated, revoked, rotated, suspended,
    };
    use crate::reason::RevokeReason;
    use crate::rotation::RotationRule;

    fn leaked(response: LeakResponse) -> Event {
        Event::KeyLeaked(KeyLeaked { source: "scan".parse().unwrap(), url: None, response })
    }

    #[test]
    fn a_standing_prints_as_it_parses() {
        for standing in Standing::ALL {
            assert_eq!(standing.to_string().parse(), Ok(standing));
        }
        assert_eq!("Active".parse::<Standing>(), Err(StandingError));
    }

    #[test]
    fn a_standing_follows_from_the_last_event_that_has_one() {
        for (events, standing) in [
            (vec![], Standing::Active),
            (vec![suspended(None)], Standing::Suspended),
            (vec![suspended(None), rotated(RotationRule::ByHand)], Standing::Suspended),
            (vec![suspended(None), reinstated()], Standing::Active),
            (vec![leaked(LeakResponse::Suspend)], Standing::Suspended),
            (vec![leaked(LeakResponse::Revoke)], Standing::Revoked),
            (vec![expired()], Standing::Expired),
            (vec![expired(), revoked(RevokeReason::Other)], Standing::Revoked),
        ] {
            assert_eq!(given_key([issued()].into_iter().chain(events)).key().standing, standing);
        }
    }

    #[test]
    fn nothing_comes_after_a_recall_and_only_the_end_after_damage() {
        for (event, after_damage) in [
            (reinstated(), Standing::Quarantined),
            (suspended(None), Standing::Quarantined),
            (leaked(LeakResponse::Suspend), Standing::Quarantined),
            (expired(), Standing::Quarantined),
            (leaked(LeakResponse::Revoke), Standing::Revoked),
            (revoked(RevokeReason::Other), Standing::Revoked),
        ] {
            for (before, after) in
                [(Standing::Recalled, Standing::Recalled), (Standing::Quarantined, after_damage)]
            {
                let key = given_key([issued()]).standing(before).key().clone();
                let envelope = envelope(StreamName::Key(acme(), KEY_ID), 2, event.clone());
                let key = Key::evolve(Some(key), &envelope).unwrap();
                assert_eq!((key.standing, key.revision.get()), (after, 2), "{} {before}", event.name());
            }
        }
    }
}
