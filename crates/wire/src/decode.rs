//! From stored bytes to a domain event, or a statement of what cannot be read.

use domain::{
    Actor, Cause, CommandId, Envelope, Environment, Event, EventId, KeyExpired, KeyId, KeyIssued, KeyRevoked,
    Label, Labels, Networks, Owner, OwnerTag, Personal, PersonalText, RequestTag, Revision, RevokeReason,
    ScopeSet, SecretDigest, StreamName, TenantOpened, Timestamp,
};
use prost::Message;
use thiserror::Error;

use crate::encode::READER_LEVEL;
use crate::proto;

/// Why stored bytes are not an event that this build can act on. The stream's key is quarantined, never skipped.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Unreadable {
    /// Not an envelope at all.
    #[error("the bytes are not a protobuf envelope")]
    NotAnEnvelope,
    /// Written for readers of a later level.
    #[error("the event asks for reader level {needed}, this build has {READER_LEVEL}")]
    ReaderLevel {
        /// The level asked for.
        needed: u32,
    },
    /// A payload type that this build does not know.
    #[error("the event's type is not known to this build")]
    UnknownEvent,
    /// The envelope names another stream than the one it stands in.
    #[error("the event belongs to another stream than the one it stands in")]
    WrongStream,
    /// A field that no writer of ours makes.
    #[error("the field {field} is not valid")]
    Field {
        /// The field's name in the .proto file.
        field: &'static str,
    },
}

const fn field(field: &'static str) -> Unreadable {
    Unreadable::Field { field }
}

/// Reads the event that stands in `stream`.
///
/// # Errors
/// [`Unreadable`], which tells what is wrong and never repeats the bytes.
pub fn decode(stream: &StreamName, bytes: &[u8]) -> Result<Envelope, Unreadable> {
    let stored = proto::Envelope::decode(bytes).map_err(|_| Unreadable::NotAnEnvelope)?;
    if stored.min_reader > READER_LEVEL {
        return Err(Unreadable::ReaderLevel { needed: stored.min_reader });
    }
    let key_id = stream.key_id().map(|id| id.to_bytes().to_vec()).unwrap_or_default();
    if stored.tenant != stream.tenant().as_str() || stored.key_id != key_id {
        return Err(Unreadable::WrongStream);
    }
    Ok(Envelope {
        event_id: EventId::from_bytes(bytes16(&stored.event_id, "event_id")?),
        stream: stream.clone(),
        revision: Revision::new(stored.revision),
        occurred_at: Timestamp::from_millis(stored.occurred_at_ms),
        actor: actor(stored.actor)?,
        command_id: stored.command_id.parse::<CommandId>().map_err(|_| field("command_id"))?,
        request_tag: RequestTag::from_bytes(bytes16(&stored.request_tag, "request_tag")?),
        cause: cause(stored.cause)?,
        trace_context: Some(stored.trace_context).filter(|text| !text.is_empty()).map(Into::into),
        event: event(stored.payload.ok_or(Unreadable::UnknownEvent)?)?,
    })
}

fn event(payload: proto::envelope::Payload) -> Result<Event, Unreadable> {
    use proto::envelope::Payload;
    Ok(match payload {
        Payload::TenantOpened(opened) => Event::TenantOpened(TenantOpened {
            name: optional_personal(opened.name, "tenant_opened.name")?,
            prefix: opened.prefix.parse().map_err(|_| field("tenant_opened.prefix"))?,
        }),
        Payload::KeyIssued(issued) => Event::KeyIssued(Box::new(key_issued(issued)?)),
        Payload::KeyRevoked(revoked) => Event::KeyRevoked(KeyRevoked {
            reason: reason(revoked.reason)?,
            note: optional_personal(revoked.note, "key_revoked.note")?,
        }),
        Payload::KeyExpired(expired) => {
            Event::KeyExpired(KeyExpired { expires_at: Timestamp::from_millis(expired.expires_at_ms) })
        }
    })
}

fn key_issued(issued: proto::KeyIssued) -> Result<KeyIssued, Unreadable> {
    let labels = issued.labels.iter().map(|label| Label::new(&label.name, &label.value));
    let labels =
        labels.collect::<Result<_, _>>().and_then(Labels::new).map_err(|_| field("key_issued.labels"))?;
    Ok(KeyIssued {
        prefix: issued.prefix.parse().map_err(|_| field("key_issued.prefix"))?,
        environment: match proto::Environment::try_from(issued.environment) {
            Ok(proto::Environment::Live) => Environment::Live,
            Ok(proto::Environment::Test) => Environment::Test,
            Ok(proto::Environment::Unspecified) | Err(_) => return Err(field("key_issued.environment")),
        },
        digest: SecretDigest::from_bytes(
            issued.digest.as_slice().try_into().map_err(|_| field("key_issued.digest"))?,
        ),
        name: optional_personal(issued.name, "key_issued.name")?,
        owner: Owner {
            tag: OwnerTag::from_bytes(bytes16(&issued.owner_tag, "key_issued.owner_tag")?),
            name: optional_personal(issued.owner, "key_issued.owner")?.ok_or(field("key_issued.owner"))?,
        },
        scopes: ScopeSet::parse(&issued.scopes).map_err(|_| field("key_issued.scopes"))?,
        labels,
        networks: Networks::parse(&issued.networks).map_err(|_| field("key_issued.networks"))?,
        expires_at: Some(issued.expires_at_ms).filter(|ms| *ms != 0).map(Timestamp::from_millis),
        issuer: optional_key_id(&issued.issuer, "key_issued.issuer")?,
    })
}

fn optional_personal(
    stored: Option<proto::Personal>,
    name: &'static str,
) -> Result<Option<Personal>, Unreadable> {
    use proto::personal::Value;
    let Some(stored) = stored else { return Ok(None) };
    match stored.value {
        // A note is the longest text there is; its bound holds for every field.
        Some(Value::Plain(text)) => {
            PersonalText::note(&text).map(|text| Some(Personal::Plain(text))).map_err(|_| field(name))
        }
        Some(Value::Sealed(bytes)) => Ok(Some(Personal::Sealed(bytes))),
        None => Err(field(name)),
    }
}

fn actor(stored: Option<proto::Actor>) -> Result<Actor, Unreadable> {
    use proto::actor::Kind;
    match stored.and_then(|actor| actor.kind) {
        Some(Kind::System(_)) => Ok(Actor::System),
        Some(Kind::Operator(operator)) => Ok(Actor::Operator {
            key_id: KeyId::from_bytes(bytes16(&operator.key_id, "actor.key_id")?),
            network: optional_personal(operator.network, "actor.network")?,
        }),
        None => Err(field("actor")),
    }
}

fn cause(stored: i32) -> Result<Cause, Unreadable> {
    match proto::Cause::try_from(stored) {
        Ok(proto::Cause::Bootstrap) => Ok(Cause::Bootstrap),
        Ok(proto::Cause::Command) => Ok(Cause::Command),
        Ok(proto::Cause::Expiry) => Ok(Cause::Expiry),
        Ok(proto::Cause::Unspecified) | Err(_) => Err(field("cause")),
    }
}

fn reason(stored: i32) -> Result<RevokeReason, Unreadable> {
    use proto::RevokeReason as Stored;
    Ok(match Stored::try_from(stored) {
        Ok(Stored::Compromised) => RevokeReason::Compromised,
        Ok(Stored::OwnerLeft) => RevokeReason::OwnerLeft,
        Ok(Stored::ServiceChanged) => RevokeReason::ServiceChanged,
        Ok(Stored::Unused) => RevokeReason::Unused,
        Ok(Stored::Superseded) => RevokeReason::Superseded,
        Ok(Stored::Leaked) => RevokeReason::Leaked,
        Ok(Stored::Requested) => RevokeReason::Requested,
        Ok(Stored::Policy) => RevokeReason::Policy,
        Ok(Stored::Other) => RevokeReason::Other,
        Ok(Stored::Unspecified) | Err(_) => return Err(field("key_revoked.reason")),
    })
}

fn optional_key_id(bytes: &[u8], name: &'static str) -> Result<Option<KeyId>, Unreadable> {
    if bytes.is_empty() { Ok(None) } else { Ok(Some(KeyId::from_bytes(bytes16(bytes, name)?))) }
}

fn bytes16(bytes: &[u8], name: &'static str) -> Result<[u8; 16], Unreadable> {
    bytes.try_into().map_err(|_| field(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> StreamName {
        "acme.01JDA7W5W6M4Q0T3S8V2N9X1YZ".parse().unwrap()
    }

    fn stored() -> proto::Envelope {
        proto::Envelope {
            min_reader: 1,
            event_id: vec![1; 16],
            tenant: "acme".to_owned(),
            key_id: stream().key_id().unwrap().to_bytes().to_vec(),
            revision: 2,
            occurred_at_ms: 5,
            actor: Some(proto::Actor { kind: Some(proto::actor::Kind::System(proto::actor::System {})) }),
            command_id: "spring".to_owned(),
            request_tag: vec![2; 16],
            cause: proto::Cause::Expiry.into(),
            trace_context: String::new(),
            payload: Some(proto::envelope::Payload::KeyExpired(proto::KeyExpired { expires_at_ms: 4 })),
        }
    }

    #[track_caller]
    fn check(change: impl FnOnce(&mut proto::Envelope), expected: Unreadable) {
        let mut stored = stored();
        change(&mut stored);
        assert_eq!(decode(&stream(), &stored.encode_to_vec()), Err(expected));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        assert!(decode(&stream(), &stored().encode_to_vec()).is_ok());
        assert_eq!(decode(&stream(), b"\xff\xff\xff"), Err(Unreadable::NotAnEnvelope));
        check(|e| e.min_reader = 2, Unreadable::ReaderLevel { needed: 2 });
        check(|e| e.payload = None, Unreadable::UnknownEvent);
        check(|e| e.tenant = "other".to_owned(), Unreadable::WrongStream);
        check(|e| e.key_id.clear(), Unreadable::WrongStream);
        check(|e| e.cause = 99, field("cause"));
        check(|e| e.actor = None, field("actor"));
        check(|e| e.event_id.truncate(15), field("event_id"));
        check(|e| e.command_id.clear(), field("command_id"));
    }

    #[test]
    fn an_event_type_of_a_later_build_is_unknown_and_not_skipped() {
        let mut bytes = proto::Envelope { payload: None, ..stored() }.encode_to_vec();
        // Field 40, length-delimited, empty: a payload type that does not exist yet.
        bytes.extend([0xc2, 0x02, 0x00]);
        assert_eq!(decode(&stream(), &bytes), Err(Unreadable::UnknownEvent));
    }

    #[test]
    fn a_new_field_in_a_known_event_is_ignored() {
        let mut bytes = stored().encode_to_vec();
        bytes.extend([0xd2, 0x0f, 0x01, 0x00]); // field 250
        assert!(decode(&stream(), &bytes).is_ok());
    }
}
