//! One event in a segment: its length, a checksum, and everything that makes it that event.

use std::io::{self, Read};

use bytes::Bytes;
use domain::{EventId, Position};

use crate::leaf::{LogEvent, MAX_PAYLOAD};

/// `length of the rest | crc32 of the rest`, little-endian; the rest is `position | event id | length of the stream's name`,
/// the name and the payload.
const HEAD: usize = 4 + 4;
const FIXED: usize = 8 + 16 + 1;
/// A length above this is damage, and not worth the memory.
const MAX_REST: usize = FIXED + u8::MAX as usize + MAX_PAYLOAD;

/// Why a record gives no event, and whether what is behind it can still be read.
#[derive(Debug)]
pub(crate) enum Broken {
    /// The disk does not give it.
    Io(io::Error),
    /// It is not what was written; the next record begins behind it.
    Altered(String),
    /// It is not what was written, and where the next begins is lost.
    Lost(String),
}

/// Appends an event's record.
///
/// # Errors
/// A clause on what makes it an event that no log can hold.
pub fn encode(event: &LogEvent, into: &mut Vec<u8>) -> Result<(), String> {
    let name_len =
        u8::try_from(event.stream.len()).map_err(|_| "its stream's name is too long".to_owned())?;
    if event.payload.len() > MAX_PAYLOAD {
        return Err(format!("it has {} bytes, an event has at most {MAX_PAYLOAD}", event.payload.len()));
    }
    let rest = FIXED + event.stream.len() + event.payload.len();
    into.extend_from_slice(&u32::try_from(rest).expect("bounded just above").to_le_bytes());
    let sum_at = into.len();
    into.extend_from_slice(&[0; 4]);
    into.extend_from_slice(&event.position.get().to_le_bytes());
    into.extend_from_slice(&event.id.to_bytes());
    into.push(name_len);
    into.extend_from_slice(event.stream.as_bytes());
    into.extend_from_slice(&event.payload);
    let sum = crc32fast::hash(&into[sum_at + 4..]);
    into[sum_at..sum_at + 4].copy_from_slice(&sum.to_le_bytes());
    Ok(())
}

/// The events of a stream of records, such as a server's. It ends behind the first error.
pub struct EventRecords<R> {
    from: R,
    broken: bool,
}

impl<R: Read> EventRecords<R> {
    /// Reads records from here.
    pub const fn new(from: R) -> Self {
        Self { from, broken: false }
    }
}

impl<R: Read> Iterator for EventRecords<R> {
    type Item = io::Result<LogEvent>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.broken {
            return None;
        }
        let next = decode(&mut self.from)?.map_err(|broken| match broken {
            Broken::Io(error) => error,
            Broken::Altered(reason) | Broken::Lost(reason) => {
                io::Error::new(io::ErrorKind::InvalidData, reason)
            }
        });
        self.broken = next.is_err();
        Some(next)
    }
}

/// Reads the next record; `None` where the file ends behind a whole one.
pub(super) fn decode(from: &mut impl Read) -> Option<Result<LogEvent, Broken>> {
    let mut head = [0; HEAD];
    match read_up_to(from, &mut head) {
        Ok(0) => return None,
        Ok(HEAD) => {}
        Ok(_) => return Some(Err(Broken::Lost("the file ends within it".to_owned()))),
        Err(error) => return Some(Err(Broken::Io(error))),
    }
    let [a, b, c, d, sum @ ..] = head;
    let length = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
    if !(FIXED..=MAX_REST).contains(&length) {
        return Some(Err(Broken::Lost(format!("it is said to have {length} bytes"))));
    }
    let mut rest = vec![0; length];
    match read_up_to(from, &mut rest) {
        Ok(read) if read == length => Some(parse(rest.into(), sum)),
        Ok(_) => Some(Err(Broken::Lost("the file ends within it".to_owned()))),
        Err(error) => Some(Err(Broken::Io(error))),
    }
}

fn parse(rest: Bytes, sum: [u8; 4]) -> Result<LogEvent, Broken> {
    if crc32fast::hash(&rest) != u32::from_le_bytes(sum) {
        return Err(Broken::Altered("its checksum is wrong".to_owned()));
    }
    let short = || Broken::Altered("it is too short".to_owned());
    let (position, body) = rest.split_first_chunk::<8>().ok_or_else(short)?;
    let (id, body) = body.split_first_chunk::<16>().ok_or_else(short)?;
    let (&name_len, body) = body.split_first().ok_or_else(short)?;
    let (name, payload) = body.split_at_checked(usize::from(name_len)).ok_or_else(short)?;
    if payload.len() > MAX_PAYLOAD {
        return Err(Broken::Altered(format!("it has {} bytes", payload.len())));
    }
    let stream = std::str::from_utf8(name)
        .map_err(|_| Broken::Altered("its stream has no readable name".to_owned()))?
        .into();
    let position = Position::new(u64::from_le_bytes(*position));
    let (id, payload) = (EventId::from_bytes(*id), rest.slice_ref(payload));
    Ok(LogEvent { position, stream, id, payload })
}

/// Like `read_exact`, and says how much there was.
fn read_up_to(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut read = 0;
    while read < into.len() {
        match from.read(&mut into[read..]) {
            Ok(0) => break,
            Ok(more) => read += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(read)
}
