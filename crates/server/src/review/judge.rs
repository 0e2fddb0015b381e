//! From all that is known of one key to what is wrong with it. Decides alone; asks nobody.

use domain::{
    Environment, KeyId, Policy, Position, RotationRule, Scope, ScopeSet, Standing, TenantId, Timestamp,
};
use projection::usage::{KeyUsage, UnknownSpan};
use projection::{KeyGrant, KeyRow, RotationRow, RotationState};
use wire::format_rfc3339;

use super::command::Mend;
use super::finding::{Finding, Kind};
use crate::policy::idle::{Idle, idle_now};
use crate::policy::span::Span;
use crate::policy::subject::selectable;

const DAY_MS: u64 = 24 * 3_600_000;
/// A rotation on evidence whose successor nobody used in this time has come to nothing.
const NOT_ADOPTED_MS: u64 = 30 * DAY_MS;
/// A rotation that was to end at a time is overdue so much later.
const OVERDUE_MS: u64 = 3_600_000;
/// What is proposed where no policy names a lifetime.
const PROPOSED_LIFETIME_MS: u64 = 90 * DAY_MS;
/// The most verifiers, services or scopes that one line names.
const NAMED: usize = 5;

/// What a review asks for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asked {
    /// After so long without use a key is unused.
    pub(crate) unused_ms: u64,
    /// A key is old at this age; a policy's `rotate_after` goes before.
    pub(crate) old_ms: u64,
}

/// The key that issued another, if it was revoked before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct EndedIssuer {
    pub(crate) key_id: KeyId,
    pub(crate) at: Timestamp,
    pub(crate) position: Position,
}

/// The key that is to take over in a rotation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Successor {
    pub(crate) standing: Standing,
}

/// All that is known of one key that can be used.
pub(crate) struct Subject<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) row: &'a KeyRow,
    pub(crate) grant: &'a KeyGrant,
    pub(crate) usage: &'a KeyUsage,
    /// All that is unknown, in the order of beginnings.
    pub(crate) unknown: &'a [UnknownSpan],
    /// All that was reported up to here is in the usage.
    pub(crate) until: Timestamp,
    pub(crate) now: Timestamp,
    /// The tenant's policies.
    pub(crate) policies: &'a [Policy],
    /// When its owner was recalled or left.
    pub(crate) owner_gone: Option<Timestamp>,
    pub(crate) issuer: Option<EndedIssuer>,
    pub(crate) successor: Option<Successor>,
}

/// Everything that is wrong with a key, the gravest first.
pub(crate) fn findings(key: &Subject<'_>, asked: &Asked) -> Vec<Finding> {
    let mut found = Vec::new();
    found.extend(issued_by_revoked(key));
    found.extend(orphaned(key));
    found.extend(failed_rotation(key));
    // The use of operators' keys as operators is not counted: nothing can be said of it.
    if !key.tenant.is_operators() {
        found.extend(test_in_use(key, asked));
        found.extend(unused(key, asked));
        found.extend(over_scoped(key, asked));
    }
    found.extend(never_expires(key));
    found.extend(old(key, asked));
    found.extend(breaks_policies(key));
    found
}

impl Subject<'_> {
    fn mend(&self) -> Mend<'_> {
        Mend { tenant: self.tenant, key_id: self.row.key_id }
    }

    fn found(&self, kind: Kind, since: Timestamp, evidence: String, mend: String) -> Finding {
        Finding { kind, since: Some(since), evidence, mend }
    }

    fn matching(&self) -> impl Iterator<Item = &Policy> {
        self.policies.iter().filter(|policy| policy.selector.matches(&selectable(self.grant)))
    }

    fn is_covered(&self, from: Timestamp) -> bool {
        !self.unknown.iter().any(|span| span.to > from && span.from < self.until)
    }
}

fn before(at: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_millis(at.as_millis().saturating_sub(ms))
}

fn issued_by_revoked(key: &Subject<'_>) -> Option<Finding> {
    let EndedIssuer { key_id, at, position } = key.issuer?;
    let evidence =
        format!("issued by {key_id}, which had been revoked at {} (position {position})", format_rfc3339(at));
    let mend = key.mend().by("key revoke", "--reason compromised --cascade");
    Some(key.found(Kind::IssuedByRevoked, key.grant.issued_at, evidence, mend))
}

fn orphaned(key: &Subject<'_>) -> Option<Finding> {
    let at = key.owner_gone?;
    let evidence = format!("its owner's keys were recalled at {}; this one came later", format_rfc3339(at));
    Some(key.found(Kind::Orphaned, at, evidence, key.mend().by("key revoke", "--reason owner_left")))
}

fn failed_rotation(key: &Subject<'_>) -> Option<Finding> {
    let rotation = key.row.rotation.as_ref()?;
    let RotationRow { successor, rule, started_at, adopted_at, state } = *rotation;
    let found = |evidence, verb: &str| {
        Some(key.found(Kind::FailedRotation, started_at, evidence, key.mend().by(verb, "")))
    };
    match (state, rule) {
        (RotationState::Cancelled { at }, _) => {
            found(format!("its rotation was called off at {}", format_rfc3339(at)), "key rotate")
        }
        (RotationState::Running, _) if has_ended(key.successor) => {
            found(format!("its successor {successor} cannot be used"), "rotation cancel")
        }
        (RotationState::Running, RotationRule::At(at)) if at.plus_millis(OVERDUE_MS) < key.now => found(
            format!("its rotation to {successor} was to end at {}", format_rfc3339(at)),
            "rotation finish",
        ),
        (RotationState::Running, _)
            if adopted_at.is_none() && started_at.plus_millis(NOT_ADOPTED_MS) < key.now =>
        {
            found(format!("nobody is known to have used its successor {successor}"), "rotation cancel")
        }
        _ => None,
    }
}

fn has_ended(successor: Option<Successor>) -> bool {
    successor.is_some_and(|successor| {
        matches!(successor.standing, Standing::Revoked | Standing::Recalled | Standing::Expired)
    })
}

fn test_in_use(key: &Subject<'_>, asked: &Asked) -> Option<Finding> {
    let last = key.usage.last_used.filter(|last| *last > before(key.now, asked.unused_ms))?;
    if key.grant.environment != Environment::Test {
        return None;
    }
    let services: Vec<&str> =
        key.usage.services.iter().filter_map(|seen| seen.service.as_deref()).take(NAMED).collect();
    let by = if services.is_empty() { String::new() } else { format!(" by {}", services.join(", ")) };
    let evidence = format!("a test key, last used{by} at {}", format_rfc3339(last));
    let mend = key.mend().by("key suspend", "--reason investigating");
    Some(key.found(Kind::TestInUse, key.usage.first_used.unwrap_or(last), evidence, mend))
}

fn unused(key: &Subject<'_>, asked: &Asked) -> Option<Finding> {
    let since = key.grant.issued_at.max(key.usage.last_used.unwrap_or_default());
    let suspend = || key.mend().by("key suspend", "--reason unused");
    match idle_now(since, key.until, key.unknown, asked.unused_ms) {
        Idle::Not => None,
        Idle::For(_) => Some(match key.usage.last_used {
            Some(last) => {
                key.found(Kind::Unused, last, format!("last used at {}", format_rfc3339(last)), suspend())
            }
            None if key.is_covered(key.grant.issued_at) => key.found(
                Kind::NeverUsed,
                key.grant.issued_at,
                "never used since it was issued".into(),
                suspend(),
            ),
            // Nobody knows of its first days, but of its last ones.
            None => key.found(
                Kind::Unused,
                key.grant.issued_at,
                format!("no use is known, and none of the last {} is missing", Span(asked.unused_ms)),
                suspend(),
            ),
        }),
        Idle::Unknown(spans) => {
            let mut whom: Vec<&str> = spans.iter().filter_map(|span| span.whom.as_deref()).collect();
            whom.sort_unstable();
            whom.dedup();
            whom.truncate(NAMED);
            let by = if whom.is_empty() {
                "no record of that time".to_owned()
            } else {
                format!("no reports of {}", whom.join(", "))
            };
            let known = match key.usage.last_used {
                Some(last) => format!("last known use at {}", format_rfc3339(last)),
                None => "no use is known".to_owned(),
            };
            Some(Finding {
                kind: Kind::UseUnknown,
                since: None,
                evidence: format!("{known}, but there are {by}"),
                mend: key.mend().by("key usage", ""),
            })
        }
    }
}

/// What it was ever used for is all that it keeps. Nothing is proposed where somebody used it without saying for what, or
/// where not everything is known.
fn over_scoped(key: &Subject<'_>, asked: &Asked) -> Option<Finding> {
    let held = &key.grant.scopes;
    let from = key.grant.issued_at.max(before(key.until, asked.unused_ms));
    let long_enough = key.grant.issued_at.plus_millis(asked.unused_ms) <= key.until;
    let told_apart = key.usage.scopes_other.is_none()
        && !key.usage.scopes.iter().any(|part| part.name.is_none() && part.requests.valid > 0);
    if held.is_empty()
        || key.usage.last_used.is_none()
        || !long_enough
        || !told_apart
        || !key.is_covered(from)
    {
        return None;
    }
    let parts = key.usage.scopes.iter().filter(|part| part.requests.valid > 0);
    let used: Vec<Scope> = parts
        .filter_map(|part| part.name.as_deref()?.parse().ok())
        .filter(|scope: &Scope| held.covers(scope))
        .collect();
    let proposed = ScopeSet::new(used).ok().filter(|proposed| !proposed.is_empty() && proposed != held)?;
    let spare: Vec<&str> =
        held.iter().filter(|scope| !proposed.iter().any(|used| used == *scope)).map(Scope::as_str).collect();
    if spare.is_empty() {
        return None;
    }
    let kept: Vec<&str> = proposed.iter().map(Scope::as_str).collect();
    let evidence = format!("used for {} only; it holds {} too", listed(&kept), listed(&spare));
    Some(key.found(Kind::OverScoped, key.grant.issued_at, evidence, key.mend().rescope(&proposed)))
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn never_expires(key: &Subject<'_>) -> Option<Finding> {
    if key.grant.expires_at.is_some() {
        return None;
    }
    let lifetimes = key.matching().flat_map(|policy| {
        [policy.rules.default_lifetime_ms, policy.rules.longest_lifetime_ms].into_iter().flatten()
    });
    let lifetime = lifetimes.min().unwrap_or(PROPOSED_LIFETIME_MS);
    let mend = key.mend().by("key expiry", &format!("--at {}", Span(lifetime)));
    Some(key.found(Kind::NeverExpires, key.grant.issued_at, "it has no expiry".into(), mend))
}

fn old(key: &Subject<'_>, asked: &Asked) -> Option<Finding> {
    let issued_at = key.grant.issued_at;
    let rotating = key.row.rotation.as_ref().is_some_and(|rotation| rotation.state == RotationState::Running);
    let asking = key
        .matching()
        .filter_map(|policy| Some((policy.rules.rotate_after_ms?, Some(policy))))
        .min_by_key(|(ms, _)| *ms);
    let (span_ms, policy) = asking.unwrap_or((asked.old_ms, None));
    let reached = issued_at.plus_millis(span_ms);
    if rotating || reached > key.now {
        return None;
    }
    let by = match policy {
        Some(policy) => format!("policy {} has it rotated after {}", policy.name, Span(span_ms)),
        None => format!("older than {}", Span(span_ms)),
    };
    let evidence = format!("issued at {}; {by}", format_rfc3339(issued_at));
    Some(key.found(Kind::Old, reached, evidence, key.mend().by("key rotate", "")))
}

fn breaks_policies(key: &Subject<'_>) -> Vec<Finding> {
    let grant = key.grant;
    let mut found = Vec::new();
    for policy in key.matching() {
        let rules = &policy.rules;
        for rule in rules.broken_by(&grant.scopes, &grant.networks, grant.issued_at, grant.expires_at) {
            let mend = match rule {
                "longest_lifetime" => {
                    let span = Span(rules.longest_lifetime_ms.unwrap_or(PROPOSED_LIFETIME_MS));
                    key.mend().by("key expiry", &format!("--at {span}"))
                }
                "scopes_allowed" | "scopes_denied" => key.mend().rescope(&allowed(policy, &grant.scopes)),
                _ => restricted(key, policy),
            };
            let evidence = format!("policy {} asks for {rule}", policy.name);
            found.push(key.found(Kind::BreaksPolicy, grant.issued_at, evidence, mend));
        }
    }
    found
}

/// What of the scopes a policy leaves.
fn allowed(policy: &Policy, held: &ScopeSet) -> ScopeSet {
    let rules = &policy.rules;
    let fits = |scope: &&Scope| {
        (rules.scopes_allowed.is_empty() || rules.scopes_allowed.covers(scope))
            && !rules.scopes_denied.iter().any(|denied| scope.covers(denied) || denied.covers(scope))
    };
    ScopeSet::new(held.iter().filter(fits).cloned().collect()).unwrap_or_default()
}

/// The networks that the policy allows, else those that it came from; where neither is known, it is to be looked at.
fn restricted(key: &Subject<'_>, policy: &Policy) -> String {
    let allowed = &policy.rules.networks_allowed;
    if !allowed.is_empty() {
        return key.mend().restrict(allowed.iter());
    }
    let seen: Vec<&str> = key.usage.networks.iter().filter_map(|part| part.name.as_deref()).collect();
    if seen.is_empty() || key.usage.networks_other.is_some() {
        return key.mend().by("key usage", "");
    }
    key.mend().restrict(seen)
}
