//! What the stored events are made of: ids, texts, lists and words.

use bytes::Bytes;
use domain::{
    Actor, Cause, Environment, KeyId, Label, Labels, LeakResponse, Networks, Personal, RevokeReason,
    ScopeSet, SuspendReason, Timestamp,
};

use crate::proto;

pub(super) fn key_id(id: KeyId) -> Bytes {
    id.to_bytes().to_vec().into()
}

pub(super) fn optional_key_id(id: Option<KeyId>) -> Bytes {
    id.map(key_id).unwrap_or_default()
}

/// 0 stands for none: no event is about the first millisecond of 1970.
pub(super) fn optional_instant(at: Option<Timestamp>) -> u64 {
    at.map_or(0, Timestamp::as_millis)
}

pub(super) fn personal(value: &Personal) -> proto::Personal {
    use proto::personal::Value;
    let value = match value {
        Personal::Plain(text) => Value::Plain(text.as_str().to_owned()),
        Personal::Sealed(bytes) => Value::Sealed(bytes.clone().into()),
    };
    proto::Personal { value: Some(value) }
}

pub(super) fn optional_personal(value: Option<&Personal>) -> Option<proto::Personal> {
    value.map(personal)
}

pub(super) fn scopes(scopes: &ScopeSet) -> Vec<String> {
    scopes.iter().map(ToString::to_string).collect()
}

pub(super) fn networks(networks: &Networks) -> Vec<String> {
    networks.iter().map(ToString::to_string).collect()
}

pub(super) fn labels(labels: &Labels) -> Vec<proto::Label> {
    labels.iter().map(label).collect()
}

pub(super) fn label(label: &Label) -> proto::Label {
    proto::Label { name: label.name().to_owned(), value: label.value().to_owned() }
}

pub(super) fn actor(actor: &Actor) -> proto::Actor {
    use proto::actor::{Holder, Kind, Operator, Scanner, System};
    let kind = match actor {
        Actor::System => Kind::System(System {}),
        Actor::Holder { network } => Kind::Holder(Holder { network: optional_personal(network.as_ref()) }),
        Actor::Scanner { source } => Kind::Scanner(Scanner { source: source.to_string() }),
        Actor::Operator { key_id: id, network } => {
            Kind::Operator(Operator { key_id: key_id(*id), network: optional_personal(network.as_ref()) })
        }
    };
    proto::Actor { kind: Some(kind) }
}

pub(super) const fn cause(cause: Cause) -> proto::Cause {
    match cause {
        Cause::Bootstrap => proto::Cause::Bootstrap,
        Cause::Command => proto::Cause::Command,
        Cause::Expiry => proto::Cause::Expiry,
        Cause::Policy => proto::Cause::Policy,
        Cause::Leak => proto::Cause::Leak,
        Cause::Rotation => proto::Cause::Rotation,
        Cause::Cascade => proto::Cause::Cascade,
    }
}

pub(super) const fn environment(environment: Environment) -> proto::Environment {
    match environment {
        Environment::Live => proto::Environment::Live,
        Environment::Test => proto::Environment::Test,
    }
}

pub(super) const fn revoke_reason(reason: RevokeReason) -> proto::RevokeReason {
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

pub(super) const fn suspend_reason(reason: SuspendReason) -> proto::SuspendReason {
    match reason {
        SuspendReason::Investigating => proto::SuspendReason::Investigating,
        SuspendReason::Unused => proto::SuspendReason::Unused,
        SuspendReason::Requested => proto::SuspendReason::Requested,
        SuspendReason::Leaked => proto::SuspendReason::Leaked,
        SuspendReason::Policy => proto::SuspendReason::Policy,
        SuspendReason::Other => proto::SuspendReason::Other,
    }
}

pub(super) const fn leak_response(response: LeakResponse) -> proto::LeakResponse {
    match response {
        LeakResponse::Revoke => proto::LeakResponse::Revoke,
        LeakResponse::Suspend => proto::LeakResponse::Suspend,
    }
}
