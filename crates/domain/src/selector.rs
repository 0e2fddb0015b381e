//! Which keys: a selector over the attributes that a recall or a policy goes by.

use thiserror::Error;

use crate::attributes::{Label, Labels, Owner, OwnerTag};
use crate::ids::KeyId;
use crate::key::Key;
use crate::key_format::Environment;
use crate::scope::{Scope, ScopeSet};

/// A selector without any part, which is not the same as all keys.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("a selector names an owner, label, scope, issuer or environment, or says all")]
pub struct SelectorError;

/// Keys for which every part that is given holds; with none given, all keys of the tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Belongs to this owner.
    pub owner: Option<Owner>,
    /// Has this label.
    pub label: Option<Label>,
    /// May do this: a held scope covers it.
    pub scope: Option<Scope>,
    /// Was issued by this key.
    pub issuer: Option<KeyId>,
    /// Is live, or test.
    pub environment: Option<Environment>,
}

/// The attributes of one key that selectors look at.
#[derive(Clone, Copy, Debug)]
pub struct Selectable<'a> {
    /// Whom it belongs to.
    pub owner: OwnerTag,
    /// Its labels.
    pub labels: &'a Labels,
    /// What it may do.
    pub scopes: &'a ScopeSet,
    /// The key that issued it.
    pub issuer: Option<KeyId>,
    /// Live or test.
    pub environment: Environment,
}

impl Selector {
    /// Every key of a tenant.
    pub const ALL: Self = Self { owner: None, label: None, scope: None, issuer: None, environment: None };

    /// This selector, unless it has no part: to mean all keys one has to say so.
    ///
    /// # Errors
    /// [`SelectorError`] when no part is given.
    pub fn of_parts(self) -> Result<Self, SelectorError> {
        if self.is_all() { Err(SelectorError) } else { Ok(self) }
    }

    /// Whether it means every key.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::ALL
    }

    /// Whether every given part holds.
    #[must_use]
    pub fn matches(&self, key: &Selectable<'_>) -> bool {
        self.owner.as_ref().is_none_or(|owner| owner.tag == key.owner)
            && self.environment.is_none_or(|environment| environment == key.environment)
            && self.issuer.is_none_or(|issuer| Some(issuer) == key.issuer)
            && self.label.as_ref().is_none_or(|label| key.labels.iter().any(|held| held == label))
            && self.scope.as_ref().is_none_or(|scope| key.scopes.covers(scope))
    }
}

impl Key {
    /// What selectors look at.
    #[must_use]
    pub const fn selectable(&self) -> Selectable<'_> {
        Selectable {
            owner: self.owner,
            labels: &self.labels,
            scopes: &self.scopes,
            issuer: self.issuer,
            environment: self.environment,
        }
    }
}
