//! A body as lines: each bounded, numbered, and handed out as soon as it is whole.

use std::time::Duration;

use axum::body::{BodyDataStream, Bytes};
use futures_util::StreamExt;
use tokio::time::timeout;

/// The longest line: a key with as many scopes, labels and networks as a key can have is below it.
pub(super) const LINE_MAX: usize = 32 * 1024;

/// How long a client may be silent: longer than a database takes for its next rows, shorter than the patience of proxies.
const NEXT_WITHIN: Duration = Duration::from_secs(30);

/// A line as it was sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Text {
    Whole(Bytes),
    /// It is longer than a line may be; what it was is not kept.
    TooLong,
}

/// Why there is no next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The client has sent everything.
    Sent,
    /// The connection broke.
    Broken,
    /// Nothing came for too long.
    Idle,
}

/// A body on its way in.
pub(super) struct Lines {
    body: BodyDataStream,
    chunk: Bytes,
    /// The beginning of a line whose end has not arrived.
    begun: Vec<u8>,
    too_long: bool,
    /// The number of the next line.
    number: u64,
}

impl Lines {
    pub(super) fn new(body: BodyDataStream, first: u64) -> Self {
        Self { body, chunk: Bytes::new(), begun: Vec::new(), too_long: false, number: first }
    }

    /// The number of the first line, before any was read.
    pub(super) const fn first(&self) -> u64 {
        self.number
    }

    /// The next line and its number. A last line needs no end, if the body has one.
    pub(super) async fn next(&mut self) -> Result<(u64, Text), End> {
        loop {
            if let Some(at) = self.chunk.iter().position(|byte| *byte == b'\n') {
                let mut rest = self.chunk.split_to(at + 1);
                rest.truncate(at);
                return Ok(self.line(rest));
            }
            let rest = std::mem::take(&mut self.chunk);
            self.begin(&rest);
            match timeout(NEXT_WITHIN, self.body.next()).await {
                Ok(Some(Ok(chunk))) => self.chunk = chunk,
                Ok(Some(Err(_))) => return Err(End::Broken),
                Err(_elapsed) => return Err(End::Idle),
                Ok(None) if self.begun.is_empty() && !self.too_long => return Err(End::Sent),
                Ok(None) => return Ok(self.line(Bytes::new())),
            }
        }
    }

    fn begin(&mut self, part: &[u8]) {
        self.too_long |= self.begun.len() + part.len() > LINE_MAX;
        if self.too_long {
            self.begun = Vec::new();
        } else {
            self.begun.extend_from_slice(part);
        }
    }

    fn line(&mut self, rest: Bytes) -> (u64, Text) {
        let number = self.number;
        self.number = number.saturating_add(1);
        if self.begun.is_empty() && !self.too_long && rest.len() <= LINE_MAX {
            return (number, Text::Whole(rest));
        }
        self.begin(&rest);
        let begun = std::mem::take(&mut self.begun);
        let text = if std::mem::take(&mut self.too_long) { Text::TooLong } else { Text::Whole(begun.into()) };
        (number, text)
    }
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use futures_util::stream;

    use super::*;

    async fn read(chunks: Vec<&'static str>) -> (Vec<(u64, Text)>, End) {
        let chunks = chunks.into_iter().map(|chunk| match chunk {
            "broken" => Err(std::io::Error::other("gone")),
            chunk => Ok(Bytes::from(chunk)),
        });
        let mut lines = Lines::new(Body::from_stream(stream::iter(chunks)).into_data_stream(), 1);
        let mut read = Vec::new();
        loop {
            match lines.next().await {
                Ok(line) => read.push(line),
                Err(end) => return (read, end),
            }
        }
    }

    fn whole(number: u64, text: &'static str) -> (u64, Text) {
        (number, Text::Whole(Bytes::from(text)))
    }

    #[tokio::test]
    async fn lines_are_whole_however_they_arrive() {
        let expected = || (vec![whole(1, "one"), whole(2, ""), whole(3, "three")], End::Sent);
        assert_eq!(read(vec!["one\n\nthree\n"]).await, expected());
        assert_eq!(read(vec!["o", "ne", "\n", "\nth", "ree"]).await, expected());
        assert_eq!(read(vec![]).await, (vec![], End::Sent));
    }

    #[tokio::test]
    async fn what_a_broken_connection_cut_off_is_no_line() {
        assert_eq!(read(vec!["one\ntw", "broken"]).await, (vec![whole(1, "one")], End::Broken));
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_is_one_line_and_is_not_held() {
        let long: &'static str = Box::leak("x".repeat(LINE_MAX + 1).into_boxed_str());
        let expected = || vec![(1, Text::TooLong), whole(2, "two")];
        assert_eq!(read(vec![long, "\ntwo\n"]).await.0, expected());
        assert_eq!(read(vec![long, long, "x\ntwo"]).await.0, expected());
        let with_end: &'static str = Box::leak(format!("{long}\ntwo").into_boxed_str());
        assert_eq!(read(vec![with_end]).await.0, expected());
        assert_eq!(read(vec![&long[1..], "\n"]).await.0, vec![(1, Text::Whole(Bytes::from(&long[1..])))]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_silent_for_too_long_is_not_waited_for() {
        let silent = stream::pending::<Result<Bytes, std::io::Error>>();
        let mut lines = Lines::new(Body::from_stream(silent).into_data_stream(), 1);
        assert_eq!(lines.next().await, Err(End::Idle));
    }
}
