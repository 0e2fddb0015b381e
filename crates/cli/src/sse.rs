//! Server-sent events out of an answer: the few lines of the format that the feed uses.

use std::io::{self, BufRead};

use crate::lines::next_line;

/// Lines of data in one event: the feed sends one.
const MAX_DATA_LINES: usize = 64;

/// One event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct SseEvent {
    /// The `event:` name; empty = message.
    pub(crate) name: String,
    /// The `id:`, from which the feed resumes.
    pub(crate) id: Option<String>,
    /// The `data:` lines, joined.
    pub(crate) data: String,
}

/// The next event; none when the answer ended between events.
pub(crate) fn next_event(reader: &mut impl BufRead) -> io::Result<Option<SseEvent>> {
    let mut event = SseEvent::default();
    let mut data = Vec::new();
    while let Some(line) = next_line(reader)? {
        if line.is_empty() {
            if data.is_empty() && event == SseEvent::default() {
                continue;
            }
            event.data = data.join("\n");
            return Ok(Some(event));
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "event" => value.clone_into(&mut event.name),
            "id" => event.id = Some(value.to_owned()),
            "data" if data.len() < MAX_DATA_LINES => data.push(value.to_owned()),
            "data" => return Err(io::Error::new(io::ErrorKind::InvalidData, "an event has too many lines")),
            _ => {}
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_end_at_a_blank_line_and_comments_are_nothing() {
        let text =
            "retry: 500\n: hello\n\nevent: hello\nid:5\ndata: {\"a\":1}\n\ndata: x\ndata: y\n\nid: 9\n";
        let mut reader = text.as_bytes();
        let hello = next_event(&mut reader).unwrap().unwrap();
        assert_eq!(hello, SseEvent { name: "hello".into(), id: Some("5".into()), data: "{\"a\":1}".into() });
        assert_eq!(next_event(&mut reader).unwrap().unwrap().data, "x\ny");
        assert_eq!(next_event(&mut reader).unwrap(), None, "an event without its blank line did not arrive");
    }
}
