//! A parsed command as bytes in one form, so that a keyed hash tells a repeat from a reused command id.

use domain::{ExpireKey, IssueKey, OpenTenant, Personal, RevokeKey};

/// A command that has one byte form. Spelling of the request (order of scopes, of JSON members) does not enter it.
pub trait Canonical {
    /// Writes every field that makes a difference to what is asked.
    fn write(&self, parts: &mut Parts);
}

/// Length-prefixed parts: no two lists of parts give the same bytes.
#[derive(Debug, Default)]
pub struct Parts(Vec<u8>);

impl Parts {
    fn text(&mut self, text: &str) {
        self.0.extend((text.len() as u64).to_be_bytes());
        self.0.extend(text.as_bytes());
    }

    fn number(&mut self, number: u64) {
        self.0.extend(number.to_be_bytes());
    }

    fn list<T: ToString>(&mut self, items: impl ExactSizeIterator<Item = T>) {
        self.number(items.len() as u64);
        items.for_each(|item| self.text(&item.to_string()));
    }

    fn personal(&mut self, value: Option<&Personal>) {
        match value {
            None => self.number(0),
            Some(Personal::Plain(text)) => {
                self.number(1);
                self.text(text.as_str());
            }
            Some(Personal::Sealed(bytes)) => {
                self.number(2);
                self.number(bytes.len() as u64);
                self.0.extend(bytes);
            }
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Canonical for OpenTenant {
    fn write(&self, parts: &mut Parts) {
        parts.text("OpenTenant");
        parts.text(self.tenant.as_str());
        parts.personal(self.name.as_ref());
        parts.text(self.prefix.as_str());
    }
}

impl Canonical for IssueKey {
    /// Leaves the issuer out: who repeats a command with another operator's key asks for the same.
    fn write(&self, parts: &mut Parts) {
        parts.text("IssueKey");
        parts.text(self.tenant.as_str());
        parts.text(self.environment.as_str());
        parts.personal(self.name.as_ref());
        parts.personal(Some(&self.owner.name));
        parts.list(self.scopes.iter());
        parts.list(self.labels.iter());
        parts.list(self.networks.iter());
        parts.number(self.expires_at.map_or(0, |at| at.as_millis()));
    }
}

impl Canonical for RevokeKey {
    fn write(&self, parts: &mut Parts) {
        parts.text("RevokeKey");
        parts.text(self.tenant.as_str());
        parts.text(&self.key_id.to_string());
        parts.text(self.reason.as_str());
        parts.personal(self.note.as_ref());
    }
}

impl Canonical for ExpireKey {
    fn write(&self, parts: &mut Parts) {
        parts.text("ExpireKey");
        parts.text(self.tenant.as_str());
        parts.text(&self.key_id.to_string());
    }
}
