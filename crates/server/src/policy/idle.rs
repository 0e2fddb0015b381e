//! Whether a key is idle: not used for so long, and known not to be.

use domain::Timestamp;
use projection::usage::UnknownSpan;

/// What can be said of a span in which no use is on record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Idle {
    /// It was known not to be used for as long as asked, up to this instant.
    For(Timestamp),
    /// It would have been, if nobody used it in these parts.
    Unknown(Vec<UnknownSpan>),
    /// It was not idle for so long.
    Not,
}

/// Whether a key that was last used at `from` is idle now: known not to be used for the last `span_ms` before `until`. The
/// instant is where that was reached.
pub(crate) fn idle_now(from: Timestamp, until: Timestamp, unknown: &[UnknownSpan], span_ms: u64) -> Idle {
    let within = |span: &&UnknownSpan| span.to > from && span.from < until;
    let known_from = unknown.iter().filter(within).map(|span| span.to).fold(from, Timestamp::max);
    let reached = known_from.plus_millis(span_ms);
    if reached <= until {
        return Idle::For(reached);
    }
    if from.plus_millis(span_ms) <= until {
        return Idle::Unknown(unknown.iter().filter(within).cloned().collect());
    }
    Idle::Not
}

/// The first instant from `from` to `until` at which a key that was not used in all that time was known to be idle. `unknown`
/// is in the order of beginnings.
pub(crate) fn first_idle(from: Timestamp, until: Timestamp, unknown: &[UnknownSpan], span_ms: u64) -> Idle {
    let (mut known_from, mut missing) = (from, Vec::new());
    for span in unknown.iter().filter(|span| span.to > from && span.from < until) {
        if span.from >= known_from.plus_millis(span_ms) {
            break;
        }
        known_from = known_from.max(span.to);
        missing.push(span.clone());
    }
    let reached = known_from.plus_millis(span_ms);
    if reached <= until {
        Idle::For(reached)
    } else if from.plus_millis(span_ms) <= until {
        Idle::Unknown(missing)
    } else {
        Idle::Not
    }
}

#[cfg(test)]
mod tests {
    use projection::usage::Why;

    use super::*;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn unknown(spans: &[(u64, u64)]) -> Vec<UnknownSpan> {
        let span = |&(from, to): &(u64, u64)| UnknownSpan {
            from: at(from),
            to: at(to),
            whom: Some("mail-2".into()),
            why: Why::Silent,
        };
        spans.iter().map(span).collect()
    }

    #[test]
    fn idle_now_counts_only_what_is_known_up_to_the_end() {
        for (spans, until, expected) in [
            (&[][..], 130, Idle::For(at(130))),
            (&[], 129, Idle::Not),
            (&[], 500, Idle::For(at(130))),
            (&[(110, 120)], 149, Idle::Unknown(unknown(&[(110, 120)]))),
            (&[(110, 120)], 150, Idle::For(at(150))),
            // Known to be idle once, but not any more.
            (&[(140, 200)], 220, Idle::Unknown(unknown(&[(140, 200)]))),
            (&[(0, 100)], 130, Idle::For(at(130))),
            (&[(0, 101)], 130, Idle::Unknown(unknown(&[(0, 101)]))),
        ] {
            assert_eq!(idle_now(at(100), at(until), &unknown(spans), 30), expected, "{spans:?} {until}");
        }
    }

    #[test]
    fn the_first_idle_instant_may_lie_before_what_is_unknown() {
        for (spans, until, expected) in [
            (&[][..], 500, Idle::For(at(130))),
            (&[(140, 200)], 220, Idle::For(at(130))),
            (&[(129, 200)], 220, Idle::Unknown(unknown(&[(129, 200)]))),
            (&[(129, 200)], 230, Idle::For(at(230))),
            // One inside another ends before it.
            (&[(105, 200), (110, 120)], 230, Idle::For(at(230))),
            (&[(0, 50)], 129, Idle::Not),
        ] {
            assert_eq!(first_idle(at(100), at(until), &unknown(spans), 30), expected, "{spans:?} {until}");
        }
    }

    /// All spans on a short line, against a look at every instant.
    #[test]
    fn both_agree_with_a_look_at_every_instant() {
        let known = |spans: &[(u64, u64)], from: u64, to: u64| {
            !spans.iter().any(|&(start, end)| start < to && end > from)
        };
        for a in 0..8_u64 {
            for b in a..9 {
                for c in a..8 {
                    for d in c..9 {
                        for until in 2..9 {
                            let spans: Vec<_> = [(a, b), (c, d)].into_iter().filter(|(x, y)| x < y).collect();
                            let (from, wanted) = (1, 3);
                            let idle_at = |t: u64| t >= from + wanted && known(&spans, t - wanted, t);
                            let first = (from..=until).find(|t| idle_at(*t));
                            let found = first_idle(at(from), at(until), &unknown(&spans), wanted);
                            assert_eq!(matches!(found, Idle::For(_)), first.is_some(), "{spans:?} {until}");
                            if let Idle::For(reached) = found {
                                assert_eq!(Some(reached), first.map(at), "{spans:?} {until}");
                            }
                            let now = idle_now(at(from), at(until), &unknown(&spans), wanted);
                            assert_eq!(matches!(now, Idle::For(_)), idle_at(until), "{spans:?} {until}");
                        }
                    }
                }
            }
        }
    }
}
