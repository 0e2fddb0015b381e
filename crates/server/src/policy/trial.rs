//! What a policy would have done to one key: now, over its history and usage, and in the next 30 days.

use domain::{PolicyRules, SuspendReason, Timestamp};
use projection::KeyGrant;
use projection::usage::UnknownSpan;

use crate::policy::idle::{Idle, first_idle};
use crate::policy::standing::{Turn, spans, still_idle};
use crate::policy::timeline::Timeline;

/// How far ahead warnings are told.
const AHEAD_MS: u64 = 30 * 24 * 3_600_000;

/// What would have been done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Deed {
    /// Its issue, or the change that made it so, would have been refused.
    Refuse,
    /// It would have expired: it was issued without an expiry.
    Expire,
    /// It would have been due for rotation.
    Rotate,
    /// It would have been suspended.
    Suspend,
    /// It would have been revoked.
    Revoke,
    /// Notice would be given.
    Warn,
}

impl Deed {
    /// The word in API and CLI.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Expire => "expire",
            Self::Rotate => "rotate",
            Self::Suspend => "suspend",
            Self::Revoke => "revoke",
            Self::Warn => "warn",
        }
    }
}

/// One thing that a policy would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Touch {
    pub(crate) deed: Deed,
    /// By which rule.
    pub(crate) rule: &'static str,
    /// When; none where it is not known whether it would have.
    pub(crate) at: Option<Timestamp>,
    /// In these parts nobody knows whether it was used.
    pub(crate) unknown: Vec<UnknownSpan>,
}

/// What is known of a key.
pub(crate) struct Past<'a> {
    pub(crate) grant: &'a KeyGrant,
    pub(crate) turns: &'a [Turn],
    pub(crate) timeline: &'a Timeline,
    /// All that is unknown, in the order of beginnings.
    pub(crate) unknown: &'a [UnknownSpan],
    /// All that was reported up to here is in the timeline.
    pub(crate) until: Timestamp,
    pub(crate) now: Timestamp,
    /// Whether it can still be used or reinstated.
    pub(crate) lives: bool,
    pub(crate) rotating: bool,
}

/// All that the rules would have done to a key, each rule once: the first time.
pub(crate) fn touches(rules: &PolicyRules, past: &Past<'_>) -> Vec<Touch> {
    let grant = past.grant;
    let issued_at = grant.issued_at;
    let mut found = Vec::new();
    let mut add = |deed, rule, at| found.push(Touch { deed, rule, at: Some(at), unknown: Vec::new() });
    if past.lives {
        // A key without an expiry would have been given the default one.
        let given = rules.default_lifetime_ms.map(|ms| issued_at.plus_millis(ms));
        let expires_at = grant.expires_at.or(given);
        for rule in rules.broken_by(&grant.scopes, &grant.networks, issued_at, expires_at) {
            add(Deed::Refuse, rule, issued_at);
        }
        if let (None, Some(at)) = (grant.expires_at, given) {
            add(Deed::Expire, "default_lifetime", at);
        }
        if let Some(at) = rules.rotate_after_ms.map(|ms| issued_at.plus_millis(ms))
            && at <= past.now
            && !past.rotating
        {
            add(Deed::Rotate, "rotate_after", at);
        }
        for at in grant.expires_at.into_iter().flat_map(|expires_at| warnings(rules, expires_at, past.now)) {
            add(Deed::Warn, "warn_before_expiry", at);
        }
    }
    let never = |_: Option<SuspendReason>| false;
    let suspended =
        rules.suspend_idle_after_ms.and_then(|ms| idle(past, ms, Deed::Suspend, "suspend_idle_after", never));
    let revoked = rules
        .revoke_idle_after_ms
        .and_then(|ms| idle(past, ms, Deed::Revoke, "revoke_idle_after", still_idle));
    found.into_iter().chain(suspended).chain(revoked).collect()
}

/// When notice would be given within the next 30 days; what is due already, once and now.
fn warnings(rules: &PolicyRules, expires_at: Timestamp, now: Timestamp) -> Vec<Timestamp> {
    if expires_at <= now {
        return Vec::new();
    }
    let due = |ms: &u64| Timestamp::from_millis(expires_at.as_millis().saturating_sub(*ms)).max(now);
    let mut due: Vec<_> = rules.warn_before_expiry_ms.iter().map(due).collect();
    due.retain(|at| *at <= now.plus_millis(AHEAD_MS));
    due.sort_unstable();
    due.dedup();
    due
}

/// The first time that the key was idle for so long; else where that is not known.
fn idle(
    past: &Past<'_>,
    span_ms: u64,
    deed: Deed,
    rule: &'static str,
    goes_on: impl Fn(Option<SuspendReason>) -> bool,
) -> Option<Touch> {
    let (spans, mut doubt) = (spans(past.turns, past.until, goes_on), None);
    for (gap_from, gap_to) in past.timeline.gaps(past.until) {
        for (from, to) in &spans {
            let (from, to) = (gap_from.max(*from), gap_to.min(*to));
            match first_idle(from, to, past.unknown, span_ms) {
                Idle::For(at) => return Some(Touch { deed, rule, at: Some(at), unknown: Vec::new() }),
                Idle::Unknown(unknown) => {
                    doubt.get_or_insert(Touch { deed, rule, at: None, unknown });
                }
                Idle::Not => {}
            }
        }
    }
    doubt
}

#[cfg(test)]
mod tests;
