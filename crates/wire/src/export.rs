//! Events as auditors read them: one JSON object an event, every recorded field, no secret in any of them.

mod data;
mod object;

use domain::{Actor, Envelope, Position};
use serde_json::Value;

use self::object::Object;

/// The event as a JSON object with stable member names. A sealed text shows as `{"sealed":true}`.
#[must_use]
pub fn export(envelope: &Envelope, position: Position) -> Value {
    let mut line = Vec::new();
    export_into(envelope, position, &mut line);
    serde_json::from_slice(&line).expect("an exported event is JSON")
}

/// Writes the event as JSON behind what is there: the same object, members in the order of their names. Made for a whole log
/// at a time, so it builds nothing in between.
pub fn export_into(envelope: &Envelope, position: Position, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.object("actor", |member| actor(member, &envelope.actor));
    object.put("cause", envelope.cause.as_str());
    object.put("command_id", envelope.command_id.as_str());
    object.object("data", |member| member.event(&envelope.event));
    object.id("event_id", envelope.event_id);
    object.optional_id("key_id", envelope.stream.key_id());
    object.instant("occurred_at", Some(envelope.occurred_at));
    object.put("position", position.get());
    object.put("revision", envelope.revision.get());
    object.put("tenant", envelope.stream.tenant().as_str());
    if let Some(trace) = &envelope.trace_context {
        object.put("trace_context", &**trace);
    }
    object.put("type", envelope.event.name());
    object.end();
}

/// Writes what there is to say of an event that cannot be read: where it stands, and why.
pub fn export_unreadable_into(stream: &str, position: Position, reason: &str, out: &mut Vec<u8>) {
    let mut object = Object::begin(out);
    object.put("position", position.get());
    object.put("stream", stream);
    object.put("unreadable", reason);
    object.end();
}

fn actor(object: &mut Object<'_>, actor: &Actor) {
    match actor {
        Actor::System => object.put("kind", "system"),
        Actor::Holder { network } => {
            object.put("kind", "holder");
            object.personal("network", network.as_ref());
        }
        Actor::Scanner { source } => {
            object.put("kind", "scanner");
            object.put("source", source.as_str());
        }
        Actor::Operator { key_id, network } => {
            object.id("key_id", key_id);
            object.put("kind", "operator");
            object.personal("network", network.as_ref());
        }
    }
}

#[cfg(test)]
mod tests {
    use domain::Event;

    use super::*;
    use crate::arbitrary::Source;

    /// What a reader of JSON sorts and writes anew is what was written: members sorted by name, each once, nothing to spare.
    #[test]
    fn every_event_is_one_line_of_json_with_its_members_sorted() {
        let mut source = Source::seeded(21);
        for (n, name) in (0..2_400).zip(Event::NAMES.iter().cycle()) {
            let envelope = source.envelope(name);
            let mut line = Vec::new();
            export_into(&envelope, Position::new(n), &mut line);
            let line = String::from_utf8(line).unwrap();
            let value: Value = serde_json::from_str(&line).unwrap();
            assert_eq!(value.to_string(), line);
            assert_eq!(value["type"], envelope.event.name());
            assert!(!line.contains('\n'), "{line}");
        }
    }

    #[test]
    fn what_cannot_be_read_says_where_and_why() {
        let mut line = Vec::new();
        export_unreadable_into("acme._tenant", Position::new(7), "say \"why\"", &mut line);
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line, r#"{"position":7,"stream":"acme._tenant","unreadable":"say \"why\""}"#);
    }
}
