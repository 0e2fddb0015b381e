//! The last positions of streams that this process has seen: bounded, and only ever a hint.

use std::collections::HashMap;

use domain::Position;

use crate::port::StreamId;

/// Enough for all that is written within a second; some 150 B each.
const CAPACITY: usize = 64 * 1024;

/// Two generations: when the younger one is full, the older one goes.
#[derive(Debug, Default)]
pub(super) struct Tails {
    young: HashMap<StreamId, Position>,
    old: HashMap<StreamId, Position>,
}

impl Tails {
    /// Remembers that a stream has reached at least this position.
    pub(super) fn note(&mut self, stream: &StreamId, position: Position) {
        if let Some(known) = self.young.get_mut(stream) {
            *known = position.max(*known);
            return;
        }
        if self.young.len() >= CAPACITY / 2 {
            self.old = std::mem::take(&mut self.young);
        }
        let known = self.old.get(stream).copied().unwrap_or(Position::NONE);
        self.young.insert(stream.clone(), position.max(known));
    }

    /// The stream's last position, or one before it; [`Position::NONE`] when nothing is known.
    pub(super) fn at_least(&self, stream: &StreamId) -> Position {
        self.young.get(stream).or_else(|| self.old.get(stream)).copied().unwrap_or(Position::NONE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_seen_are_remembered_and_the_number_is_bounded() {
        let mut tails = Tails::default();
        let stream = |n: usize| format!("acme.k{n}").parse::<StreamId>().unwrap();
        for n in 1..=3 * CAPACITY {
            tails.note(&stream(n), Position::new(n as u64));
        }
        assert_eq!(tails.at_least(&stream(3 * CAPACITY)), Position::new(3 * CAPACITY as u64));
        assert_eq!(tails.at_least(&stream(1)), Position::NONE);
        assert!(tails.young.len() + tails.old.len() <= CAPACITY);
    }

    #[test]
    fn a_position_never_goes_back() {
        let mut tails = Tails::default();
        let stream: StreamId = "acme.k".parse().unwrap();
        tails.note(&stream, Position::new(7));
        tails.note(&stream, Position::new(3));
        assert_eq!(tails.at_least(&stream), Position::new(7));
    }
}
