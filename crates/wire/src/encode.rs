//! From a domain event to its stored bytes.

use domain::{Actor, Cause, Envelope, Environment, Event, KeyIssued, Personal, RevokeReason};
use prost::Message;

use crate::proto;

/// What this build understands. An event that asks for more is unreadable here.
pub const READER_LEVEL: u32 = 1;

/// The stored bytes of an event. The same envelope always gives the same bytes.
#[must_use]
pub fn encode(envelope: &Envelope) -> Vec<u8> {
    proto::Envelope {
        min_reader: READER_LEVEL,
        event_id: envelope.event_id.to_bytes().to_vec(),
        tenant: envelope.stream.tenant().to_string(),
        key_id: envelope.stream.key_id().map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
        revision: envelope.revision.get(),
        occurred_at_ms: envelope.occurred_at.as_millis(),
        actor: Some(actor(&envelope.actor)),
        command_id: envelope.command_id.to_string(),
        request_tag: envelope.request_tag.to_bytes().to_vec(),
        cause: cause(envelope.cause).into(),
        trace_context: envelope.trace_context.as_deref().unwrap_or_default().to_owned(),
        payload: Some(payload(&envelope.event)),
    }
    .encode_to_vec()
}

fn payload(event: &Event) -> proto::envelope::Payload {
    use proto::envelope::Payload;
    match event {
        Event::TenantOpened(opened) => Payload::TenantOpened(proto::TenantOpened {
            name: opened.name.as_ref().map(personal),
            prefix: opened.prefix.to_string(),
        }),
        Event::KeyIssued(issued) => Payload::KeyIssued(key_issued(issued)),
        Event::KeyRevoked(revoked) => Payload::KeyRevoked(proto::KeyRevoked {
            reason: reason(revoked.reason).into(),
            note: revoked.note.as_ref().map(personal),
        }),
        Event::KeyExpired(expired) => {
            Payload::KeyExpired(proto::KeyExpired { expires_at_ms: expired.expires_at.as_millis() })
        }
    }
}

fn key_issued(issued: &KeyIssued) -> proto::KeyIssued {
    proto::KeyIssued {
        prefix: issued.prefix.to_string(),
        environment: match issued.environment {
            Environment::Live => proto::Environment::Live,
            Environment::Test => proto::Environment::Test,
        }
        .into(),
        digest: issued.digest.to_bytes().to_vec(),
        name: issued.name.as_ref().map(personal),
        owner_tag: issued.owner.tag.to_bytes().to_vec(),
        owner: Some(personal(&issued.owner.name)),
        scopes: issued.scopes.iter().map(ToString::to_string).collect(),
        labels: issued
            .labels
            .iter()
            .map(|label| proto::Label { name: label.name().to_owned(), value: label.value().to_owned() })
            .collect(),
        networks: issued.networks.iter().map(ToString::to_string).collect(),
        expires_at_ms: issued.expires_at.map_or(0, |at| at.as_millis()),
        issuer: issued.issuer.map(|id| id.to_bytes().to_vec()).unwrap_or_default(),
    }
}

fn personal(value: &Personal) -> proto::Personal {
    use proto::personal::Value;
    let value = match value {
        Personal::Plain(text) => Value::Plain(text.as_str().to_owned()),
        Personal::Sealed(bytes) => Value::Sealed(bytes.clone()),
    };
    proto::Personal { value: Some(value) }
}

fn actor(actor: &Actor) -> proto::Actor {
    use proto::actor::{Kind, Operator, System};
    let kind = match actor {
        Actor::System => Kind::System(System {}),
        Actor::Operator { key_id, network } => Kind::Operator(Operator {
            key_id: key_id.to_bytes().to_vec(),
            network: network.as_ref().map(personal),
        }),
    };
    proto::Actor { kind: Some(kind) }
}

const fn cause(cause: Cause) -> proto::Cause {
    match cause {
        Cause::Bootstrap => proto::Cause::Bootstrap,
        Cause::Command => proto::Cause::Command,
        Cause::Expiry => proto::Cause::Expiry,
    }
}

const fn reason(reason: RevokeReason) -> proto::RevokeReason {
    match reason {
        RevokeReason::Compromised => proto::RevokeReason::Compromised,
        RevokeReason::OwnerLeft => proto::RevokeReason::OwnerLeft,
        RevokeReason::ServiceChanged => proto::RevokeReason::ServiceChanged,
        RevokeReason::Unused => proto::RevokeReason::Unused,
        RevokeReason::Superseded => proto::RevokeReason::Superseded,
        RevokeReason::Leaked => proto::RevokeReason::Leaked,
        RevokeReason::Requested => proto::RevokeReason::Requested,
        RevokeReason::Policy => proto::RevokeReason::Policy,
        RevokeReason::Other => proto::RevokeReason::Other,
    }
}
