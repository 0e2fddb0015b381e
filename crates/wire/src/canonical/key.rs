//! The commands on a key.

use domain::{
    CancelRotation, ChangeExpiry, EndSuspension, ExpireKey, Finish, FinishRotation, Grant, ImportKey,
    IssueKey, MarkFirstUsed, ReinstateKey, RelabelKey, RenameKey, ReportLeak, RescopeKey, RestrictKey,
    RevokeKey, RotateKey, RotationRule, SuspendKey, TransferKey, WarnExpiry,
};

use super::{Canonical, Parts};

impl Canonical for IssueKey {
    fn write(&self, parts: &mut Parts) {
        parts.command("IssueKey", &self.tenant);
        parts.grant(&self.grant);
    }
}

impl Canonical for ImportKey {
    fn write(&self, parts: &mut Parts) {
        parts.command("ImportKey", &self.tenant);
        parts.bytes(&self.digest.to_bytes());
        parts.grant(&self.grant);
    }
}

impl Canonical for RenameKey {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("RenameKey", &self.tenant, self.key_id);
        parts.personal(self.name.as_ref());
    }
}

impl Canonical for RelabelKey {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("RelabelKey", &self.tenant, self.key_id);
        parts.list(self.labels.iter());
    }
}

impl Canonical for TransferKey {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("TransferKey", &self.tenant, self.key_id);
        parts.personal(Some(&self.owner.name));
    }
}

impl Canonical for RescopeKey {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("RescopeKey", &self.tenant, self.key_id);
        parts.scopes(&self.scopes);
    }
}

impl Canonical for RestrictKey {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("RestrictKey", &self.tenant, self.key_id);
        parts.networks(&self.networks);
    }
}

impl Canonical for ChangeExpiry {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("ChangeExpiry", &self.tenant, self.key_id);
        parts.instant(self.expires_at);
    }
}

impl Canonical for SuspendKey {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("SuspendKey", &self.tenant, self.key_id);
        parts.text(self.reason.as_str());
        parts.personal(self.note.as_ref());
        parts.instant(self.until);
    }
}

impl Canonical for ReinstateKey {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("ReinstateKey", &self.tenant, self.key_id);
        parts.personal(self.note.as_ref());
    }
}

impl Canonical for EndSuspension {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("EndSuspension", &self.tenant, self.key_id);
    }
}

impl Canonical for RotateKey {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("RotateKey", &self.tenant, self.key_id);
        match self.rule {
            RotationRule::At(at) => {
                parts.text("at");
                parts.number(at.as_millis());
            }
            RotationRule::OnEvidence { quiet_ms, look_back_ms } => {
                parts.text("on_evidence");
                parts.number(quiet_ms);
                parts.number(look_back_ms);
            }
            RotationRule::ByHand => parts.text("by_hand"),
        }
        parts.instant(self.expires_at);
    }
}

impl Canonical for MarkFirstUsed {
    /// Without the time: two servers that saw the first use at different moments ask for the same.
    fn write(&self, parts: &mut Parts) {
        parts.key_command("MarkFirstUsed", &self.tenant, self.key_id);
    }
}

impl Canonical for FinishRotation {
    /// Without what the usage record said: that is what the decision rests on, not what is asked.
    fn write(&self, parts: &mut Parts) {
        parts.key_command("FinishRotation", &self.tenant, self.key_id);
        parts.text(match self.finish {
            Finish::ByRule { quiet: _ } => "by_rule",
            Finish::ByHand => "by_hand",
            Finish::Forced => "forced",
        });
    }
}

impl Canonical for CancelRotation {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("CancelRotation", &self.tenant, self.key_id);
    }
}

impl Canonical for ReportLeak {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("ReportLeak", &self.tenant, self.key_id);
        parts.text(self.source.as_str());
        parts.personal(self.url.as_ref());
    }
}

impl Canonical for RevokeKey {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("RevokeKey", &self.tenant, self.key_id);
        parts.text(self.reason.as_str());
        parts.personal(self.note.as_ref());
    }
}

impl Canonical for WarnExpiry {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("WarnExpiry", &self.tenant, self.key_id);
        parts.number(self.before_ms);
    }
}

// Which expiry stands in the command id of this one and of the one above.
impl Canonical for ExpireKey {
    fn write(&self, parts: &mut Parts) {
        parts.key_command("ExpireKey", &self.tenant, self.key_id);
    }
}

impl Parts {
    /// The owner by name: its tag says the same.
    fn grant(&mut self, grant: &Grant) {
        self.text(grant.environment.as_str());
        self.personal(grant.name.as_ref());
        self.personal(Some(&grant.owner.name));
        self.scopes(&grant.scopes);
        self.list(grant.labels.iter());
        self.networks(&grant.networks);
        self.instant(grant.expires_at);
    }
}
