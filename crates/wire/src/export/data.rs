//! The `data` of an exported event: what the event itself says.

use domain::{Event, Grant, KeyId, PolicyRules, PolicySet, RotationRule};
use serde_json::Value;

use super::object::Object;
use crate::time::format_rfc3339;

pub(super) fn of(event: &Event) -> Value {
    let mut object = Object::default();
    object.event(event);
    object.done()
}

impl Object {
    fn event(&mut self, event: &Event) {
        match event {
            Event::TenantOpened(opened) => {
                self.personal("name", opened.name.as_ref());
                self.put("prefix", opened.prefix.as_str());
            }
            Event::TenantConfigured(configured) => {
                self.personal("name", configured.name.as_ref());
                self.put("prefix", configured.prefix.as_str());
                self.put("leak_response", configured.leak_response.as_str());
            }
            Event::TenantClosed(closed) => self.personal("note", closed.note.as_ref()),
            Event::KeysRecalled(recalled) => {
                self.selector(&recalled.selector);
                self.put("reason", recalled.reason.as_str());
                self.personal("note", recalled.note.as_ref());
            }
            Event::PolicySet(set) => self.policy(set),
            Event::PolicyRemoved(removed) => self.put("name", removed.name.as_str()),
            Event::KeyIssued(issued) => {
                self.put("prefix", issued.prefix.as_str());
                self.grant(&issued.grant);
                self.optional("issued_by", issued.issuer);
                self.optional("predecessor", issued.predecessor);
            }
            Event::KeyImported(imported) => {
                self.grant(&imported.grant);
                self.optional("issued_by", imported.issuer);
            }
            Event::KeyRenamed(renamed) => self.personal("name", renamed.name.as_ref()),
            Event::KeyRelabelled(relabelled) => self.labels(&relabelled.labels),
            Event::KeyTransferred(transferred) => self.owner(&transferred.owner),
            Event::KeyRescoped(rescoped) => self.scopes("scopes", &rescoped.scopes),
            Event::KeyRestricted(restricted) => self.networks("networks", &restricted.networks),
            Event::KeyExpiryChanged(changed) => self.instant("expires_at", changed.expires_at),
            Event::KeySuspended(suspended) => {
                self.put("reason", suspended.reason.as_str());
                self.personal("note", suspended.note.as_ref());
                self.instant("until", suspended.until);
            }
            Event::KeyReinstated(reinstated) => self.personal("note", reinstated.note.as_ref()),
            Event::KeyRotated(rotated) => self.rotation(rotated.successor, rotated.rule),
            Event::KeyFirstUsed(used) => self.instant("first_used_at", Some(used.first_used_at)),
            Event::RotationFinished(finished) => {
                self.put("successor", finished.successor.to_string());
                self.put("forced", finished.forced);
            }
            Event::RotationCancelled(cancelled) => self.put("successor", cancelled.successor.to_string()),
            Event::KeyLeaked(leaked) => {
                self.put("source", leaked.source.as_str());
                self.personal("url", leaked.url.as_ref());
                self.put("response", leaked.response.as_str());
            }
            Event::KeyRevoked(revoked) => {
                self.put("reason", revoked.reason.as_str());
                self.personal("note", revoked.note.as_ref());
            }
            Event::ExpiryWarned(warned) => self.instant("expires_at", Some(warned.expires_at)),
            Event::KeyExpired(expired) => self.instant("expires_at", Some(expired.expires_at)),
        }
    }

    fn grant(&mut self, grant: &Grant) {
        self.personal("name", grant.name.as_ref());
        self.owner(&grant.owner);
        self.put("environment", grant.environment.as_str());
        self.scopes("scopes", &grant.scopes);
        self.labels(&grant.labels);
        self.networks("networks", &grant.networks);
        self.instant("expires_at", grant.expires_at);
    }

    fn rotation(&mut self, successor: KeyId, rule: RotationRule) {
        self.put("successor", successor.to_string());
        let mut object = Self::default();
        match rule {
            RotationRule::At(at) => {
                object.put("kind", "at");
                object.put("at", format_rfc3339(at));
            }
            RotationRule::OnEvidence { quiet_ms, look_back_ms } => {
                object.put("kind", "on_evidence");
                object.put("quiet_ms", quiet_ms);
                object.put("look_back_ms", look_back_ms);
            }
            RotationRule::ByHand => object.put("kind", "by_hand"),
        }
        self.put("rule", object.done());
    }

    fn policy(&mut self, set: &PolicySet) {
        self.put("name", set.policy.name.as_str());
        self.selector(&set.policy.selector);
        let mut rules = Self::default();
        rules.rules(&set.policy.rules);
        self.put("rules", rules.done());
    }

    /// Only what is asked.
    fn rules(&mut self, rules: &PolicyRules) {
        self.span("default_lifetime_ms", rules.default_lifetime_ms);
        self.span("longest_lifetime_ms", rules.longest_lifetime_ms);
        self.span("rotate_after_ms", rules.rotate_after_ms);
        self.span("suspend_idle_after_ms", rules.suspend_idle_after_ms);
        self.span("revoke_idle_after_ms", rules.revoke_idle_after_ms);
        if !rules.warn_before_expiry_ms.is_empty() {
            self.put("warn_before_expiry_ms", rules.warn_before_expiry_ms.clone());
        }
        if !rules.scopes_allowed.is_empty() {
            self.scopes("scopes_allowed", &rules.scopes_allowed);
        }
        if !rules.scopes_denied.is_empty() {
            self.scopes("scopes_denied", &rules.scopes_denied);
        }
        if rules.networks_required {
            self.put("networks_required", true);
        }
        if !rules.networks_allowed.is_empty() {
            self.networks("networks_allowed", &rules.networks_allowed);
        }
    }
}
