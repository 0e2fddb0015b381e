//! Pauses between attempts: longer each time, and never the same for two guards.

use std::time::Duration;

use crate::clock::random;

const FIRST: Duration = Duration::from_millis(50);

/// Well within the usual bound, so that a server that comes back finds its guards before they are stale for long.
const LONGEST: Duration = Duration::from_secs(2);

/// Doubles from 50 ms to 2 s; each pause is drawn from the upper half of its length.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    pub(crate) const fn new() -> Self {
        Self { next: FIRST }
    }

    /// It worked: begin again.
    pub(crate) const fn calm(&mut self) {
        self.next = FIRST;
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let length = self.next;
        self.next = (length * 2).min(LONGEST);
        let half = length / 2;
        half + half.mul_f64((random() >> 11) as f64 / (1_u64 << 53) as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_their_longest_and_begin_again() {
        let mut backoff = Backoff::new();
        for _ in 0..20 {
            let longest = backoff.next;
            let pause = backoff.pause();
            assert!(pause >= longest / 2 && pause <= longest, "{pause:?} of {longest:?}");
        }
        assert_eq!(backoff.next, LONGEST);
        backoff.calm();
        assert!(backoff.pause() <= FIRST);
    }
}
