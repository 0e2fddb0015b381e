//! Policies: what a tenant asks of its keys, as data.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::attributes::Networks;
use crate::grant::Grant;
use crate::ids::{KeyId, Timestamp};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::scope::{Scope, ScopeSet};
use crate::selector::{Selectable, Selector};

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

    /// The first rule about scopes that these break.
    fn broken_by_scopes(&self, scopes: &ScopeSet) -> Option<&'static str> {
        let allowed = &self.scopes_allowed;
        if !allowed.is_empty() && allowed.first_not_covered(scopes).is_some() {
            return Some("scopes_allowed");
        }
        let denied = |denied: &Scope| scopes.iter().any(|held| held.covers(denied) || denied.covers(held));
        if self.scopes_denied.iter().any(denied) {
            return Some("scopes_denied");
        }
        None
    }

    /// The first rule about networks that these break.
    fn broken_by_networks(&self, networks: &Networks) -> Option<&'static str> {
        if self.networks_required && networks.is_empty() {
            return Some("networks_required");
        }
        if !self.networks_allowed.contain(networks) {
            return Some("networks_allowed");
        }
        None
    }

    fn lets_expire(&self, expires_at: Option<Timestamp>, now: Timestamp) -> bool {
        let longest = self.longest_lifetime_ms.map(|ms| now.plus_millis(ms));
        longest.is_none_or(|longest| expires_at.is_some_and(|at| at <= longest))
    }
}

impl Policy {
    fn denies(&self, rule: &'static str) -> Refusal {
        Refusal::PolicyDenies { policy: self.name.clone(), rule }
    }
}

/// A new key's grant as the policies let it be: with the shortest default lifetime where it names no expiry.
///
/// # Errors
/// [`Refusal::PolicyDenies`] with the first rule that the grant breaks.
pub(crate) fn admit(
    policies: &[Policy],
    mut grant: Grant,
    issuer: Option<KeyId>,
    now: Timestamp,
) -> Result<Grant, Refusal> {
    let selectable = Selectable {
        owner: grant.owner.tag,
        labels: &grant.labels,
        scopes: &grant.scopes,
        issuer,
        environment: grant.environment,
    };
    let matching: Vec<_> = policies.iter().filter(|policy| policy.selector.matches(&selectable)).collect();
    if grant.expires_at.is_none() {
        let shortest = matching.iter().filter_map(|policy| policy.rules.default_lifetime_ms).min();
        grant.expires_at = shortest.map(|ms| now.plus_millis(ms));
    }
    for policy in matching {
        if !policy.rules.lets_expire(grant.expires_at, now) {
            return Err(policy.denies("longest_lifetime"));
        }
        let rules = &policy.rules;
        let broken =
            rules.broken_by_scopes(&grant.scopes).or_else(|| rules.broken_by_networks(&grant.networks));
        if let Some(rule) = broken {
            return Err(policy.denies(rule));
        }
    }
    Ok(grant)
}

/// Whether a key may become what a change makes of it. A rule that the key breaks already, and that the change does not touch,
/// is no reason to refuse the change: policies set later are a matter of review.
///
/// # Errors
/// [`Refusal::PolicyDenies`] with the first rule that the change breaks.
pub(crate) fn admit_change(policies: &[Policy], before: &Key, after: &Key) -> Result<(), Refusal> {
    for policy in policies.iter().filter(|policy| policy.selector.matches(&after.selectable())) {
        let newly = !policy.selector.matches(&before.selectable());
        let rescoped = newly || before.scopes != after.scopes;
        let restricted = newly || before.networks != after.networks;
        let rules = &policy.rules;
        let broken = rescoped
            .then(|| rules.broken_by_scopes(&after.scopes))
            .flatten()
            .or_else(|| restricted.then(|| rules.broken_by_networks(&after.networks)).flatten());
        if let Some(rule) = broken {
            return Err(policy.denies(rule));
        }
    }
    Ok(())
}

/// Whether a key's expiry may be moved: no further from `now` than a new key's could be.
///
/// # Errors
/// [`Refusal::PolicyDenies`] when it would live too long.
pub(crate) fn admit_expiry(
    policies: &[Policy],
    key: &Key,
    expires_at: Option<Timestamp>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let mut matching = policies.iter().filter(|policy| policy.selector.matches(&key.selectable()));
    match matching.find(|policy| !policy.rules.lets_expire(expires_at, now)) {
        Some(policy) => Err(policy.denies("longest_lifetime")),
        None => Ok(()),
    }
}
