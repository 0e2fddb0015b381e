//! The commands on a tenant.

use domain::{
    CloseTenant, ConfigureTenant, EraseOwner, LeakResponse, OpenTenant, PolicyRules, RecallKeys,
    RemovePolicy, SetPolicy,
};

use super::{Canonical, Parts};

impl Canonical for OpenTenant {
    fn write(&self, parts: &mut Parts) {
        parts.command("OpenTenant", &self.tenant);
        parts.personal(self.name.as_ref());
        parts.text(self.prefix.as_str());
    }
}

impl Canonical for ConfigureTenant {
    fn write(&self, parts: &mut Parts) {
        parts.command("ConfigureTenant", &self.tenant);
        parts.optional(self.name.as_ref(), |parts, name| parts.personal(name.as_ref()));
        parts.optional_text(self.prefix.as_ref().map(|prefix| prefix.as_str()));
        parts.optional_text(self.leak_response.map(LeakResponse::as_str));
    }
}

impl Canonical for CloseTenant {
    fn write(&self, parts: &mut Parts) {
        parts.command("CloseTenant", &self.tenant);
        parts.personal(self.note.as_ref());
    }
}

impl Canonical for RecallKeys {
    fn write(&self, parts: &mut Parts) {
        parts.command("RecallKeys", &self.tenant);
        parts.selector(&self.selector);
        parts.text(self.reason.as_str());
        parts.personal(self.note.as_ref());
    }
}

impl Canonical for SetPolicy {
    fn write(&self, parts: &mut Parts) {
        parts.command("SetPolicy", &self.tenant);
        parts.text(self.policy.name.as_str());
        parts.selector(&self.policy.selector);
        parts.rules(&self.policy.rules);
    }
}

impl Canonical for RemovePolicy {
    fn write(&self, parts: &mut Parts) {
        parts.command("RemovePolicy", &self.tenant);
        parts.text(self.name.as_str());
    }
}

impl Canonical for EraseOwner {
    fn write(&self, parts: &mut Parts) {
        parts.command("EraseOwner", &self.tenant);
        parts.bytes(&self.owner.to_bytes());
    }
}

impl Parts {
    /// A span of 0 is one that is not asked, as in the stored event.
    fn rules(&mut self, rules: &PolicyRules) {
        for span in [
            rules.default_lifetime_ms,
            rules.longest_lifetime_ms,
            rules.rotate_after_ms,
            rules.suspend_idle_after_ms,
            rules.revoke_idle_after_ms,
        ] {
            self.number(span.unwrap_or_default());
        }
        self.number(rules.warn_before_expiry_ms.len() as u64);
        rules.warn_before_expiry_ms.iter().for_each(|span| self.number(*span));
        self.scopes(&rules.scopes_allowed);
        self.scopes(&rules.scopes_denied);
        self.number(rules.networks_required.into());
        self.networks(&rules.networks_allowed);
    }
}
