//! The flags that say what a policy is about and what it asks.

use clap::Args;
use serde_json::{Value, json};

/// Which keys, and what is asked of them.
#[derive(Args, Debug, Default)]
pub(super) struct PolicyFlags {
    /// How long a key lives that is issued without an expiry: 90d
    #[arg(long, value_name = "SPAN")]
    default_lifetime: Option<String>,
    /// The longest that a key may be issued for; one that never expires is too long
    #[arg(long, value_name = "SPAN")]
    longest_lifetime: Option<String>,
    /// At what age a key has to be rotated: `rescind review` names it
    #[arg(long, value_name = "SPAN")]
    rotate_after: Option<String>,
    /// After which time without use a key is suspended
    #[arg(long, value_name = "SPAN")]
    suspend_idle_after: Option<String>,
    /// After which time without use a key is revoked
    #[arg(long, value_name = "SPAN")]
    revoke_idle_after: Option<String>,
    /// How long before its expiry notice is given; may be repeated
    #[arg(long, value_name = "SPAN")]
    warn_before_expiry: Vec<String>,
    /// All scopes have to lie within these; may be repeated
    #[arg(long = "allow-scope", value_name = "SCOPE")]
    scopes_allowed: Vec<String>,
    /// No scope may cover, or be covered by, this; may be repeated
    #[arg(long = "deny-scope", value_name = "SCOPE")]
    scopes_denied: Vec<String>,
    /// A key has to name the networks that it is used from
    #[arg(long = "require-networks")]
    networks_required: bool,
    /// All networks have to lie within these; may be repeated
    #[arg(long = "allow-network", value_name = "NETWORK")]
    networks_allowed: Vec<String>,
    /// Only keys of this owner
    #[arg(long)]
    owner: Option<String>,
    /// Only keys with this label
    #[arg(long, value_name = "NAME=VALUE")]
    label: Option<String>,
    /// Only keys that may do this
    #[arg(long)]
    scope: Option<String>,
    /// Only keys that this key issued
    #[arg(long, value_name = "KEY_ID")]
    issuer: Option<String>,
    /// Only live keys, or test keys
    #[arg(long, value_parser = ["live", "test"])]
    environment: Option<String>,
}

impl PolicyFlags {
    /// The body that the API takes.
    pub(super) fn body(&self) -> Value {
        let mut rules = json!({});
        for (member, span) in [
            ("default_lifetime", &self.default_lifetime),
            ("longest_lifetime", &self.longest_lifetime),
            ("rotate_after", &self.rotate_after),
            ("suspend_idle_after", &self.suspend_idle_after),
            ("revoke_idle_after", &self.revoke_idle_after),
        ] {
            if let Some(span) = span {
                rules[member] = json!(span);
            }
        }
        for (member, values) in [
            ("warn_before_expiry", &self.warn_before_expiry),
            ("scopes_allowed", &self.scopes_allowed),
            ("scopes_denied", &self.scopes_denied),
            ("networks_allowed", &self.networks_allowed),
        ] {
            if !values.is_empty() {
                rules[member] = json!(values);
            }
        }
        if self.networks_required {
            rules["networks_required"] = json!(true);
        }
        let mut body = json!({"rules": rules});
        for (member, value) in [
            ("owner", &self.owner),
            ("label", &self.label),
            ("scope", &self.scope),
            ("issuer", &self.issuer),
            ("environment", &self.environment),
        ] {
            if let Some(value) = value {
                body["selector"][member] = json!(value);
            }
        }
        body
    }

    /// Whether nothing was asked for.
    pub(super) fn is_empty(&self) -> bool {
        self.body() == json!({"rules": {}})
    }
}

/// The body that makes a policy as it was shown.
pub(super) fn as_shown(policy: &Value) -> Value {
    let mut selector = policy["selector"].clone();
    if let Some(members) = selector.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    json!({"selector": selector, "rules": policy["rules"]})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_is_sent() {
        assert!(PolicyFlags::default().is_empty());
        let flags = PolicyFlags {
            suspend_idle_after: Some("30d".into()),
            warn_before_expiry: vec!["14d".into(), "1d".into()],
            networks_required: true,
            environment: Some("live".into()),
            ..PolicyFlags::default()
        };
        let rules = json!({"suspend_idle_after": "30d", "warn_before_expiry": ["14d", "1d"], "networks_required": true});
        assert_eq!(flags.body(), json!({"rules": rules, "selector": {"environment": "live"}}));
    }

    #[test]
    fn a_policy_goes_back_as_it_was_shown() {
        let policy = json!({
            "name": "house", "rules": {"rotate_after": "90d"}, "state": null,
            "selector": {"owner": null, "environment": "live", "all": false}
        });
        let expected =
            json!({"selector": {"environment": "live", "all": false}, "rules": {"rotate_after": "90d"}});
        assert_eq!(as_shown(&policy), expected);
    }
}
