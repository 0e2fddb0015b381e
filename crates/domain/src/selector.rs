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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{labels, owner, scopes};

    /// Every selector over every key: each of the five attributes is asked for or not, and fits or not.
    #[test]
    fn a_selector_matches_exactly_where_every_given_part_holds() {
        let issuer = KeyId::from_u128(9);
        for asked in 0..32_u8 {
            let asks = |part: u8| asked & (1 << part) != 0;
            let selector = Selector {
                owner: asks(0).then(|| owner(5, "sender-team")),
                label: asks(1).then(|| "service=mailer".parse().unwrap()),
                scope: asks(2).then(|| "campaigns:send".parse().unwrap()),
                issuer: asks(3).then_some(issuer),
                environment: asks(4).then_some(Environment::Live),
            };
            for fits in 0..32_u8 {
                let fit = |part: u8| fits & (1 << part) != 0;
                let labels = labels(if fit(1) { &["service=mailer", "team=a"] } else { &["service=lists"] });
                let scopes = scopes(if fit(2) { &["verify", "campaigns:*"] } else { &["campaigns:read"] });
                let key = Selectable {
                    owner: owner(if fit(0) { 5 } else { 6 }, "sender-team").tag,
                    labels: &labels,
                    scopes: &scopes,
                    issuer: fit(3).then_some(issuer),
                    environment: if fit(4) { Environment::Live } else { Environment::Test },
                };
                assert_eq!(selector.matches(&key), asked & !fits == 0, "{selector:?} {key:?}");
            }
            assert_eq!(selector.is_all(), asked == 0);
            assert_eq!(selector.clone().of_parts().is_ok(), asked != 0);
        }
    }

    #[test]
    fn an_owner_is_the_same_however_written() {
        let selector = Selector { owner: Some(owner(5, "Sender Team")), ..Selector::default() };
        let key = Selectable {
            owner: owner(5, "sender-team").tag,
            labels: &Labels::default(),
            scopes: &ScopeSet::default(),
            issuer: None,
            environment: Environment::Test,
        };
        assert!(selector.matches(&key));
    }

    #[test]
    fn a_scope_with_a_star_asks_for_who_may_do_all_of_it() {
        for (held, matches) in
            [("lists:*", true), ("*", true), ("lists:read", false), ("lists:read:*", false)]
        {
            let scopes = scopes(&[held]);
            let selector = Selector { scope: Some("lists:*".parse().unwrap()), ..Selector::default() };
            let key = Selectable {
                owner: owner(5, "sender-team").tag,
                labels: &Labels::default(),
                scopes: &scopes,
                issuer: None,
                environment: Environment::Live,
            };
            assert_eq!(selector.matches(&key), matches, "{held}");
        }
    }
}
