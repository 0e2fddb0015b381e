//! Server-sent events out of pieces of a body: the part of the format that a feed uses, bounded.

use thiserror::Error;

/// The most bytes of one event. A notice is smaller than the command that caused it, and those end at 64 KiB.
const MAX_EVENT: usize = 256 << 10;

/// An event that is longer than any notice: whatever sends it is no feed.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("an event of the feed is longer than {MAX_EVENT} bytes")]
pub(crate) struct TooLong;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// The `event:` name; empty = message.
    pub(crate) name: String,
    /// The `id:`.
    pub(crate) id: Option<u64>,
    /// The `data:` lines, joined.
    pub(crate) data: Vec<u8>,
}

/// Takes bytes as they come and gives events as they end.
#[derive(Debug, Default)]
pub(crate) struct SseParser {
    line: Vec<u8>,
    event: SseEvent,
    has_data: bool,
    after_cr: bool,
}

impl SseParser {
    /// Takes a piece; `each` gets every event that ends in it, in order, until it says to stop.
    pub(crate) fn take<T>(
        &mut self,
        piece: &[u8],
        mut each: impl FnMut(SseEvent) -> Option<T>,
    ) -> Result<Option<T>, TooLong> {
        for &byte in piece {
            let after_cr = std::mem::replace(&mut self.after_cr, byte == b'\r');
            match byte {
                b'\n' if after_cr => {}
                b'\n' | b'\r' => {
                    if let Some(event) = self.end_of_line()
                        && let Some(stop) = each(event)
                    {
                        return Ok(Some(stop));
                    }
                }
                byte => self.line.push(byte),
            }
            if self.line.len() + self.event.data.len() > MAX_EVENT {
                return Err(TooLong);
            }
        }
        Ok(None)
    }

    fn end_of_line(&mut self) -> Option<SseEvent> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            return std::mem::take(&mut self.has_data).then_some(event);
        }
        let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":").unwrap_or(value);
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => self.event.name = String::from_utf8_lossy(value).into_owned(),
            b"id" => self.event.id = std::str::from_utf8(value).ok().and_then(|id| id.parse().ok()),
            b"data" => {
                if std::mem::replace(&mut self.has_data, true) {
                    self.event.data.push(b'\n');
                }
                self.event.data.extend_from_slice(value);
            }
            // A comment, a time to wait, or something of a later format.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(pieces: &[&[u8]]) -> Vec<(String, Option<u64>, String)> {
        let mut parser = SseParser::default();
        let mut events = Vec::new();
        for piece in pieces {
            let taken = parser.take(piece, |event| {
                let data = String::from_utf8(event.data).unwrap();
                events.push((event.name, event.id, data));
                None::<()>
            });
            assert_eq!(taken, Ok(None));
        }
        events
    }

    #[test]
    fn events_end_at_a_blank_line_wherever_the_pieces_end() {
        let text = "retry: 500\n: hi\n\nevent: hello\nid:5\ndata: {\"a\":1}\n\ndata: x\r\ndata:y\r\n\r\nid: 9\ndata: z\n";
        let expected =
            [("hello".to_owned(), Some(5), "{\"a\":1}".to_owned()), (String::new(), None, "x\ny".to_owned())];
        assert_eq!(events(&[text.as_bytes()]), expected);
        for at in 0..text.len() {
            let (before, after) = text.as_bytes().split_at(at);
            assert_eq!(events(&[before, after]), expected, "cut at {at}");
        }
        let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
        assert_eq!(events(&bytes), expected);
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let mut parser = SseParser::default();
        let line = vec![b'x'; 1 << 16];
        let taken: Vec<_> = (0..5).map(|_| parser.take(&line, |_| None::<()>)).collect();
        assert_eq!(taken[4], Err(TooLong));
        let mut parser = SseParser::default();
        let lines = [&b"data: "[..], &line, b"\n"].concat();
        let taken: Vec<_> = (0..5).map(|_| parser.take(&lines, |_| None::<()>)).collect();
        assert_eq!(taken[4], Err(TooLong));
    }
}
