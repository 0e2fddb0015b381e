//! What the stored events are made of, read back. Each function is told the name of the field that it reads.

use domain::{
    Actor, Cause, Environment, KeyId, Label, Labels, LeakResponse, Networks, Owner, OwnerTag, Personal,
    PersonalText, RevokeReason, ScopeSet, SecretDigest, SuspendReason, Timestamp,
};

use super::{Unreadable, field};
use crate::proto;

pub(super) fn bytes16(bytes: &[u8], name: &'static str) -> Result<[u8; 16], Unreadable> {
    bytes.try_into().map_err(|_| field(name))
}

pub(super) fn key_id(bytes: &[u8], name: &'static str) -> Result<KeyId, Unreadable> {
    Ok(KeyId::from_bytes(bytes16(bytes, name)?))
}

pub(super) fn optional_key_id(bytes: &[u8], name: &'static str) -> Result<Option<KeyId>, Unreadable> {
    if bytes.is_empty() { Ok(None) } else { key_id(bytes, name).map(Some) }
}

pub(super) fn digest(bytes: &[u8], name: &'static str) -> Result<SecretDigest, Unreadable> {
    bytes.try_into().map(SecretDigest::from_bytes).map_err(|_| field(name))
}

pub(super) fn optional_instant(millis: u64) -> Option<Timestamp> {
    Some(millis).filter(|millis| *millis != 0).map(Timestamp::from_millis)
}

pub(super) fn optional_personal(
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
        Some(Value::Sealed(bytes)) => Ok(Some(Personal::Sealed(bytes.into()))),
        None => Err(field(name)),
    }
}

/// An owner and the names of its two fields.
pub(super) fn owner(
    tag: &[u8],
    stored: Option<proto::Personal>,
    (tag_name, name): (&'static str, &'static str),
) -> Result<Owner, Unreadable> {
    Ok(Owner {
        tag: OwnerTag::from_bytes(bytes16(tag, tag_name)?),
        name: optional_personal(stored, name)?.ok_or(field(name))?,
    })
}

pub(super) fn scopes(texts: &[String], name: &'static str) -> Result<ScopeSet, Unreadable> {
    ScopeSet::parse(texts).map_err(|_| field(name))
}

pub(super) fn networks(texts: &[String], name: &'static str) -> Result<Networks, Unreadable> {
    Networks::parse(texts).map_err(|_| field(name))
}

pub(super) fn labels(stored: &[proto::Label], name: &'static str) -> Result<Labels, Unreadable> {
    let labels = stored.iter().map(|label| Label::new(&label.name, &label.value));
    labels.collect::<Result<_, _>>().and_then(Labels::new).map_err(|_| field(name))
}

pub(super) fn actor(stored: Option<proto::Actor>) -> Result<Actor, Unreadable> {
    use proto::actor::Kind;
    match stored.and_then(|actor| actor.kind) {
        Some(Kind::System(_)) => Ok(Actor::System),
        Some(Kind::Operator(operator)) => Ok(Actor::Operator {
            key_id: key_id(&operator.key_id, "actor.key_id")?,
            network: optional_personal(operator.network, "actor.network")?,
        }),
        Some(Kind::Holder(holder)) => {
            Ok(Actor::Holder { network: optional_personal(holder.network, "actor.network")? })
        }
        Some(Kind::Scanner(scanner)) => {
            Ok(Actor::Scanner { source: scanner.source.parse().map_err(|_| field("actor.source"))? })
        }
        None => Err(field("actor")),
    }
}

pub(super) fn cause(stored: i32) -> Result<Cause, Unreadable> {
    use proto::Cause as Stored;
    match Stored::try_from(stored) {
        Ok(Stored::Bootstrap) => Ok(Cause::Bootstrap),
        Ok(Stored::Command) => Ok(Cause::Command),
        Ok(Stored::Expiry) => Ok(Cause::Expiry),
        Ok(Stored::Policy) => Ok(Cause::Policy),
        Ok(Stored::Leak) => Ok(Cause::Leak),
        Ok(Stored::Rotation) => Ok(Cause::Rotation),
        Ok(Stored::Cascade) => Ok(Cause::Cascade),
        Ok(Stored::Unspecified) | Err(_) => Err(field("cause")),
    }
}

pub(super) fn environment(stored: i32, name: &'static str) -> Result<Environment, Unreadable> {
    match proto::Environment::try_from(stored) {
        Ok(proto::Environment::Live) => Ok(Environment::Live),
        Ok(proto::Environment::Test) => Ok(Environment::Test),
        Ok(proto::Environment::Unspecified) | Err(_) => Err(field(name)),
    }
}

pub(super) fn revoke_reason(stored: i32, name: &'static str) -> Result<RevokeReason, Unreadable> {
    use proto::RevokeReason as Stored;
    match Stored::try_from(stored) {
        Ok(Stored::Compromised) => Ok(RevokeReason::Compromised),
        Ok(Stored::OwnerLeft) => Ok(RevokeReason::OwnerLeft),
        Ok(Stored::ServiceChanged) => Ok(RevokeReason::ServiceChanged),
        Ok(Stored::Unused) => Ok(RevokeReason::Unused),
        Ok(Stored::Superseded) => Ok(RevokeReason::Superseded),
        Ok(Stored::Leaked) => Ok(RevokeReason::Leaked),
        Ok(Stored::Requested) => Ok(RevokeReason::Requested),
        Ok(Stored::Policy) => Ok(RevokeReason::Policy),
        Ok(Stored::Other) => Ok(RevokeReason::Other),
        Ok(Stored::Unspecified) | Err(_) => Err(field(name)),
    }
}

pub(super) fn suspend_reason(stored: i32, name: &'static str) -> Result<SuspendReason, Unreadable> {
    use proto::SuspendReason as Stored;
    match Stored::try_from(stored) {
        Ok(Stored::Investigating) => Ok(SuspendReason::Investigating),
        Ok(Stored::Unused) => Ok(SuspendReason::Unused),
        Ok(Stored::Requested) => Ok(SuspendReason::Requested),
        Ok(Stored::Leaked) => Ok(SuspendReason::Leaked),
        Ok(Stored::Policy) => Ok(SuspendReason::Policy),
        Ok(Stored::Other) => Ok(SuspendReason::Other),
        Ok(Stored::Unspecified) | Err(_) => Err(field(name)),
    }
}

pub(super) fn leak_response(stored: i32, name: &'static str) -> Result<LeakResponse, Unreadable> {
    use proto::LeakResponse as Stored;
    match Stored::try_from(stored) {
        Ok(Stored::Revoke) => Ok(LeakResponse::Revoke),
        Ok(Stored::Suspend) => Ok(LeakResponse::Suspend),
        Ok(Stored::Unspecified) | Err(_) => Err(field(name)),
    }
}
