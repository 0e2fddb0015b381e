//! A JSON object under construction, with a method for each kind of field that events have.

use domain::{Labels, Networks, Owner, Personal, ScopeSet, Selector, Timestamp};
use serde_json::{Map, Value, json};

use crate::hex::hex;
use crate::time::format_rfc3339;

#[derive(Default)]
pub(super) struct Object(Map<String, Value>);

impl Object {
    pub(super) fn done(self) -> Value {
        Value::Object(self.0)
    }

    pub(super) fn put(&mut self, name: &str, value: impl Into<Value>) {
        self.0.insert(name.to_owned(), value.into());
    }

    /// Absent if there is none.
    pub(super) fn optional<T: ToString>(&mut self, name: &str, value: Option<T>) {
        if let Some(value) = value {
            self.put(name, value.to_string());
        }
    }

    /// Absent if there is none, which is never.
    pub(super) fn instant(&mut self, name: &str, at: Option<Timestamp>) {
        self.optional(name, at.map(format_rfc3339));
    }

    pub(super) fn span(&mut self, name: &str, ms: Option<u64>) {
        if let Some(ms) = ms {
            self.put(name, ms);
        }
    }

    pub(super) fn personal(&mut self, name: &str, value: Option<&Personal>) {
        match value {
            None => {}
            Some(Personal::Plain(text)) => self.put(name, text.as_str()),
            Some(Personal::Sealed(_)) => self.put(name, json!({"sealed": true})),
        }
    }

    /// The tag too: it tells two owners apart when their names are sealed.
    pub(super) fn owner(&mut self, owner: &Owner) {
        self.personal("owner", Some(&owner.name));
        self.put("owner_tag", hex(&owner.tag.to_bytes()));
    }

    pub(super) fn scopes(&mut self, name: &str, scopes: &ScopeSet) {
        self.put(name, scopes.iter().map(ToString::to_string).collect::<Value>());
    }

    pub(super) fn networks(&mut self, name: &str, networks: &Networks) {
        self.put(name, networks.iter().map(ToString::to_string).collect::<Value>());
    }

    pub(super) fn labels(&mut self, labels: &Labels) {
        let labels = labels.iter().map(|label| (label.name().to_owned(), Value::from(label.value())));
        self.put("labels", Value::Object(labels.collect()));
    }

    pub(super) fn selector(&mut self, selector: &Selector) {
        let mut parts = Self::default();
        if selector.is_all() {
            parts.put("all", true);
        }
        if let Some(owner) = &selector.owner {
            parts.owner(owner);
        }
        parts.optional("label", selector.label.as_ref());
        parts.optional("scope", selector.scope.as_ref());
        parts.optional("issuer", selector.issuer);
        parts.optional("environment", selector.environment);
        self.put("selector", parts.done());
    }
}
