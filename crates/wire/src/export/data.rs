//! The `data` of an exported event: what the event itself says.

use domain::{Event, Grant, KeyId, PolicyRules, PolicySet, Prefix, RotationRule};

use super::object::Object;
use crate::hex::hex;

impl Object<'_> {
    pub(super) fn event(&mut self, event: &Event) {
        match event {
            Event::TenantOpened(opened) => {
                self.personal("name", opened.name.as_ref());
                self.put("prefix", opened.prefix.as_str());
            }
            Event::TenantConfigured(configured) => {
                self.put("leak_response", configured.leak_response.as_str());
                self.personal("name", configured.name.as_ref());
                self.put("prefix", configured.prefix.as_str());
            }
            Event::TenantClosed(closed) => self.personal("note", closed.note.as_ref()),
            Event::KeysRecalled(recalled) => {
                self.personal("note", recalled.note.as_ref());
                self.put("reason", recalled.reason.as_str());
                self.selector(&recalled.selector);
            }
            Event::PolicySet(set) => self.policy(set),
            Event::PolicyRemoved(removed) => self.put("name", removed.name.as_str()),
            Event::OwnerErased(erased) => {
                self.put("generation", erased.generation);
                self.id("owner_tag", hex(&erased.owner.to_bytes()));
            }
            Event::KeyIssued(issued) => {
                let origin = Origin {
                    issued_by: issued.issuer,
                    predecessor: issued.predecessor,
                    prefix: Some(&issued.prefix),
                };
                self.grant(&issued.grant, &origin);
            }
            Event::KeyImported(imported) => {
                let origin = Origin { issued_by: imported.issuer, predecessor: None, prefix: None };
                self.grant(&imported.grant, &origin);
            }
            Event::KeyRenamed(renamed) => self.personal("name", renamed.name.as_ref()),
            Event::KeyRelabelled(relabelled) => self.labels(&relabelled.labels),
            Event::KeyTransferred(transferred) => self.owner(&transferred.owner),
            Event::KeyRescoped(rescoped) => self.scopes("scopes", &rescoped.scopes),
            Event::KeyRestricted(restricted) => self.networks("networks", &restricted.networks),
            Event::KeyExpiryChanged(changed) => self.instant("expires_at", changed.expires_at),
            Event::KeySuspended(suspended) => {
                self.personal("note", suspended.note.as_ref());
                self.put("reason", suspended.reason.as_str());
                self.instant("until", suspended.until);
            }
            Event::KeyReinstated(reinstated) => self.personal("note", reinstated.note.as_ref()),
            Event::KeyRotated(rotated) => self.rotation(rotated.successor, rotated.rule),
            Event::KeyFirstUsed(used) => self.instant("first_used_at", Some(used.first_used_at)),
            Event::RotationFinished(finished) => {
                self.put("forced", finished.forced);
                self.id("successor", finished.successor);
            }
            Event::RotationCancelled(cancelled) => self.id("successor", cancelled.successor),
            Event::KeyLeaked(leaked) => {
                self.put("response", leaked.response.as_str());
                self.put("source", leaked.source.as_str());
                self.personal("url", leaked.url.as_ref());
            }
            Event::KeyRevoked(revoked) => {
                self.personal("note", revoked.note.as_ref());
                self.put("reason", revoked.reason.as_str());
            }
            Event::ExpiryWarned(warned) => self.instant("expires_at", Some(warned.expires_at)),
            Event::KeyExpired(expired) => self.instant("expires_at", Some(expired.expires_at)),
        }
    }

    fn grant(&mut self, grant: &Grant, origin: &Origin<'_>) {
        self.put("environment", grant.environment.as_str());
        self.instant("expires_at", grant.expires_at);
        self.optional_id("issued_by", origin.issued_by);
        self.labels(&grant.labels);
        self.personal("name", grant.name.as_ref());
        self.networks("networks", &grant.networks);
        self.owner(&grant.owner);
        self.optional_id("predecessor", origin.predecessor);
        self.optional("prefix", origin.prefix);
        self.scopes("scopes", &grant.scopes);
    }

    fn rotation(&mut self, successor: KeyId, rule: RotationRule) {
        self.object("rule", |object| match rule {
            RotationRule::At(at) => {
                object.instant("at", Some(at));
                object.put("kind", "at");
            }
            RotationRule::OnEvidence { quiet_ms, look_back_ms } => {
                object.put("kind", "on_evidence");
                object.put("look_back_ms", look_back_ms);
                object.put("quiet_ms", quiet_ms);
            }
            RotationRule::ByHand => object.put("kind", "by_hand"),
        });
        self.id("successor", successor);
    }

    fn policy(&mut self, set: &PolicySet) {
        self.put("name", set.policy.name.as_str());
        self.object("rules", |rules| rules.rules(&set.policy.rules));
        self.selector(&set.policy.selector);
    }

    /// Only what is asked.
    fn rules(&mut self, rules: &PolicyRules) {
        self.span("default_lifetime_ms", rules.default_lifetime_ms);
        self.span("longest_lifetime_ms", rules.longest_lifetime_ms);
        if !rules.networks_allowed.is_empty() {
            self.networks("networks_allowed", &rules.networks_allowed);
        }
        if rules.networks_required {
            self.put("networks_required", true);
        }
        self.span("revoke_idle_after_ms", rules.revoke_idle_after_ms);
        self.span("rotate_after_ms", rules.rotate_after_ms);
        if !rules.scopes_allowed.is_empty() {
            self.scopes("scopes_allowed", &rules.scopes_allowed);
        }
        if !rules.scopes_denied.is_empty() {
            self.scopes("scopes_denied", &rules.scopes_denied);
        }
        self.span("suspend_idle_after_ms", rules.suspend_idle_after_ms);
        if !rules.warn_before_expiry_ms.is_empty() {
            self.put("warn_before_expiry_ms", &rules.warn_before_expiry_ms);
        }
    }
}

/// What an issue or import says of the key beside what comes with it.
struct Origin<'a> {
    issued_by: Option<KeyId>,
    predecessor: Option<KeyId>,
    /// None = imported.
    prefix: Option<&'a Prefix>,
}
