//! Which event and which stream stored bytes say they are of, whatever else is in them.

use domain::{EventId, KeyId, StreamName, TenantId};
use prost::Message;

/// What the stored bytes say, held against where they were found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Addressed {
    /// They are of this event of this stream.
    Here {
        /// Their place in the stream, as they say.
        revision: u32,
    },
    /// They are of another event or another stream.
    Elsewhere,
    /// They say nothing that this build can read.
    Unreadable,
}

/// The envelope's fields that name the event; the rest is passed over. Of every version and reader level, since fields are
/// only ever added.
#[derive(Clone, PartialEq, Message)]
struct Address {
    #[prost(bytes = "vec", tag = "2")]
    event_id: Vec<u8>,
    #[prost(string, tag = "3")]
    tenant: String,
    #[prost(bytes = "vec", tag = "4")]
    key_id: Vec<u8>,
    #[prost(uint32, tag = "5")]
    revision: u32,
}

/// Whether stored bytes belong where they were found. Streams and ids beside the bytes are not covered by their hash: this
/// is what binds them.
#[must_use]
pub fn addressed(stream: &str, id: EventId, bytes: &[u8]) -> Addressed {
    let Ok(address) = Address::decode(bytes) else { return Addressed::Unreadable };
    if address.event_id.len() != 16 || address.tenant.is_empty() {
        return Addressed::Unreadable;
    }
    let Ok(stream) = stream.parse::<StreamName>() else { return Addressed::Elsewhere };
    let key_id = stream.key_id().map(|id| id.to_bytes());
    let same = address.event_id == id.to_bytes()
        && address.tenant == stream.tenant().as_str()
        && address.key_id == key_id.as_ref().map_or(&[][..], |id| &id[..]);
    if same { Addressed::Here { revision: address.revision } } else { Addressed::Elsewhere }
}

/// The stream that stored bytes say they are of, if they say one.
#[must_use]
pub fn stream_of(bytes: &[u8]) -> Option<StreamName> {
    let address = Address::decode(bytes).ok()?;
    let tenant: TenantId = address.tenant.parse().ok()?;
    if address.key_id.is_empty() {
        return Some(StreamName::Tenant(tenant));
    }
    let key_id = KeyId::from_bytes(address.key_id.try_into().ok()?);
    Some(StreamName::Key(tenant, key_id))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto;

    #[test]
    fn bytes_belong_to_one_event_of_one_stream_whatever_they_say() {
        let key = KeyId::from_u128(7);
        let bytes = proto::Envelope {
            min_reader: 99,
            event_id: EventId::from_u128(3).to_bytes().to_vec().into(),
            tenant: "acme".to_owned(),
            key_id: key.to_bytes().to_vec().into(),
            revision: 5,
            ..proto::Envelope::default()
        }
        .encode_to_vec();
        let stream = format!("acme.{key}");
        assert_eq!(addressed(&stream, EventId::from_u128(3), &bytes), Addressed::Here { revision: 5 });
        assert_eq!(stream_of(&bytes).unwrap().to_string(), stream);
        let other = format!("acme.{}", KeyId::from_u128(8));
        for (stream, id) in [(stream.as_str(), 4), (other.as_str(), 3), ("acme._tenant", 3), ("list", 3)] {
            assert_eq!(addressed(stream, EventId::from_u128(id), &bytes), Addressed::Elsewhere, "{stream}");
        }
        assert_eq!(addressed(&stream, EventId::from_u128(3), b"campaigns"), Addressed::Unreadable);
    }
}
