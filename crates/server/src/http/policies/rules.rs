//! A policy's rules in JSON: spans such as `90d` and `24h`, shown back the same way.

use std::fmt::Display;

use domain::{Networks, PolicyRules, ScopeSet};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::extract::invalid;
use crate::http::problem::Problem;
use crate::policy::span::Span;

/// What to ask of keys. Spans are a whole number and d, h, m or s; what is absent is not asked.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = PolicyRulesBody)]
pub(crate) struct RulesBody {
    /// How long a key lives that is issued without an expiry.
    default_lifetime: Option<String>,
    /// The longest that a key may be issued for; one that never expires is too long.
    longest_lifetime: Option<String>,
    /// At what age a key has to be rotated: told by review, since somebody has to receive the new secret.
    rotate_after: Option<String>,
    /// After which time without use a key is suspended.
    suspend_idle_after: Option<String>,
    /// After which time without use a key is revoked.
    revoke_idle_after: Option<String>,
    /// How long before its expiry notice is given; at most 8.
    warn_before_expiry: Vec<String>,
    /// All scopes have to lie within these.
    scopes_allowed: Vec<String>,
    /// No scope may cover, or be covered by, one of these.
    scopes_denied: Vec<String>,
    /// Whether a key has to name networks.
    networks_required: bool,
    /// All networks have to lie within these.
    networks_allowed: Vec<String>,
}

fn span(field: &str, text: Option<&str>) -> Result<Option<u64>, Problem> {
    let span = text.map(str::parse::<Span>).transpose();
    span.map(|span| span.map(|span| span.0)).map_err(|error| at(field, &error))
}

fn at(field: &str, error: &impl Display) -> Problem {
    invalid(&format!("rules.{field}"), error)
}

impl RulesBody {
    pub(super) fn read(self) -> Result<PolicyRules, Problem> {
        let warnings = self.warn_before_expiry.iter().map(|text| span("warn_before_expiry", Some(text)));
        let warnings = warnings.collect::<Result<Vec<_>, _>>()?.into_iter().flatten();
        let scopes =
            |field: &str, texts: &[String]| ScopeSet::parse(texts).map_err(|error| at(field, &error));
        Ok(PolicyRules {
            default_lifetime_ms: span("default_lifetime", self.default_lifetime.as_deref())?,
            longest_lifetime_ms: span("longest_lifetime", self.longest_lifetime.as_deref())?,
            rotate_after_ms: span("rotate_after", self.rotate_after.as_deref())?,
            suspend_idle_after_ms: span("suspend_idle_after", self.suspend_idle_after.as_deref())?,
            revoke_idle_after_ms: span("revoke_idle_after", self.revoke_idle_after.as_deref())?,
            warn_before_expiry_ms: warnings.collect(),
            scopes_allowed: scopes("scopes_allowed", &self.scopes_allowed)?,
            scopes_denied: scopes("scopes_denied", &self.scopes_denied)?,
            networks_required: self.networks_required,
            networks_allowed: Networks::parse(&self.networks_allowed)
                .map_err(|error| at("networks_allowed", &error))?,
        })
    }
}

/// What is asked of keys. Spans are a whole number and d, h, m or s; null is not asked.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyRules)]
pub(crate) struct RulesJson {
    /// How long a key lives that is issued without an expiry.
    default_lifetime: Option<String>,
    /// The longest that a key may be issued for; one that never expires is too long.
    longest_lifetime: Option<String>,
    /// At what age a key has to be rotated.
    rotate_after: Option<String>,
    /// After which time without use a key is suspended.
    suspend_idle_after: Option<String>,
    /// After which time without use a key is revoked.
    revoke_idle_after: Option<String>,
    /// How long before its expiry notice is given.
    warn_before_expiry: Vec<String>,
    /// All scopes have to lie within these; none means any.
    scopes_allowed: Vec<String>,
    /// No scope may cover, or be covered by, one of these.
    scopes_denied: Vec<String>,
    /// Whether a key has to name networks.
    networks_required: bool,
    /// All networks have to lie within these; none means any.
    networks_allowed: Vec<String>,
}

impl From<&PolicyRules> for RulesJson {
    fn from(rules: &PolicyRules) -> Self {
        let span = |ms: Option<u64>| ms.map(|ms| Span(ms).to_string());
        let scopes = |scopes: &ScopeSet| scopes.iter().map(ToString::to_string).collect();
        Self {
            default_lifetime: span(rules.default_lifetime_ms),
            longest_lifetime: span(rules.longest_lifetime_ms),
            rotate_after: span(rules.rotate_after_ms),
            suspend_idle_after: span(rules.suspend_idle_after_ms),
            revoke_idle_after: span(rules.revoke_idle_after_ms),
            warn_before_expiry: rules.warn_before_expiry_ms.iter().map(|ms| Span(*ms).to_string()).collect(),
            scopes_allowed: scopes(&rules.scopes_allowed),
            scopes_denied: scopes(&rules.scopes_denied),
            networks_required: rules.networks_required,
            networks_allowed: rules.networks_allowed.iter().map(ToString::to_string).collect(),
        }
    }
}
