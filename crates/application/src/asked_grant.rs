//! What is asked to come with a new key, with the owner still as text.

use domain::{Environment, Grant, Labels, Networks, Owner, Personal, PersonalText, ScopeSet, Timestamp};
use wire::TagSecret;

/// A grant before its tenant's tag secret made the owner comparable.
#[derive(Clone, Debug)]
pub struct AskedGrant {
    /// Live or test.
    pub environment: Environment,
    /// What people call it.
    pub name: Option<PersonalText>,
    /// Whom it belongs to.
    pub owner: PersonalText,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Its labels.
    pub labels: Labels,
    /// Where it may be used from.
    pub networks: Networks,
    /// When its time is up.
    pub expires_at: Option<Timestamp>,
}

impl AskedGrant {
    pub(crate) fn tagged(self, secret: &TagSecret) -> Grant {
        Grant {
            environment: self.environment,
            name: self.name.map(Personal::Plain),
            owner: owner(self.owner, secret),
            scopes: self.scopes,
            labels: self.labels,
            networks: self.networks,
            expires_at: self.expires_at,
        }
    }
}

pub(crate) fn owner(text: PersonalText, secret: &TagSecret) -> Owner {
    Owner { tag: secret.owner_tag(text.as_str()), name: Personal::Plain(text) }
}
