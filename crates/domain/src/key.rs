//! A key as its history makes it, and the fold that gets there.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::attributes::{Labels, Networks, OwnerTag};
use crate::event::{Envelope, Event, KeyIssued};
use crate::ids::{KeyId, Revision, StreamName, TenantId, Timestamp};
use crate::key_format::Environment;
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
    /// The key that an issue makes.
    #[must_use]
    pub fn issued(tenant: TenantId, key_id: KeyId, issued: &KeyIssued) -> Self {
        Self {
            tenant,
            key_id,
            environment: issued.environment,
            owner: issued.owner.tag,
            scopes: issued.scopes.clone(),
            labels: issued.labels.clone(),
            networks: issued.networks.clone(),
            expires_at: issued.expires_at,
            issuer: issued.issuer,
            standing: Standing::Active,
            revision: Revision::new(1),
        }
    }

    /// The key after one more event of its history.
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
            (None, Event::KeyIssued(issued)) => Ok(Self::issued(tenant.clone(), *key_id, issued)),
            (Some(key), Event::KeyRevoked(_)) => {
                Ok(Self { standing: Standing::Revoked, revision: envelope.revision, ..key })
            }
            (Some(key), Event::KeyExpired(_)) => {
                Ok(Self { standing: Standing::Expired, revision: envelope.revision, ..key })
            }
            (_, Event::TenantOpened(_) | Event::KeyIssued(_))
            | (None, Event::KeyRevoked(_) | Event::KeyExpired(_)) => Err(misfit()),
        }
    }
}
