//! The server's answer in blocks of whole lines, with what it tells of its progress taken out.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::{memchr_iter, memrchr};
use serde_json::Value;

use crate::client::Lines;
use crate::exit::Exit;
use crate::failure::Failure;

/// Room for what is read at once: few system calls, and it stays in the processor's cache.
const BLOCK: usize = 256 * 1024;
/// Longest line: an event is at most some hundred KiB of JSON.
const MAX_LINE: usize = 4 << 20;
/// How a line begins that tells of the server's progress; no event does.
const PROGRESS: &[u8] = b"{\"of\":";

/// How far the server has searched.
#[derive(Debug, Default)]
pub(super) struct Reached {
    first: AtomicU64,
    at: AtomicU64,
    of: AtomicU64,
}

impl Reached {
    /// Where the search began, is, and ends.
    pub(super) fn span(&self) -> (u64, u64, u64) {
        let [first, at, of] = [&self.first, &self.at, &self.of].map(|part| part.load(Ordering::Relaxed));
        (first, at, of)
    }
}

/// An answer that is being read.
pub(super) struct Answer<R = Lines> {
    reader: R,
    /// What was read; lines up to `whole` were handed out.
    block: Vec<u8>,
    filled: usize,
    whole: usize,
    /// The last event that was handed out.
    last: Vec<u8>,
    reached: Arc<Reached>,
    /// Whether the server has told anything of its progress.
    heard: bool,
}

impl<R: Read> Answer<R> {
    pub(super) fn new(reader: R) -> Self {
        let block = vec![0; BLOCK];
        let reached = Arc::new(Reached::default());
        Self { reader, block, filled: 0, whole: 0, last: Vec::new(), reached, heard: false }
    }

    pub(super) fn reached(&self) -> Arc<Reached> {
        Arc::clone(&self.reached)
    }

    /// The next whole lines, each with its end; none once the answer is there to its end. One that ends before the server has
    /// said that this is all is an error.
    pub(super) fn next_lines(&mut self) -> Result<Option<&[u8]>, Failure> {
        loop {
            self.block.copy_within(self.whole..self.filled, 0);
            self.filled -= std::mem::take(&mut self.whole);
            if self.filled == self.block.len() {
                if self.filled >= MAX_LINE {
                    return Err(self.broken_off("a line is too long"));
                }
                self.block.resize(2 * self.filled, 0);
            }
            let read = self.reader.read(&mut self.block[self.filled..]);
            let read = read.map_err(|error| self.broken_off(&error.to_string()))?;
            if read == 0 {
                let (_, at, of) = self.reached.span();
                if self.filled > 0 || !self.heard || at < of {
                    return Err(self.broken_off("it ended before the server had said that it was all"));
                }
                return Ok(None);
            }
            let before = self.filled;
            self.filled += read;
            let Some(end) = memrchr(b'\n', &self.block[before..self.filled]) else { continue };
            self.whole = before + end + 1;
            let events = self.take_out_progress();
            if events > 0 {
                self.remember_last(events);
                return Ok(Some(&self.block[..events]));
            }
        }
    }

    /// Moves the events of the whole lines together and answers how many bytes they are.
    fn take_out_progress(&mut self) -> usize {
        let mut told = Vec::new();
        let mut start = 0;
        for end in memchr_iter(b'\n', &self.block[..self.whole]) {
            if self.block[start..].starts_with(PROGRESS) {
                told.push((start, end + 1));
            }
            start = end + 1;
        }
        let (mut kept, mut from) = (0, 0);
        for (start, end) in told {
            self.hear(start, end);
            self.block.copy_within(from..start, kept);
            kept += start - from;
            from = end;
        }
        self.block.copy_within(from..self.whole, kept);
        kept + self.whole - from
    }

    fn hear(&mut self, start: usize, end: usize) {
        let Ok(told) = serde_json::from_slice::<Value>(&self.block[start..end]) else { return };
        let (at, of) = (told["reached"].as_u64().unwrap_or(0), told["of"].as_u64().unwrap_or(0));
        if !std::mem::replace(&mut self.heard, true) {
            self.reached.first.store(at, Ordering::Relaxed);
        }
        self.reached.of.store(of, Ordering::Relaxed);
        self.reached.at.store(at, Ordering::Relaxed);
    }

    fn remember_last(&mut self, events: usize) {
        let line = &self.block[..events - 1];
        let start = memrchr(b'\n', line).map_or(0, |at| at + 1);
        self.last.clear();
        self.last.extend_from_slice(&line[start..]);
    }

    /// An answer that ends early must not look like a short log.
    pub(super) fn broken_off(&self, why: &str) -> Failure {
        let last =
            serde_json::from_slice::<Value>(&self.last).ok().and_then(|event| event["position"].as_u64());
        // All up to where the server had searched was handed out, whether there was an event for us or not.
        let last = last.unwrap_or(0).max(self.reached.at.load(Ordering::Relaxed));
        Failure::new(
            Exit::Error,
            "log_broke_off",
            format!("the answer broke off after position {last}: what was printed is not all"),
        )
        .because(why)
        .remedy(format!("go on with --from {}", last + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives so many bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
            let count = self.1.min(self.0.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn read_all(text: &str, at_once: usize) -> (String, Result<(), Failure>, (u64, u64, u64)) {
        let mut answer = Answer::new(Trickle(text.as_bytes(), at_once));
        let mut all = String::new();
        let ended = loop {
            match answer.next_lines() {
                Ok(Some(lines)) => all.push_str(std::str::from_utf8(lines).unwrap()),
                Ok(None) => break Ok(()),
                Err(failure) => break Err(failure),
            }
        };
        let span = answer.reached().span();
        (all, ended, span)
    }

    const WHOLE: &str = "{\"of\":9,\"reached\":2}\n{\"position\":3}\n{\"of\":9,\"reached\":4}\n{\"of\":9,\"reached\":5}\n\
                         {\"position\":7}\n{\"position\":8}\n{\"of\":9,\"reached\":9}\n";

    #[test]
    fn progress_is_taken_out_however_the_answer_comes() {
        for at_once in 1..WHOLE.len() {
            let (all, ended, span) = read_all(WHOLE, at_once);
            assert_eq!(all, "{\"position\":3}\n{\"position\":7}\n{\"position\":8}\n", "{at_once}");
            assert!(ended.is_ok(), "{at_once}: {ended:?}");
            assert_eq!(span, (2, 9, 9));
        }
    }

    #[test]
    fn an_answer_that_ends_early_is_an_error_and_says_where_to_go_on() {
        let cuts = [(0, 1), (25, 3), (36, 4), (60, 5), (78, 6), (WHOLE.len() - 1, 9)];
        for (cut, from) in cuts {
            let failure = read_all(&WHOLE[..cut], 7).1.unwrap_err();
            assert_eq!(failure.code, "log_broke_off");
            assert_eq!(failure.remedies, [format!("go on with --from {from}")], "{cut}");
        }
    }
}
