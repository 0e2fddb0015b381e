//! Finds keys in bytes: the marker inside every key first, then the form around it, then the checksum.

use std::ops::Range;

use domain::{ParsedKey, Prefix};
use memchr::memmem;
use zeroize::Zeroizing;

/// Characters of `_live_` and `_test_`.
const MARKER: usize = 6;
/// Characters after it: key id, secret, checksum.
const TAIL: usize = 64;
/// The widest that a character is: UTF-16, which editors and shells of Windows write.
const WIDEST: usize = 2;

/// How far a key reaches to the left of its marker, in bytes.
pub(super) const LEFT: usize = Prefix::MAX_LEN * WIDEST;
/// How far it reaches from the first byte of its marker to its end, in bytes.
pub(super) const RIGHT: usize = (MARKER + TAIL) * WIDEST;

/// Holds the four needles ready.
pub(super) struct Finder {
    narrow: [memmem::Finder<'static>; 2],
    wide: [memmem::Finder<'static>; 2],
}

/// A key, and where in the window it begins.
pub(super) struct Sighting {
    pub(super) at: usize,
    /// The whole key, as `ParsedKey` reads it.
    pub(super) text: Zeroizing<String>,
}

impl Finder {
    pub(super) fn new() -> Self {
        let finder = |needle: &'static [u8]| memmem::Finder::new(needle);
        Self {
            narrow: [finder(b"_live_"), finder(b"_test_")],
            // From the first character to the last, these are the same bytes in either byte order.
            wide: [finder(b"_\0l\0i\0v\0e\0_"), finder(b"_\0t\0e\0s\0t\0_")],
        }
    }

    /// The keys whose marker begins in this part of the window. The window has to hold [`LEFT`] bytes before that part and
    /// [`RIGHT`] bytes from its last marker on, or all that there is.
    pub(super) fn sightings(&self, window: &[u8], markers: Range<usize>) -> Vec<Sighting> {
        let mut found = Vec::new();
        search(&self.narrow, 1, window, &markers, &mut found);
        // Text without a zero byte is not UTF-16, and nearly all text is such.
        if memchr::memchr(0, window).is_some() {
            search(&self.wide, 2, window, &markers, &mut found);
        }
        found.sort_unstable_by_key(|sighting| sighting.at);
        found
    }
}

fn search(
    needles: &[memmem::Finder<'static>; 2],
    step: usize,
    window: &[u8],
    markers: &Range<usize>,
    found: &mut Vec<Sighting>,
) {
    for needle in needles {
        let end = (markers.end + needle.needle().len() - 1).min(window.len());
        let within = window.get(markers.start..end).unwrap_or_default();
        let keys = needle.find_iter(within).filter_map(|at| key_around(window, markers.start + at, step));
        found.extend(keys);
    }
}

/// The key whose marker begins at `marker`, if there is one. Its characters lie `step` bytes apart.
fn key_around(window: &[u8], marker: usize, step: usize) -> Option<Sighting> {
    let tail = marker + MARKER * step;
    let end = tail + (TAIL - 1) * step + 1;
    let is_text = |part: &[u8]| part.iter().skip(1).step_by(2).all(|between| step == 1 || *between == 0);
    // The cheap question first: most markers are names such as `list_test_send`.
    let rest = window.get(tail..end)?;
    if !rest.iter().step_by(step).all(u8::is_ascii_alphanumeric) || !is_text(rest) {
        return None;
    }
    // The checksum covers the prefix, so it says where the prefix begins in a longer word.
    for length in 1..=Prefix::MAX_LEN {
        let at = marker.checked_sub(length * step)?;
        let first = window[at];
        if !is_text(&window[at..marker]) || !(first.is_ascii_lowercase() || first.is_ascii_digit()) {
            return None;
        }
        let mut text = Zeroizing::new(String::with_capacity(ParsedKey::MAX_LEN));
        text.extend(window[at..end].iter().step_by(step).map(|byte| char::from(*byte)));
        if ParsedKey::parse(&text).is_ok() {
            return Some(Sighting { at, text });
        }
    }
    None
}

#[cfg(test)]
mod tests;
