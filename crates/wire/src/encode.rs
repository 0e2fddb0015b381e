//! From a domain event to its stored bytes.

mod key;
mod parts;
mod tenant;

use domain::{Actor, Cause, Envelope, Event};
use prost::Message;

use crate::proto;

/// What this build understands. An event that asks for more is unreadable here.
pub const READER_LEVEL: u32 = 3;

/// The stored bytes of an event. The same envelope always gives the same bytes.
#[must_use]
pub fn encode(envelope: &Envelope) -> Vec<u8> {
    proto::Envelope {
        min_reader: min_reader(envelope),
        event_id: envelope.event_id.to_bytes().to_vec().into(),
        tenant: envelope.stream.tenant().to_string(),
        key_id: parts::optional_key_id(envelope.stream.key_id()),
        revision: envelope.revision.get(),
        occurred_at_ms: envelope.occurred_at.as_millis(),
        actor: Some(parts::actor(&envelope.actor)),
        command_id: envelope.command_id.to_string(),
        request_tag: envelope.request_tag.to_bytes().to_vec().into(),
        cause: parts::cause(envelope.cause).into(),
        trace_context: envelope.trace_context.as_deref().unwrap_or_default().to_owned(),
        payload: Some(payload(&envelope.event)),
    }
    .encode_to_vec()
}

/// The level of the first build that reads all of it: what an older build can read it goes on reading.
fn min_reader(envelope: &Envelope) -> u32 {
    let event = match &envelope.event {
        Event::TenantOpened(_) | Event::KeyIssued(_) | Event::KeyRevoked(_) | Event::KeyExpired(_) => 1,
        Event::TenantConfigured(_)
        | Event::TenantClosed(_)
        | Event::KeysRecalled(_)
        | Event::PolicySet(_)
        | Event::PolicyRemoved(_)
        | Event::KeyImported(_)
        | Event::KeyRenamed(_)
        | Event::KeyRelabelled(_)
        | Event::KeyTransferred(_)
        | Event::KeyRescoped(_)
        | Event::KeyRestricted(_)
        | Event::KeyExpiryChanged(_)
        | Event::KeySuspended(_)
        | Event::KeyReinstated(_)
        | Event::KeyRotated(_)
        | Event::KeyFirstUsed(_)
        | Event::RotationFinished(_)
        | Event::RotationCancelled(_)
        | Event::KeyLeaked(_)
        | Event::ExpiryWarned(_) => 2,
        Event::OwnerErased(_) => 3,
    };
    let actor = match &envelope.actor {
        Actor::System | Actor::Operator { .. } => 1,
        Actor::Holder { .. } | Actor::Scanner { .. } => 2,
    };
    let cause = match envelope.cause {
        Cause::Bootstrap | Cause::Command | Cause::Expiry => 1,
        Cause::Policy | Cause::Leak | Cause::Rotation | Cause::Cascade => 2,
    };
    event.max(actor).max(cause)
}

fn payload(event: &Event) -> proto::envelope::Payload {
    use proto::envelope::Payload;
    match event {
        Event::TenantOpened(event) => Payload::TenantOpened(tenant::opened(event)),
        Event::TenantConfigured(event) => Payload::TenantConfigured(tenant::configured(event)),
        Event::TenantClosed(event) => Payload::TenantClosed(tenant::closed(event)),
        Event::KeysRecalled(event) => Payload::KeysRecalled(tenant::recalled(event)),
        Event::PolicySet(event) => Payload::PolicySet(tenant::policy_set(event)),
        Event::PolicyRemoved(event) => Payload::PolicyRemoved(tenant::policy_removed(event)),
        Event::OwnerErased(event) => Payload::OwnerErased(tenant::owner_erased(event)),
        Event::KeyIssued(event) => Payload::KeyIssued(key::issued(event)),
        Event::KeyImported(event) => Payload::KeyImported(key::imported(event)),
        Event::KeyRenamed(event) => Payload::KeyRenamed(key::renamed(event)),
        Event::KeyRelabelled(event) => Payload::KeyRelabelled(key::relabelled(event)),
        Event::KeyTransferred(event) => Payload::KeyTransferred(key::transferred(event)),
        Event::KeyRescoped(event) => Payload::KeyRescoped(key::rescoped(event)),
        Event::KeyRestricted(event) => Payload::KeyRestricted(key::restricted(event)),
        Event::KeyExpiryChanged(event) => Payload::KeyExpiryChanged(key::expiry_changed(event)),
        Event::KeySuspended(event) => Payload::KeySuspended(key::suspended(event)),
        Event::KeyReinstated(event) => Payload::KeyReinstated(key::reinstated(event)),
        Event::KeyRotated(event) => Payload::KeyRotated(key::rotated(event)),
        Event::KeyFirstUsed(event) => Payload::KeyFirstUsed(key::first_used(event)),
        Event::RotationFinished(event) => Payload::RotationFinished(key::rotation_finished(event)),
        Event::RotationCancelled(event) => Payload::RotationCancelled(key::rotation_cancelled(event)),
        Event::KeyLeaked(event) => Payload::KeyLeaked(key::leaked(event)),
        Event::KeyRevoked(event) => Payload::KeyRevoked(key::revoked(event)),
        Event::ExpiryWarned(event) => Payload::ExpiryWarned(key::warned(event)),
        Event::KeyExpired(event) => Payload::KeyExpired(key::expired(event)),
    }
}

#[cfg(test)]
mod tests;
