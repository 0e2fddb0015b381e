//! An event as a leaf of the tree: its position and its stored bytes.

use bytes::Bytes;
use domain::{EventId, Position};
use sha2::{Digest, Sha256};
use tlog_tiles::Hash;

/// The most bytes of an event: an entry of a tile is at most 65,535 bytes (C2SP tlog-tiles counts them in 16 bits), and
/// eight of them are the position.
pub const MAX_PAYLOAD: usize = 65_535 - POSITION_LEN;

/// Bytes of the position in front of an entry.
const POSITION_LEN: usize = 8;

/// An event as the log holds it: what is proven, and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent {
    /// Its place in the log.
    pub position: Position,
    /// Its stream's name. Not in the leaf: the stored bytes name it too.
    pub stream: Box<str>,
    /// The id it was written with. Not in the leaf: the stored bytes hold it too.
    pub id: EventId,
    /// Its bytes, exactly as stored.
    pub payload: Bytes,
}

impl LogEvent {
    /// Its leaf's hash.
    #[must_use]
    pub fn leaf(&self) -> Hash {
        leaf_hash(self.position, &self.payload)
    }

    /// What its leaf is the hash of: the position, big-endian, then the stored bytes.
    #[must_use]
    pub fn entry(&self) -> Vec<u8> {
        let mut entry = Vec::with_capacity(POSITION_LEN + self.payload.len());
        entry.extend_from_slice(&self.position.get().to_be_bytes());
        entry.extend_from_slice(&self.payload);
        entry
    }
}

/// The hash of the leaf that stands at index `position - 1`: RFC 6962 over the position and the stored bytes.
#[must_use]
pub fn leaf_hash(position: Position, payload: &[u8]) -> Hash {
    let mut hasher = Sha256::new();
    hasher.update([0]);
    hasher.update(position.get().to_be_bytes());
    hasher.update(payload);
    Hash(hasher.finalize().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_leaf_is_the_hash_of_its_entry_by_rfc_6962() {
        let payload = Bytes::from_static(b"campaigns");
        let event = LogEvent {
            position: Position::new(258),
            stream: "acme._tenant".into(),
            id: EventId::from_u128(1),
            payload,
        };
        assert_eq!(event.entry(), b"\0\0\0\0\0\0\x01\x02campaigns");
        assert_eq!(event.leaf(), tlog_tiles::record_hash(&event.entry()));
        assert_ne!(event.leaf(), leaf_hash(Position::new(259), &event.payload));
    }
}
