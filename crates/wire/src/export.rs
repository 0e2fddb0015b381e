//! Events as auditors read them: one JSON object an event, every recorded field, no secret in any of them.

use domain::{Actor, Envelope, Event, Personal, Position};
use serde_json::{Map, Value, json};

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
        "data": data(&envelope.event),
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
    match actor {
        Actor::System => json!({"kind": "system"}),
        Actor::Operator { key_id, network } => {
            let mut object = Map::new();
            object.insert("kind".to_owned(), Value::from("operator"));
            object.insert("key_id".to_owned(), Value::from(key_id.to_string()));
            put_personal(&mut object, "network", network.as_ref());
            Value::Object(object)
        }
    }
}

fn data(event: &Event) -> Value {
    let mut object = Map::new();
    match event {
        Event::TenantOpened(opened) => {
            put_personal(&mut object, "name", opened.name.as_ref());
            object.insert("prefix".to_owned(), Value::from(opened.prefix.as_str()));
        }
        Event::KeyIssued(issued) => {
            put_personal(&mut object, "name", issued.name.as_ref());
            put_personal(&mut object, "owner", Some(&issued.owner.name));
            object.insert("prefix".to_owned(), Value::from(issued.prefix.as_str()));
            object.insert("environment".to_owned(), Value::from(issued.environment.as_str()));
            object.insert("scopes".to_owned(), issued.scopes.iter().map(ToString::to_string).collect());
            let labels: Map<String, Value> =
                issued.labels.iter().map(|l| (l.name().to_owned(), Value::from(l.value()))).collect();
            object.insert("labels".to_owned(), Value::Object(labels));
            object.insert("networks".to_owned(), issued.networks.iter().map(ToString::to_string).collect());
            if let Some(at) = issued.expires_at {
                object.insert("expires_at".to_owned(), Value::from(format_rfc3339(at)));
            }
            if let Some(issuer) = issued.issuer {
                object.insert("issued_by".to_owned(), Value::from(issuer.to_string()));
            }
        }
        Event::KeyRevoked(revoked) => {
            object.insert("reason".to_owned(), Value::from(revoked.reason.as_str()));
            put_personal(&mut object, "note", revoked.note.as_ref());
        }
        Event::KeyExpired(expired) => {
            object.insert("expires_at".to_owned(), Value::from(format_rfc3339(expired.expires_at)));
        }
    }
    Value::Object(object)
}

fn put_personal(object: &mut Map<String, Value>, name: &str, value: Option<&Personal>) {
    let shown = match value {
        None => return,
        Some(Personal::Plain(text)) => Value::from(text.as_str()),
        Some(Personal::Sealed(_)) => json!({"sealed": true}),
    };
    object.insert(name.to_owned(), shown);
}
