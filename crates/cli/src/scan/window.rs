//! Searches what is read, of any length, in a window of fixed size that moves on.

use std::io::{self, Read};

use zeroize::Zeroizing;

use super::find::{Finder, LEFT, RIGHT};

/// Small enough for the cache of a core, which each byte passes twice; large enough that reading is few calls.
const WINDOW: usize = 256 << 10;

/// Where in a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Bytes before it.
    pub(super) offset: u64,
    /// From 1.
    pub(super) line: u64,
    /// In bytes, from 1.
    pub(super) column: u64,
}

/// What one searcher needs, kept from text to text. Wiped when dropped: keys pass through it.
pub(super) struct Window {
    bytes: Zeroizing<Vec<u8>>,
    finder: Finder,
}

/// What has left the window on the left.
#[derive(Clone, Copy, Default)]
struct Passed {
    bytes: u64,
    lines: u64,
    /// Since the last end of line.
    column: u64,
}

impl Window {
    pub(super) fn new() -> Self {
        Self { bytes: Zeroizing::new(vec![0; WINDOW]), finder: Finder::new() }
    }

    /// Visits every key in a text, in its order. Answers how long the text is.
    pub(super) fn search(
        &mut self,
        text: &mut impl Read,
        found: &mut impl FnMut(Place, Zeroizing<String>),
    ) -> io::Result<u64> {
        let (mut filled, mut from) = (0, 0);
        let mut passed = Passed::default();
        loop {
            let read = fill(text, &mut self.bytes[filled..])?;
            filled += read;
            let is_all = filled < WINDOW;
            // A marker whose key could reach past the window is left for the next one.
            let to = if is_all { filled } else { WINDOW - RIGHT };
            for sighting in self.finder.sightings(&self.bytes[..filled], from..to) {
                found(passed.with(&self.bytes[..sighting.at]).place(), sighting.text);
            }
            if is_all {
                return Ok(passed.bytes + filled as u64);
            }
            let gone = to - LEFT;
            passed = passed.with(&self.bytes[..gone]);
            self.bytes.copy_within(gone.., 0);
            filled -= gone;
            from = LEFT;
        }
    }
}

/// Reads until there is no room or no more. A short read is not the end.
fn fill(text: &mut impl Read, mut room: &mut [u8]) -> io::Result<usize> {
    let wanted = room.len();
    while !room.is_empty() {
        match text.read(room) {
            Ok(0) => break,
            Ok(read) => room = &mut room[read..],
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(wanted - room.len())
}

impl Passed {
    fn with(self, more: &[u8]) -> Self {
        let length = more.len() as u64;
        let column = match memchr::memrchr(b'\n', more) {
            Some(end) => length - end as u64 - 1,
            None => self.column + length,
        };
        let lines = memchr::memchr_iter(b'\n', more).count() as u64;
        Self { bytes: self.bytes + length, lines: self.lines + lines, column }
    }

    const fn place(self) -> Place {
        Place { offset: self.bytes, line: self.lines + 1, column: self.column + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::given::a_key;

    fn places(text: &[u8]) -> Vec<Place> {
        let mut places = Vec::new();
        let length = Window::new().search(&mut &*text, &mut |place, _| places.push(place)).unwrap();
        assert_eq!(length, text.len() as u64);
        places
    }

    #[test]
    fn a_key_is_found_once_wherever_the_window_ends() {
        let key = a_key("rsk");
        let length = key.len();
        // Every place of the first key relative to the end of the first window, and one key more behind.
        for at in WINDOW - RIGHT - LEFT - length..WINDOW + length {
            let mut text = vec![b'\n'; at];
            text.extend_from_slice(key.as_bytes());
            text.extend_from_slice(format!(" {}", &*key).as_bytes());
            let offset = at as u64;
            let expected = [(offset, 1), (offset + length as u64 + 1, length as u64 + 2)]
                .map(|(offset, column)| Place { offset, line: at as u64 + 1, column });
            assert_eq!(places(&text), expected, "at {at}");
        }
    }

    #[test]
    fn what_comes_in_small_pieces_is_the_same_text() {
        struct Trickle<'a>(&'a [u8]);
        impl Read for Trickle<'_> {
            fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
                let length = room.len().min(7);
                self.0.read(&mut room[..length])
            }
        }
        let text = format!("a\nMAILER={}", &*a_key("rsk"));
        let mut found = 0;
        let mut visit = |place, _| {
            assert_eq!(place, Place { offset: 9, line: 2, column: 8 });
            found += 1;
        };
        Window::new().search(&mut Trickle(text.as_bytes()), &mut visit).unwrap();
        assert_eq!(found, 1);
    }

    #[test]
    fn nothing_of_an_earlier_text_is_found_again() {
        let mut window = Window::new();
        let mut found = 0;
        for text in [a_key("rsk").as_bytes(), b"short"] {
            window.search(&mut &*text, &mut |_, _| found += 1).unwrap();
        }
        assert_eq!(found, 1);
    }
}
