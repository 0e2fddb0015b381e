//! Reads an answer that has no end line by line, with a bound on each line.

use std::io::{self, BufRead, Read};

/// Longest line of the log or the feed: an event is at most a few KiB of JSON.
const MAX_LINE: u64 = 1 << 20;

/// The next line without its end; none at the end of the answer. A last line that is cut off is an error, not a line.
pub(crate) fn next_line(reader: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut line = Vec::new();
    reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.is_empty() {
        return Ok(None);
    }
    if line.pop() != Some(b'\n') {
        let why =
            if line.len() as u64 + 1 >= MAX_LINE { "a line is too long" } else { "the last line is cut off" };
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
    }
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    String::from_utf8(line)
        .map(Some)
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "a line is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_cut_off_is_no_line() {
        let mut reader = &b"one\r\n\ntwo"[..];
        assert_eq!(next_line(&mut reader).unwrap().as_deref(), Some("one"));
        assert_eq!(next_line(&mut reader).unwrap().as_deref(), Some(""));
        assert_eq!(next_line(&mut reader).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(next_line(&mut &b""[..]).unwrap(), None);
    }

    #[test]
    fn a_line_without_end_does_not_fill_memory() {
        let endless = io::repeat(b'x');
        assert!(next_line(&mut io::BufReader::new(endless)).is_err());
    }
}
