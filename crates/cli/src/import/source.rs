//! The lines of a file or of stdin, in parts that can be sent again.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use domain::SecretDigest;
use serde_json::Value;

use crate::failure::Failure;
use crate::import::own_report;

/// Lines of a part. Parts that take about half a second each cost little, and a lost connection repeats no more than one; the
/// server can hold a refusal of every line of it without being read.
const PART_LINES: usize = 10_000;
/// Bytes of a part, for it is held in memory.
const PART_BYTES: usize = 4 << 20;
/// The longest line that the server takes.
const LINE_MAX: usize = 32 * 1024;
/// Digests that are remembered, to tell a line that is there twice: 70 MB. Beyond, the second is told as known.
const REMEMBERED: usize = 3_600_000;

/// Where the lines come from.
pub(super) struct Source {
    reader: Box<dyn BufRead>,
    bytes: Option<u64>,
    next_line: u64,
    remembered: HashSet<[u8; 16]>,
}

/// Lines to be sent together, and what is known of them before.
#[derive(Debug, Default)]
pub(super) struct Part {
    /// The number of its first line.
    pub(super) first_line: u64,
    text: Vec<u8>,
    /// Where each line begins.
    starts: Vec<usize>,
    /// What this side has to say about its lines.
    pub(super) reports: Vec<(u64, Value)>,
    /// Bytes of the source that it is made of.
    pub(super) read: u64,
}

impl Part {
    /// The number of the line after the last.
    pub(super) fn end(&self) -> u64 {
        self.first_line + self.starts.len() as u64
    }

    /// Its lines from one on.
    pub(super) fn from(&self, line: u64) -> &[u8] {
        let index = usize::try_from(line.saturating_sub(self.first_line)).unwrap_or(usize::MAX);
        self.starts.get(index).map_or(&[], |start| &self.text[*start..])
    }
}

impl Source {
    /// Opens the file and leaves out what comes before a line.
    pub(super) fn open(path: &Path, from_line: u64) -> Result<Self, Failure> {
        let cannot = |error: io::Error| Failure::io(format!("cannot read {}", path.display()), &error);
        let (reader, bytes): (Box<dyn BufRead>, _) = if path.as_os_str() == "-" {
            (Box::new(BufReader::new(io::stdin())), None)
        } else {
            let file = File::open(path).map_err(cannot)?;
            let about = file.metadata().map_err(cannot)?;
            (Box::new(BufReader::with_capacity(1 << 16, file)), about.is_file().then_some(about.len()))
        };
        let mut source = Self { reader, bytes, next_line: 1, remembered: HashSet::new() };
        while source.next_line < from_line && source.skip_line().map_err(cannot)? > 0 {
            source.next_line += 1;
        }
        Ok(source)
    }

    /// How many bytes there are, where that is known.
    pub(super) const fn bytes(&self) -> Option<u64> {
        self.bytes
    }

    /// The next part; none when there is nothing more.
    pub(super) fn next_part(&mut self) -> Result<Option<Part>, Failure> {
        let mut part = Part { first_line: self.next_line, ..Part::default() };
        while part.starts.len() < PART_LINES && part.text.len() < PART_BYTES {
            let more = self.take_line(&mut part);
            if !more.map_err(|error| Failure::io("cannot read the lines", &error))? {
                break;
            }
        }
        Ok((!part.starts.is_empty()).then_some(part))
    }

    /// Adds a line; whether there was one. What need not be sent becomes a blank line, so that the numbers stay.
    fn take_line(&mut self, part: &mut Part) -> io::Result<bool> {
        let start = part.text.len();
        let limit = LINE_MAX as u64 + 1;
        let mut read = self.reader.by_ref().take(limit).read_until(b'\n', &mut part.text)? as u64;
        if read == 0 {
            return Ok(false);
        }
        let number = self.next_line;
        self.next_line += 1;
        part.starts.push(start);
        let whole = part.text.last() == Some(&b'\n');
        let refused = if !whole && read == limit {
            read += self.skip_line()?;
            Some(("line_too_long", "a line is at most 32 KiB"))
        } else if self.is_second(&part.text[start..]) {
            Some(("duplicate", "the digest is in an earlier line"))
        } else {
            None
        };
        if let Some((code, detail)) = refused {
            part.text.truncate(start);
            part.reports.push((number, own_report(number, code, detail)));
        }
        if refused.is_some() || !whole {
            part.text.push(b'\n');
        }
        part.read += read;
        Ok(true)
    }

    /// Reads to the end of a line without holding it; how many bytes that was.
    fn skip_line(&mut self) -> io::Result<u64> {
        let mut skipped = 0;
        loop {
            let held = self.reader.fill_buf()?;
            let end = memchr::memchr(b'\n', held);
            let used = end.map_or(held.len(), |at| at + 1);
            self.reader.consume(used);
            skipped += used as u64;
            if end.is_some() || used == 0 {
                return Ok(skipped);
            }
        }
    }

    /// Whether the digest of a line came before. The server, which hears of one part at a time, would take it for a key that
    /// is known. What cannot be read is the server's to refuse.
    fn is_second(&mut self, line: &[u8]) -> bool {
        let Some(digest) = digest_of(line) else { return false };
        if self.remembered.len() < REMEMBERED {
            !self.remembered.insert(digest.short())
        } else {
            self.remembered.contains(&digest.short())
        }
    }
}

fn digest_of(line: &[u8]) -> Option<SecretDigest> {
    let line: Value = serde_json::from_slice(line).ok()?;
    let digest = &line["digest"];
    let text = digest.as_str().or_else(|| digest["value"].as_str())?;
    SecretDigest::parse_token_digest(text).ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const HEX: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const BASE64: &str = "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=";

    fn source(text: &str, from_line: u64) -> Source {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        Source::open(file.path(), from_line).unwrap()
    }

    #[test]
    fn a_part_can_be_sent_again_from_any_of_its_lines() {
        let mut source = source("a\nb\n\nd", 2);
        let part = source.next_part().unwrap().unwrap();
        assert_eq!((part.first_line, part.end(), part.read), (2, 5, 4));
        assert_eq!(part.from(2), b"b\n\nd\n");
        assert_eq!((part.from(4), part.from(5)), (&b"d\n"[..], &b""[..]));
        assert!(source.next_part().unwrap().is_none());
    }

    #[test]
    fn many_lines_are_many_parts() {
        let mut source = source(&"x\n".repeat(PART_LINES + 1), 1);
        let first = source.next_part().unwrap().unwrap();
        let second = source.next_part().unwrap().unwrap();
        assert_eq!((first.end(), second.first_line, second.end()), (10_001, 10_001, 10_002));
    }

    #[test]
    fn a_digest_that_comes_twice_is_told_and_not_sent() {
        let second = format!(r#"{{"digest":{{"algorithm":"sha256","value":"{BASE64}"}},"owner":"b"}}"#);
        let text = format!("{{\"digest\":\"{HEX}\",\"owner\":\"a\"}}\n{second}\nlast\n");
        let part = source(&text, 1).next_part().unwrap().unwrap();
        assert_eq!(part.reports.len(), 1);
        assert_eq!((part.reports[0].0, &part.reports[0].1["code"]), (2, &Value::from("duplicate")));
        assert_eq!(part.from(2), b"\nlast\n");
    }

    #[test]
    fn a_line_without_end_is_not_held() {
        let text = format!("{}\nnext\n", "x".repeat(LINE_MAX * 3));
        let part = source(&text, 1).next_part().unwrap().unwrap();
        assert_eq!((part.from(1), part.read), (&b"\nnext\n"[..], text.len() as u64));
        assert_eq!(part.reports[0].1["code"], "line_too_long");
        let longest = format!("{}\n", "x".repeat(LINE_MAX));
        assert_eq!(source(&longest, 1).next_part().unwrap().unwrap().from(1), longest.as_bytes());
    }
}
