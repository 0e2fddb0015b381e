//! Which events a reader of the log wants to see, and how each becomes a line.

use std::collections::HashSet;
use std::str::FromStr;

use domain::{Actor, Envelope, Event, KeyId, OwnerTag, Position, StreamName, TenantId};
use eventlog::{Recorded, StreamId};
use thiserror::Error;

/// What a reader wants to see; what is `None` does not matter.
pub(super) struct Filter {
    pub(super) first: Position,
    pub(super) last: Position,
    pub(super) tenant: Option<TenantId>,
    pub(super) key: Option<KeyId>,
    pub(super) actor: Option<ByActor>,
    pub(super) types: Option<ByType>,
}

impl Filter {
    /// The event, if it is wanted. One that cannot be read is shown where nothing excludes it. An owner has to be shown every
    /// event, in the order of the log.
    pub(super) fn read(&self, event: Recorded, owner: Option<&mut ByOwner>) -> Option<Line> {
        let Recorded { position, stream: id, payload, .. } = event;
        if position > self.last {
            return None;
        }
        let stream: Option<StreamName> = id.as_str().parse().ok();
        let tenant = stream.as_ref().map(StreamName::tenant);
        let of_tenant = self.tenant.as_ref().is_none_or(|wanted| tenant == Some(wanted));
        let of_key =
            self.key.is_none_or(|wanted| stream.as_ref().and_then(StreamName::key_id) == Some(wanted));
        if !(of_tenant && of_key) {
            return None;
        }
        let line = match stream.as_ref().map(|stream| wire::decode(stream, &payload)) {
            Some(Ok(envelope)) => {
                self.wants(&envelope, owner).then(|| Line { position, says: Says::Event(Box::new(envelope)) })
            }
            Some(Err(unreadable)) => Some(Line::unreadable(position, id, unreadable.to_string())),
            None => {
                let why = "its stream is neither a key's nor a tenant's".to_owned();
                Some(Line::unreadable(position, id, why))
            }
        };
        line.filter(|_| position >= self.first)
    }

    fn wants(&self, envelope: &Envelope, owner: Option<&mut ByOwner>) -> bool {
        // Asked first and always: it has to hear of every event.
        let of_owner = owner.is_none_or(|owner| owner.hears(envelope));
        of_owner
            && self.actor.as_ref().is_none_or(|actor| actor.is(&envelope.actor))
            && self.types.as_ref().is_none_or(|types| types.0.contains(envelope.event.name()))
    }
}

/// The keys that belong to one owner, as the events of its tenant tell. It holds an id a key of the owner, much less than the
/// index does.
pub(super) struct ByOwner {
    tag: OwnerTag,
    keys: HashSet<KeyId>,
}

impl ByOwner {
    pub(super) fn new(tag: OwnerTag) -> Self {
        Self { tag, keys: HashSet::new() }
    }

    /// Takes note of an event, and answers whether it concerns the owner: before it or after it the key is the owner's.
    fn hears(&mut self, envelope: &Envelope) -> bool {
        let StreamName::Key(_, key_id) = &envelope.stream else {
            let names = |owner: &domain::Owner| owner.tag == self.tag;
            return matches!(&envelope.event, Event::KeysRecalled(recalled)
                if recalled.selector.owner.as_ref().is_some_and(names));
        };
        let before = self.keys.contains(key_id);
        let owner = match &envelope.event {
            Event::KeyIssued(issued) => &issued.grant.owner,
            Event::KeyImported(imported) => &imported.grant.owner,
            Event::KeyTransferred(transferred) => &transferred.owner,
            _ => return before,
        };
        if owner.tag == self.tag {
            self.keys.insert(*key_id);
            return true;
        }
        self.keys.remove(key_id);
        before
    }
}

/// Who asked.
pub(super) enum ByActor {
    System,
    Holder,
    Scanner,
    Operator(Option<KeyId>),
}

/// A text that names nobody who can ask.
#[derive(Clone, Copy, Debug, Error)]
#[error("it is operator, system, holder, scanner, or the id of an operator's key")]
pub(super) struct ActorError;

impl FromStr for ByActor {
    type Err = ActorError;

    fn from_str(text: &str) -> Result<Self, ActorError> {
        Ok(match text {
            "system" => Self::System,
            "holder" => Self::Holder,
            "scanner" => Self::Scanner,
            "operator" => Self::Operator(None),
            key_id => Self::Operator(Some(key_id.parse().map_err(|_| ActorError)?)),
        })
    }
}

impl ByActor {
    fn is(&self, actor: &Actor) -> bool {
        match (self, actor) {
            (Self::System, Actor::System)
            | (Self::Holder, Actor::Holder { .. })
            | (Self::Scanner, Actor::Scanner { .. }) => true,
            (Self::Operator(wanted), Actor::Operator { key_id, .. }) => {
                wanted.is_none_or(|wanted| wanted == *key_id)
            }
            _ => false,
        }
    }
}

/// What happened: names of events.
pub(super) struct ByType(HashSet<&'static str>);

/// A text that names no events.
#[derive(Clone, Debug, Error)]
#[error("there is no type of event of one of these names; they are {}", Event::NAMES.join(", "))]
pub(super) struct TypeError;

impl FromStr for ByType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        let named = |name: &str| Event::NAMES.iter().find(|known| **known == name.trim()).copied();
        text.split(',').map(named).collect::<Option<_>>().map(Self).ok_or(TypeError)
    }
}

/// An event on its way to a reader.
pub(super) struct Line {
    position: Position,
    says: Says,
}

enum Says {
    Event(Box<Envelope>),
    /// In which stream, and why it cannot be read.
    Unreadable(StreamId, String),
}

impl Line {
    fn unreadable(position: Position, stream: StreamId, why: String) -> Self {
        Self { position, says: Says::Unreadable(stream, why) }
    }

    /// The event, whose texts are still sealed.
    pub(super) fn envelope(&mut self) -> Option<&mut Envelope> {
        match &mut self.says {
            Says::Event(envelope) => Some(envelope),
            Says::Unreadable(..) => None,
        }
    }

    /// The one place where an event of the log becomes text for a reader.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        match &self.says {
            Says::Event(envelope) => wire::export_into(envelope, self.position, out),
            Says::Unreadable(stream, why) => {
                wire::export_unreadable_into(stream.as_str(), self.position, why, out);
            }
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actors_and_types_are_read_and_others_refused() {
        for good in ["system", "holder", "scanner", "operator", "01JDA7W5W6M4Q0T3S8V2N9X1YZ"] {
            assert!(good.parse::<ByActor>().is_ok(), "{good}");
        }
        for bad in ["", "System", "01JDA7", "rsk_live_x"] {
            assert!(bad.parse::<ByActor>().is_err(), "{bad}");
        }
        let types: ByType = "KeyRevoked, KeyLeaked".parse().unwrap();
        assert_eq!(types.0, HashSet::from(["KeyRevoked", "KeyLeaked"]));
        for bad in ["", "keyrevoked", "KeyRevoked,", "KeyRevoked,KeyLost"] {
            assert!(bad.parse::<ByType>().is_err(), "{bad}");
        }
    }
}
