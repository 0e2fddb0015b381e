//! From stored bytes to a domain event, or a statement of what cannot be read.

mod key;
mod parts;
mod tenant;

use bytes::Bytes;
use domain::{CommandId, Envelope, Event, EventId, KeyId, RequestTag, Revision, StreamName, Timestamp};
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
    // One copy, of which each field of bytes is a part: a copy a field takes longer than all the rest.
    let bytes = Bytes::copy_from_slice(bytes);
    let stored = proto::Envelope::decode(bytes).map_err(|_| Unreadable::NotAnEnvelope)?;
    if stored.min_reader > READER_LEVEL {
        return Err(Unreadable::ReaderLevel { needed: stored.min_reader });
    }
    let key_id = stream.key_id().map(KeyId::to_bytes);
    let key_id = key_id.as_ref().map_or(&[][..], |id| &id[..]);
    if stored.tenant != stream.tenant().as_str() || stored.key_id != key_id {
        return Err(Unreadable::WrongStream);
    }
    Ok(Envelope {
        event_id: EventId::from_bytes(parts::bytes16(&stored.event_id, "event_id")?),
        stream: stream.clone(),
        revision: Revision::new(stored.revision),
        occurred_at: Timestamp::from_millis(stored.occurred_at_ms),
        actor: parts::actor(stored.actor)?,
        command_id: stored.command_id.parse::<CommandId>().map_err(|_| field("command_id"))?,
        request_tag: RequestTag::from_bytes(parts::bytes16(&stored.request_tag, "request_tag")?),
        cause: parts::cause(stored.cause)?,
        trace_context: Some(stored.trace_context).filter(|text| !text.is_empty()).map(Into::into),
        event: event(stored.payload.ok_or(Unreadable::UnknownEvent)?)?,
    })
}

fn event(payload: proto::envelope::Payload) -> Result<Event, Unreadable> {
    use proto::envelope::Payload;
    Ok(match payload {
        Payload::TenantOpened(stored) => Event::TenantOpened(tenant::opened(stored)?),
        Payload::TenantConfigured(stored) => Event::TenantConfigured(tenant::configured(stored)?),
        Payload::TenantClosed(stored) => Event::TenantClosed(tenant::closed(stored)?),
        Payload::KeysRecalled(stored) => Event::KeysRecalled(Box::new(tenant::recalled(stored)?)),
        Payload::PolicySet(stored) => Event::PolicySet(Box::new(tenant::policy_set(stored)?)),
        Payload::PolicyRemoved(stored) => Event::PolicyRemoved(tenant::policy_removed(&stored)?),
        Payload::OwnerErased(stored) => Event::OwnerErased(tenant::owner_erased(&stored)?),
        Payload::KeyIssued(stored) => Event::KeyIssued(Box::new(key::issued(stored)?)),
        Payload::KeyImported(stored) => Event::KeyImported(Box::new(key::imported(stored)?)),
        Payload::KeyRenamed(stored) => Event::KeyRenamed(key::renamed(stored)?),
        Payload::KeyRelabelled(stored) => Event::KeyRelabelled(key::relabelled(&stored)?),
        Payload::KeyTransferred(stored) => Event::KeyTransferred(key::transferred(stored)?),
        Payload::KeyRescoped(stored) => Event::KeyRescoped(key::rescoped(&stored)?),
        Payload::KeyRestricted(stored) => Event::KeyRestricted(key::restricted(&stored)?),
        Payload::KeyExpiryChanged(stored) => Event::KeyExpiryChanged(key::expiry_changed(&stored)),
        Payload::KeySuspended(stored) => Event::KeySuspended(key::suspended(stored)?),
        Payload::KeyReinstated(stored) => Event::KeyReinstated(key::reinstated(stored)?),
        Payload::KeyRotated(stored) => Event::KeyRotated(key::rotated(&stored)?),
        Payload::KeyFirstUsed(stored) => Event::KeyFirstUsed(key::first_used(&stored)),
        Payload::RotationFinished(stored) => Event::RotationFinished(key::rotation_finished(&stored)?),
        Payload::RotationCancelled(stored) => Event::RotationCancelled(key::rotation_cancelled(&stored)?),
        Payload::KeyLeaked(stored) => Event::KeyLeaked(key::leaked(stored)?),
        Payload::KeyRevoked(stored) => Event::KeyRevoked(key::revoked(stored)?),
        Payload::ExpiryWarned(stored) => Event::ExpiryWarned(key::warned(&stored)),
        Payload::KeyExpired(stored) => Event::KeyExpired(key::expired(&stored)),
    })
}

#[cfg(test)]
mod tests;
