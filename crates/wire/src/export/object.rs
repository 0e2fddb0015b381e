//! A JSON object as it is written, with a method for each kind of field that events have.
//!
//! Members come in the order of their names, as whoever writes an event's export sees to and its tests hold.

use std::fmt::Display;
use std::io::Write;

use domain::{Labels, Networks, Owner, Personal, ScopeSet, Selector, Timestamp};
use serde::Serialize;

use crate::hex::hex;
use crate::time::write_rfc3339;

/// An object that is being written.
pub(super) struct Object<'a> {
    out: &'a mut Vec<u8>,
    is_empty: bool,
}

impl<'a> Object<'a> {
    pub(super) fn begin(out: &'a mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, is_empty: true }
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }

    /// A member's name, which is one of ours and needs no escape.
    fn name(&mut self, name: &str) {
        if !std::mem::take(&mut self.is_empty) {
            self.out.push(b',');
        }
        self.out.push(b'"');
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    fn value(&mut self, value: impl Serialize) {
        serde_json::to_writer(&mut *self.out, &value).expect("texts and numbers go into memory");
    }

    pub(super) fn put(&mut self, name: &str, value: impl Serialize) {
        self.name(name);
        self.value(value);
    }

    /// An id, which is letters and digits and needs no escape.
    pub(super) fn id(&mut self, name: &str, id: impl Display) {
        self.name(name);
        write!(self.out, "\"{id}\"").expect("a text goes into memory");
    }

    pub(super) fn object(&mut self, name: &str, members: impl FnOnce(&mut Object<'_>)) {
        self.name(name);
        let mut object = Object::begin(self.out);
        members(&mut object);
        object.end();
    }

    fn list(&mut self, name: &str, items: impl Iterator<Item = impl Display>) {
        self.name(name);
        self.out.push(b'[');
        for (n, item) in items.enumerate() {
            if n > 0 {
                self.out.push(b',');
            }
            self.value(format_args!("{item}"));
        }
        self.out.push(b']');
    }

    /// Absent if there is none.
    pub(super) fn optional(&mut self, name: &str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.put(name, format_args!("{value}"));
        }
    }

    /// Absent if there is none.
    pub(super) fn optional_id(&mut self, name: &str, id: Option<impl Display>) {
        if let Some(id) = id {
            self.id(name, id);
        }
    }

    /// Absent if there is none, which is never.
    pub(super) fn instant(&mut self, name: &str, at: Option<Timestamp>) {
        if let Some(at) = at {
            self.name(name);
            self.out.push(b'"');
            write_rfc3339(at, self.out);
            self.out.push(b'"');
        }
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
            Some(Personal::Sealed(_)) => self.object(name, |sealed| sealed.put("sealed", true)),
        }
    }

    /// The tag too: it tells two owners apart when their names are sealed.
    pub(super) fn owner(&mut self, owner: &Owner) {
        self.personal("owner", Some(&owner.name));
        self.id("owner_tag", hex(&owner.tag.to_bytes()));
    }

    pub(super) fn scopes(&mut self, name: &str, scopes: &ScopeSet) {
        self.list(name, scopes.iter());
    }

    pub(super) fn networks(&mut self, name: &str, networks: &Networks) {
        self.list(name, networks.iter());
    }

    pub(super) fn labels(&mut self, labels: &Labels) {
        // Labels are sorted by name, and a name has no character that needs an escape.
        self.object("labels", |object| {
            labels.iter().for_each(|label| object.put(label.name(), label.value()));
        });
    }

    pub(super) fn selector(&mut self, selector: &Selector) {
        self.object("selector", |parts| {
            if selector.is_all() {
                parts.put("all", true);
            }
            parts.optional("environment", selector.environment);
            parts.optional_id("issuer", selector.issuer);
            parts.optional("label", selector.label.as_ref());
            if let Some(owner) = &selector.owner {
                parts.owner(owner);
            }
            parts.optional("scope", selector.scope.as_ref());
        });
    }
}
