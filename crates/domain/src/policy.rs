//! Policies: what a tenant asks of its keys, as data.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::attributes::Networks;
use crate::scope::ScopeSet;
use crate::selector::Selector;

/// Why a policy cannot be.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
pub enum PolicyError {
    /// Not a policy's name.
    #[error("a policy's name is 1 to 63 of a-z, 0-9 and -, and begins with a letter or digit")]
    Name,
    /// A span of zero, or beyond a hundred years.
    #[error("a span of {rule} is at least a second and at most a hundred years")]
    Span {
        /// Which.
        rule: &'static str,
    },
    /// Too many warnings.
    #[error("a policy warns at most 8 times")]
    Warnings,
    /// Two rules that cannot both hold.
    #[error("{shorter} must not be longer than {longer}")]
    Order {
        /// What has to be the shorter one.
        shorter: &'static str,
        /// What has to be the longer one.
        longer: &'static str,
    },
    /// No rule at all.
    #[error("a policy has at least one rule")]
    Empty,
}

/// What a policy is called; unique in its tenant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyName(Box<str>);

impl PolicyName {
    const MAX_LEN: usize = 63;

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PolicyName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for PolicyName {
    type Err = PolicyError;

    fn from_str(text: &str) -> Result<Self, PolicyError> {
        let fits = (1..=Self::MAX_LEN).contains(&text.len())
            && !text.starts_with('-')
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if fits { Ok(Self(text.into())) } else { Err(PolicyError::Name) }
    }
}

/// Rules for the keys of a tenant that match a selector; made by [`Policy::new`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Policy {
    /// What it is called.
    pub name: PolicyName,
    /// Which keys it is about.
    pub selector: Selector,
    /// What it asks of them.
    pub rules: PolicyRules,
}

/// What can be asked. Spans in milliseconds; what is absent is not asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PolicyRules {
    /// How long a key lives that is issued without an expiry.
    pub default_lifetime_ms: Option<u64>,
    /// The longest that a key may be issued for; one that never expires is too long.
    pub longest_lifetime_ms: Option<u64>,
    /// At what age a key has to be rotated.
    pub rotate_after_ms: Option<u64>,
    /// After which time without use a key is suspended.
    pub suspend_idle_after_ms: Option<u64>,
    /// After which time without use a key is revoked.
    pub revoke_idle_after_ms: Option<u64>,
    /// How long before its expiry notice is given.
    pub warn_before_expiry_ms: Vec<u64>,
    /// All scopes have to lie within these; none means any.
    pub scopes_allowed: ScopeSet,
    /// No scope may cover, or be covered by, one of these.
    pub scopes_denied: ScopeSet,
    /// Whether a key has to name networks.
    pub networks_required: bool,
    /// All networks have to lie within these; none means any.
    pub networks_allowed: Networks,
}

impl Policy {
    /// The most policies of one tenant: each is looked at whenever a key is issued.
    pub const MAX_PER_TENANT: usize = 32;

    /// Puts a policy together.
    ///
    /// # Errors
    /// [`PolicyError`] for rules that cannot be or contradict each other.
    pub fn new(name: PolicyName, selector: Selector, mut rules: PolicyRules) -> Result<Self, PolicyError> {
        rules.warn_before_expiry_ms.sort_unstable();
        rules.warn_before_expiry_ms.dedup();
        rules.check()?;
        Ok(Self { name, selector, rules })
    }
}

impl PolicyRules {
    const MAX_WARNINGS: usize = 8;
    const SHORTEST_MS: u64 = 1_000;
    const LONGEST_MS: u64 = 100 * 366 * 24 * 60 * 60 * 1_000;

    fn check(&self) -> Result<(), PolicyError> {
        if *self == Self::default() {
            return Err(PolicyError::Empty);
        }
        if self.warn_before_expiry_ms.len() > Self::MAX_WARNINGS {
            return Err(PolicyError::Warnings);
        }
        let single = [
            ("default_lifetime", self.default_lifetime_ms),
            ("longest_lifetime", self.longest_lifetime_ms),
            ("rotate_after", self.rotate_after_ms),
            ("suspend_idle_after", self.suspend_idle_after_ms),
            ("revoke_idle_after", self.revoke_idle_after_ms),
        ];
        let warnings = self.warn_before_expiry_ms.iter().map(|ms| ("warn_before_expiry", Some(*ms)));
        for (rule, span) in single.into_iter().chain(warnings) {
            if span.is_some_and(|ms| !(Self::SHORTEST_MS..=Self::LONGEST_MS).contains(&ms)) {
                return Err(PolicyError::Span { rule });
            }
        }
        let order = |shorter, a: Option<u64>, longer, b: Option<u64>| match (a, b) {
            (Some(a), Some(b)) if a > b => Err(PolicyError::Order { shorter, longer }),
            _ => Ok(()),
        };
        order("default_lifetime", self.default_lifetime_ms, "longest_lifetime", self.longest_lifetime_ms)?;
        order(
            "suspend_idle_after",
            self.suspend_idle_after_ms,
            "revoke_idle_after",
            self.revoke_idle_after_ms,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rules: PolicyRules) -> Result<Policy, PolicyError> {
        Policy::new("house".parse().unwrap(), Selector::ALL, rules)
    }

    #[test]
    fn a_name_keeps_to_its_alphabet() {
        for good in ["a", "0-idle", &"x".repeat(63)] {
            assert_eq!(good.parse::<PolicyName>().unwrap().to_string(), good);
        }
        for bad in ["", "-a", "A", "a b", "a.b", &"x".repeat(64)] {
            assert_eq!(bad.parse::<PolicyName>(), Err(PolicyError::Name), "{bad:?}");
        }
    }

    #[test]
    fn a_policy_without_a_rule_is_none() {
        assert_eq!(check(PolicyRules::default()), Err(PolicyError::Empty));
        assert!(check(PolicyRules { networks_required: true, ..PolicyRules::default() }).is_ok());
    }

    #[test]
    fn every_span_has_its_bounds() {
        type Asking = fn(u64) -> PolicyRules;
        let spans: [(&str, Asking); 6] = [
            ("default_lifetime", |ms| PolicyRules {
                default_lifetime_ms: Some(ms),
                ..PolicyRules::default()
            }),
            ("longest_lifetime", |ms| PolicyRules {
                longest_lifetime_ms: Some(ms),
                ..PolicyRules::default()
            }),
            ("rotate_after", |ms| PolicyRules { rotate_after_ms: Some(ms), ..PolicyRules::default() }),
            ("suspend_idle_after", |ms| PolicyRules {
                suspend_idle_after_ms: Some(ms),
                ..PolicyRules::default()
            }),
            ("revoke_idle_after", |ms| PolicyRules {
                revoke_idle_after_ms: Some(ms),
                ..PolicyRules::default()
            }),
            ("warn_before_expiry", |ms| PolicyRules {
                warn_before_expiry_ms: vec![ms],
                ..PolicyRules::default()
            }),
        ];
        for (rule, rules) in spans {
            for (ms, fits) in [
                (0, false),
                (PolicyRules::SHORTEST_MS - 1, false),
                (PolicyRules::SHORTEST_MS, true),
                (PolicyRules::LONGEST_MS, true),
                (PolicyRules::LONGEST_MS + 1, false),
                (u64::MAX, false),
            ] {
                let expected = if fits { Ok(()) } else { Err(PolicyError::Span { rule }) };
                assert_eq!(check(rules(ms)).map(|_| ()), expected, "{rule} {ms}");
            }
        }
    }

    #[test]
    fn what_has_to_be_shorter_is() {
        for (shorter_ms, longer_ms, fits) in
            [(5_000, 5_000, true), (5_000, 6_000, true), (6_000, 5_000, false)]
        {
            let lifetimes = PolicyRules {
                default_lifetime_ms: Some(shorter_ms),
                longest_lifetime_ms: Some(longer_ms),
                ..PolicyRules::default()
            };
            let idle = PolicyRules {
                suspend_idle_after_ms: Some(shorter_ms),
                revoke_idle_after_ms: Some(longer_ms),
                ..PolicyRules::default()
            };
            for (rules, shorter, longer) in [
                (lifetimes, "default_lifetime", "longest_lifetime"),
                (idle, "suspend_idle_after", "revoke_idle_after"),
            ] {
                let expected = if fits { Ok(()) } else { Err(PolicyError::Order { shorter, longer }) };
                assert_eq!(check(rules).map(|_| ()), expected);
            }
        }
        let error = PolicyError::Order { shorter: "suspend_idle_after", longer: "revoke_idle_after" };
        assert_eq!(error.to_string(), "suspend_idle_after must not be longer than revoke_idle_after");
    }

    #[test]
    fn warnings_are_sorted_each_once_and_few() {
        let warned =
            |spans: Vec<u64>| check(PolicyRules { warn_before_expiry_ms: spans, ..PolicyRules::default() });
        let policy = warned(vec![3_000, 1_000, 3_000]).unwrap();
        assert_eq!(policy.rules.warn_before_expiry_ms, [1_000, 3_000]);
        assert!(warned((1..=8).map(|n| n * 1_000).collect()).is_ok());
        assert_eq!(warned((1..=9).map(|n| n * 1_000).collect()), Err(PolicyError::Warnings));
    }
}
