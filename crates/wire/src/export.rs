//! Events as auditors read them: one JSON object an event, every recorded field, no secret in any of them.

mod data;
mod object;

use domain::{Actor, Envelope, Position};
use serde_json::{Value, json};

use self::object::Object;
use crate::time::format_rfc3339;

/// The event as a JSON object with stable member names. A sealed text shows as `{"sealed":true}`.
#[must_use]
pub fn export(envelope: &Envelope, position: Position) -> Value {
    let mut object = json!({
        "position": position.get(),
        "event_id": envelope.event_id.to_string(),
        "type": envelope.event.name(),
        "tenant": envelope.stream.tenant().as_str(),
        "revision": envelope.revision.get(),
        "occurred_at": format_rfc3339(envelope.occurred_at),
        "actor": actor(&envelope.actor),
        "command_id": envelope.command_id.as_str(),
        "cause": envelope.cause.as_str(),
        "data": data::of(&envelope.event),
    });
    if let Some(key_id) = envelope.stream.key_id() {
        object["key_id"] = Value::from(key_id.to_string());
    }
    if let Some(trace) = &envelope.trace_context {
        object["trace_context"] = Value::from(&**trace);
    }
    object
}

fn actor(actor: &Actor) -> Value {
    let mut object = Object::default();
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
            object.put("kind", "operator");
            object.put("key_id", key_id.to_string());
            object.personal("network", network.as_ref());
        }
    }
    object.done()
}
