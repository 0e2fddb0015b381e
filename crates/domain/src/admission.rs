//! Admission: what a tenant's policies let be when a key is made or changed.

use crate::attributes::Networks;
use crate::grant::Grant;
use crate::ids::{KeyId, Timestamp};
use crate::key::Key;
use crate::policy::{Policy, PolicyRules};
use crate::refusal::Refusal;
use crate::scope::{Scope, ScopeSet};
use crate::selector::Selectable;

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

impl PolicyRules {
    /// Every rule that a key breaks as it is, issued at `issued_at`. Nothing is refused for it any more: it is a matter of
    /// review.
    #[must_use]
    pub fn broken_by(
        &self,
        scopes: &ScopeSet,
        networks: &Networks,
        issued_at: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Vec<&'static str> {
        let lifetime = (!self.lets_expire(expires_at, issued_at)).then_some("longest_lifetime");
        let broken = [lifetime, self.broken_by_scopes(scopes), self.broken_by_networks(networks)];
        broken.into_iter().flatten().collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{NOW, denied_by, given_key, grant, issued, networks, owner, policy, scopes};
    use crate::selector::Selector;

    const DAY_MS: u64 = 24 * 60 * 60 * 1_000;

    fn lifetime(name: &str, default_days: Option<u64>, longest_days: Option<u64>) -> Policy {
        let ms = |days: u64| days * DAY_MS;
        let rules = PolicyRules {
            default_lifetime_ms: default_days.map(ms),
            longest_lifetime_ms: longest_days.map(ms),
            ..PolicyRules::default()
        };
        policy(name, Selector::ALL, rules)
    }

    fn admitted(policies: &[Policy], expires_in_days: Option<u64>) -> Result<Option<u64>, Refusal> {
        let expires_at = expires_in_days.map(|days| NOW.plus_millis(days * DAY_MS));
        let grant = admit(policies, Grant { expires_at, ..grant() }, None, NOW)?;
        Ok(grant.expires_at.map(|at| (at.as_millis() - NOW.as_millis()) / DAY_MS))
    }

    #[test]
    fn a_key_that_exists_is_told_every_rule_that_it_breaks() {
        let rules = PolicyRules {
            longest_lifetime_ms: Some(DAY_MS),
            scopes_denied: scopes(&["campaigns:*"]),
            networks_required: true,
            ..PolicyRules::default()
        };
        let broken =
            |held: &[&str], expires_at| rules.broken_by(&scopes(held), &Networks::default(), NOW, expires_at);
        assert_eq!(
            broken(&["campaigns:send"], None),
            ["longest_lifetime", "scopes_denied", "networks_required"]
        );
        assert_eq!(broken(&["lists:read"], Some(NOW.plus_millis(DAY_MS))), ["networks_required"]);
        let within = networks(&["192.0.2.0/24"]);
        let none: [&str; 0] = [];
        assert_eq!(rules.broken_by(&scopes(&[]), &within, NOW, Some(NOW.plus_millis(1))), none);
    }

    #[test]
    fn without_policies_a_grant_stays_as_it_is() {
        assert_eq!(admitted(&[], None), Ok(None));
        assert_eq!(admitted(&[], Some(7)), Ok(Some(7)));
    }

    #[test]
    fn the_shortest_default_lifetime_counts_where_no_expiry_is_asked_for() {
        let policies =
            [lifetime("a", Some(90), None), lifetime("b", Some(30), None), lifetime("c", Some(60), None)];
        assert_eq!(admitted(&policies, None), Ok(Some(30)));
        assert_eq!(admitted(&policies, Some(80)), Ok(Some(80)), "what was asked for counts");
    }

    #[test]
    fn the_longest_lifetime_binds_what_is_asked_for_and_what_is_given_by_default() {
        let longest = [lifetime("short", None, Some(30))];
        let denied = Err(denied_by("short", "longest_lifetime"));
        assert_eq!(admitted(&longest, Some(30)), Ok(Some(30)));
        assert_eq!(admitted(&longest, Some(31)), denied);
        assert_eq!(admitted(&longest, None), denied, "never is too long");
        assert_eq!(admitted(&[longest[0].clone(), lifetime("b", Some(10), None)], None), Ok(Some(10)));
        assert_eq!(admitted(&[longest[0].clone(), lifetime("b", Some(60), None)], None), denied);
    }

    #[test]
    fn a_policy_about_other_keys_says_nothing() {
        let mut foreign = lifetime("foreign", Some(1), Some(1));
        foreign.selector.owner = Some(owner(6, "lists-team"));
        assert_eq!(admitted(&[foreign], None), Ok(None));
        let mut issuers = lifetime("issuers", Some(1), None);
        issuers.selector.issuer = Some(KeyId::from_u128(9));
        let by = |issuer| admit(&[issuers.clone()], Grant { expires_at: None, ..grant() }, issuer, NOW);
        assert!(by(Some(KeyId::from_u128(9))).unwrap().expires_at.is_some());
        assert!(by(None).unwrap().expires_at.is_none());
    }

    #[test]
    fn a_denied_scope_is_denied_to_who_holds_more_and_to_who_holds_part_of_it() {
        for (denied, held, fine) in [
            ("lists:delete", "lists:delete", false),
            ("lists:delete", "lists:*", false),
            ("lists:delete", "*", false),
            ("lists:*", "lists:read", false),
            ("lists:*", "lists:read:all", false),
            ("lists:*", "*", false),
            ("*", "campaigns:send", false),
            ("lists:delete", "lists:read", true),
            ("lists:delete", "lists:delete:all", true),
            ("lists:delete:*", "lists:delete", true),
            ("lists:*", "lists", true),
            ("lists:*", "listsx:read", true),
        ] {
            let rules = PolicyRules { scopes_denied: scopes(&[denied]), ..PolicyRules::default() };
            let policies = [policy("deny", Selector::ALL, rules)];
            let outcome = admit(&policies, Grant { scopes: scopes(&["verify", held]), ..grant() }, None, NOW);
            let expected = if fine { Ok(()) } else { Err(denied_by("deny", "scopes_denied")) };
            assert_eq!(outcome.map(|_| ()), expected, "{denied} denies {held}");
        }
    }

    #[test]
    fn every_scope_lies_within_the_allowed_ones() {
        for (allowed, held, fine) in [
            (&["lists:*"][..], &["lists:read", "lists:*"][..], true),
            (&["lists:*", "verify"], &["lists:read", "verify"], true),
            (&["*"], &["*"], true),
            (&["lists:*"], &[], true),
            (&["lists:*"], &["*"], false),
            (&["lists:*"], &["lists"], false),
            (&["lists:read"], &["lists:*"], false),
            (&["lists:*"], &["lists:read", "campaigns:send"], false),
        ] {
            let rules = PolicyRules { scopes_allowed: scopes(allowed), ..PolicyRules::default() };
            let policies = [policy("allow", Selector::ALL, rules)];
            let outcome = admit(&policies, Grant { scopes: scopes(held), ..grant() }, None, NOW);
            let expected = if fine { Ok(()) } else { Err(denied_by("allow", "scopes_allowed")) };
            assert_eq!(outcome.map(|_| ()), expected, "{allowed:?} allows {held:?}");
        }
    }

    #[test]
    fn networks_are_required_and_lie_within_the_allowed_ones() {
        let rules = |networks_required, allowed: &[&str]| PolicyRules {
            networks_required,
            networks_allowed: networks(allowed),
            ..PolicyRules::default()
        };
        for (rules, held, broken) in [
            (rules(true, &[]), &[][..], Some("networks_required")),
            (rules(true, &[]), &["198.51.100.7"], None),
            (rules(true, &["192.0.0.0/16"]), &[], Some("networks_required")),
            (rules(false, &["192.0.0.0/16"]), &[], Some("networks_allowed")),
            (rules(false, &["192.0.0.0/16"]), &["192.0.2.0/24", "198.51.100.7"], Some("networks_allowed")),
            (rules(false, &["192.0.0.0/16", "198.51.100.7"]), &["192.0.2.0/24", "198.51.100.7"], None),
        ] {
            let policies = [policy("at-home", Selector::ALL, rules)];
            let outcome = admit(&policies, Grant { networks: networks(held), ..grant() }, None, NOW);
            let expected = broken.map_or(Ok(()), |rule| Err(denied_by("at-home", rule)));
            assert_eq!(outcome.map(|_| ()), expected, "{held:?}");
        }
    }

    #[test]
    fn a_change_answers_for_what_it_touches_and_for_policies_that_begin_to_hold() {
        let rules = PolicyRules {
            scopes_denied: scopes(&["campaigns:*"]),
            networks_allowed: networks(&["198.51.100.0/24"]),
            ..PolicyRules::default()
        };
        let selector = Selector { scope: Some("lists:read".parse().unwrap()), ..Selector::default() };
        let (all, lists) =
            ([policy("all", Selector::ALL, rules.clone())], [policy("lists", selector, rules)]);
        let given = given_key([issued()]);
        let before = given.key();
        let rescoped = |to: &[&str]| Key { scopes: scopes(to), ..before.clone() };
        let restricted = |to: &[&str]| Key { networks: networks(to), ..before.clone() };
        for (policies, after, broken) in [
            (&all, before.clone(), None),
            (&all, rescoped(&["campaigns:send", "verify"]), Some(("all", "scopes_denied"))),
            (&all, rescoped(&["lists:read"]), None),
            (&all, restricted(&["198.51.100.7"]), None),
            (&all, restricted(&["192.0.2.7"]), Some(("all", "networks_allowed"))),
            (&lists, restricted(&["192.0.2.7"]), None),
            (&lists, rescoped(&["lists:read"]), Some(("lists", "networks_allowed"))),
        ] {
            let expected = broken.map_or(Ok(()), |(name, rule)| Err(denied_by(name, rule)));
            assert_eq!(admit_change(policies, before, &after), expected, "{after:?}");
        }
    }
}
