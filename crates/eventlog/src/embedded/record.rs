//! One event as its row's bytes, sealed with a checksum over everything that makes it that event.

use bytes::Bytes;
use domain::{EventId, Position};

use crate::port::{NewEvent, Recorded, StreamId};

/// `crc32 | previous | event id | length of the stream's name`, little-endian; the name and the payload follow.
const FIXED: usize = 4 + 8 + 16 + 1;

/// A row, read and found to be whole.
pub(super) struct Row<'a> {
    /// The position of the stream's event before this one; with it a stream is read without an index on disk.
    pub(super) previous: Position,
    pub(super) id: EventId,
    pub(super) stream: &'a str,
    pub(super) payload: &'a [u8],
}

pub(super) fn encode(position: Position, previous: Position, stream: &StreamId, event: &NewEvent) -> Vec<u8> {
    let name = stream.as_str().as_bytes();
    let name_len = u8::try_from(name.len()).expect("a stream's name has at most 100 bytes");
    let mut row = Vec::with_capacity(FIXED + name.len() + event.payload.len());
    row.extend_from_slice(&[0; 4]);
    row.extend_from_slice(&previous.get().to_le_bytes());
    row.extend_from_slice(&event.id.to_bytes());
    row.push(name_len);
    row.extend_from_slice(name);
    row.extend_from_slice(&event.payload);
    let sum = checksum(position, &row[4..]);
    row[..4].copy_from_slice(&sum.to_le_bytes());
    row
}

/// Reads the row at a position, or says what is wrong with it.
pub(super) fn decode(position: Position, row: &[u8]) -> Result<Row<'_>, String> {
    let (sum, body) = row.split_first_chunk::<4>().ok_or_else(|| short(row))?;
    if checksum(position, body) != u32::from_le_bytes(*sum) {
        return Err("the event's checksum is wrong".into());
    }
    let (previous, rest) = body.split_first_chunk::<8>().ok_or_else(|| short(row))?;
    let (id, rest) = rest.split_first_chunk::<16>().ok_or_else(|| short(row))?;
    let (&name_len, rest) = rest.split_first().ok_or_else(|| short(row))?;
    let (name, payload) = rest.split_at_checked(usize::from(name_len)).ok_or_else(|| short(row))?;
    let stream =
        std::str::from_utf8(name).map_err(|_| "the event's stream has no readable name".to_owned())?;
    let previous = Position::new(u64::from_le_bytes(*previous));
    if previous >= position {
        return Err(format!("the event is said to come after event {previous} of its stream"));
    }
    Ok(Row { previous, id: EventId::from_bytes(*id), stream, payload })
}

impl Row<'_> {
    /// The event by itself, apart from the page it was read from.
    pub(super) fn recorded(&self, position: Position) -> Result<Recorded, String> {
        let stream = self
            .stream
            .parse()
            .map_err(|_| format!("the event's stream has no valid name: {:?}", self.stream))?;
        Ok(Recorded { position, stream, id: self.id, payload: Bytes::copy_from_slice(self.payload) })
    }
}

/// The position is summed too, so that a whole row in the wrong place is noticed.
fn checksum(position: Position, body: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(&position.get().to_le_bytes());
    hasher.update(body);
    hasher.finalize()
}

fn short(row: &[u8]) -> String {
    format!("the event has only {} bytes", row.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Vec<u8> {
        let event = NewEvent { id: EventId::from_u128(7), payload: Bytes::from_static(b"campaigns") };
        encode(Position::new(9), Position::new(4), &"acme.list".parse().unwrap(), &event)
    }

    #[test]
    fn a_row_reads_as_it_was_written() {
        let bytes = row();
        let row = decode(Position::new(9), &bytes).unwrap();
        assert_eq!((row.previous, row.id), (Position::new(4), EventId::from_u128(7)));
        let event = row.recorded(Position::new(9)).unwrap();
        assert_eq!((event.stream.as_str(), &event.payload[..]), ("acme.list", &b"campaigns"[..]));
    }

    #[test]
    fn every_flipped_bit_cut_and_misplacement_is_noticed() {
        let whole = row();
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(decode(Position::new(9), &bytes).is_err(), "bit {bit}");
        }
        for len in 0..whole.len() {
            assert!(decode(Position::new(9), &whole[..len]).is_err(), "cut to {len}");
        }
        assert!(decode(Position::new(10), &whole).is_err());
    }

    #[test]
    fn the_stored_bytes_stay_what_they_are() {
        let hex: String = row().iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(
            hex,
            "18ec562e0400000000000000000000000000000000000000000000070961636d652e6c69737463616d706169676e73"
        );
    }
}
