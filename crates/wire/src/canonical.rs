//! A parsed command as bytes in one form, so that a keyed hash tells a repeat from a reused command id.
//!
//! What makes no difference to what is asked stays out: the spelling of the request (order of scopes, of JSON members),
//! and who asks, since whoever repeats a command with another operator's key asks for the same.

mod key;
mod tenant;

use domain::{Environment, KeyId, Networks, Personal, ScopeSet, Selector, TenantId, Timestamp};

/// A command that has one byte form.
pub trait Canonical {
    /// Writes every field that makes a difference to what is asked.
    fn write(&self, parts: &mut Parts);
}

/// Length-prefixed parts: no two lists of parts give the same bytes.
#[derive(Debug, Default)]
pub struct Parts(Vec<u8>);

impl Parts {
    /// How every command begins.
    fn command(&mut self, name: &str, tenant: &TenantId) {
        self.text(name);
        self.text(tenant.as_str());
    }

    /// How every command on a key begins.
    fn key_command(&mut self, name: &str, tenant: &TenantId, key_id: KeyId) {
        self.command(name, tenant);
        self.text(&key_id.to_string());
    }

    /// Adds a text.
    pub fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.0.extend(bytes);
    }

    /// Adds a number.
    pub fn number(&mut self, number: u64) {
        self.0.extend(number.to_be_bytes());
    }

    fn list<T: ToString>(&mut self, items: impl ExactSizeIterator<Item = T>) {
        self.number(items.len() as u64);
        items.for_each(|item| self.text(&item.to_string()));
    }

    /// 0, or 1 and what `write` makes of the value.
    fn optional<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        match value {
            None => self.number(0),
            Some(value) => {
                self.number(1);
                write(self, value);
            }
        }
    }

    fn optional_text(&mut self, text: Option<&str>) {
        self.optional(text, Self::text);
    }

    /// An instant, 0 for none: no command is about the first millisecond of 1970.
    fn instant(&mut self, at: Option<Timestamp>) {
        self.number(at.map_or(0, Timestamp::as_millis));
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
                self.bytes(bytes);
            }
        }
    }

    fn scopes(&mut self, scopes: &ScopeSet) {
        self.list(scopes.iter());
    }

    fn networks(&mut self, networks: &Networks) {
        self.list(networks.iter());
    }

    fn selector(&mut self, selector: &Selector) {
        self.personal(selector.owner.as_ref().map(|owner| &owner.name));
        self.optional(selector.label.as_ref(), |parts, label| parts.text(&label.to_string()));
        self.optional_text(selector.scope.as_ref().map(|scope| scope.as_str()));
        self.optional(selector.issuer, |parts, issuer| parts.text(&issuer.to_string()));
        self.optional_text(selector.environment.map(Environment::as_str));
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}
