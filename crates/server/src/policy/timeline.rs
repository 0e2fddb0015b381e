//! When a key was used, as far as it is kept: by the hour for a week, by the day for 90 days, with its first and last use.

use domain::Timestamp;
use projection::usage::{Bucket, KeyUsage};

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// The hour that goes on and those before it.
const HOURS: u64 = 7 * 24;
/// The day that goes on and those before it.
const DAYS: u64 = 90;

/// A span somewhere in which a key was used so often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Used {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) valid: u64,
}

/// All uses of a key that are on record, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Timeline {
    pub(crate) used: Vec<Used>,
    /// Before this the record does not tell when.
    pub(crate) from: Timestamp,
}

impl Timeline {
    /// The uses of a key that was issued at `issued_at`, seen from `now`.
    pub(crate) fn of(usage: &KeyUsage, issued_at: Timestamp, now: Timestamp) -> Self {
        let begin = |each: u64, count: u64| (now.as_millis() / each).saturating_sub(count - 1) * each;
        let (hours_from, days_from) = (begin(HOUR_MS, HOURS), begin(DAY_MS, DAYS));
        let span = |bucket: &Bucket, each: u64| Used {
            from: bucket.start,
            to: bucket.start.plus_millis(each),
            valid: bucket.requests.valid,
        };
        let hours = usage.hours.iter().map(|bucket| span(bucket, HOUR_MS)).filter(|used| used.valid > 0);
        let mut used: Vec<Used> = hours.collect();
        for day in usage.days.iter().map(|bucket| span(bucket, DAY_MS)) {
            // What hours tell is taken from its day; the rest was before they began.
            let told: u64 = used
                .iter()
                .filter(|hour| {
                    hour.from >= day.from
                        && hour.to <= day.to
                        && hour.to.as_millis() - hour.from.as_millis() <= HOUR_MS
                })
                .map(|hour| hour.valid)
                .sum();
            let rest = Used {
                to: day.to.min(Timestamp::from_millis(hours_from).max(day.from)),
                valid: day.valid.saturating_sub(told),
                ..day
            };
            if rest.valid > 0 && rest.from < rest.to {
                used.push(rest);
            }
        }
        used.sort_by_key(|used| (used.from, used.to));
        let (first, last) = (usage.first_used, usage.last_used);
        for span in &mut used {
            span.from = span.from.max(first.unwrap_or_default()).min(span.to);
            span.to = span.to.min(last.unwrap_or(now)).max(span.from);
        }
        // What was used before the first day that is kept: when is not told, but for the last time.
        let kept_from = Timestamp::from_millis(days_from);
        let from = match (first, last) {
            (Some(first), Some(last)) if first < kept_from => last.min(kept_from),
            _ => issued_at,
        };
        Self { used, from: from.max(issued_at) }
    }

    /// The spans without any use on record, from one to the next, up to `until`.
    pub(crate) fn gaps(&self, until: Timestamp) -> Vec<(Timestamp, Timestamp)> {
        let (mut gaps, mut from) = (Vec::new(), self.from);
        for used in &self.used {
            if used.from > from {
                gaps.push((from, used.from.min(until)));
            }
            from = from.max(used.to);
        }
        gaps.push((from, until));
        gaps.retain(|(from, to)| from < to);
        gaps
    }

    /// How often it was used from an instant on, and when first: within the hour or the day.
    pub(crate) fn after(&self, at: Timestamp) -> (u64, Option<Timestamp>) {
        let later = || self.used.iter().filter(|used| used.to > at);
        (later().map(|used| used.valid).sum(), later().map(|used| used.from.max(at)).min())
    }

    /// All uses that are kept.
    pub(crate) fn valid(&self) -> u64 {
        self.used.iter().map(|used| used.valid).sum()
    }
}

#[cfg(test)]
mod tests {
    use projection::usage::Requests;

    use super::*;

    /// Noon of a day.
    const NOW: u64 = 20_000 * DAY_MS + 12 * HOUR_MS;

    fn at(ms: u64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn bucket(start: u64, valid: u64) -> Bucket {
        Bucket { start: at(start), requests: Requests { valid, refused: 7 } }
    }

    #[test]
    fn hours_days_and_the_first_and_last_use_make_one_line() {
        let day = |ago: u64| (20_000 - ago) * DAY_MS;
        let usage = KeyUsage {
            first_used: Some(at(day(40) + 5 * HOUR_MS)),
            last_used: Some(at(day(1) + 3 * HOUR_MS + 600_000)),
            hours: vec![bucket(day(1) + 3 * HOUR_MS, 2), bucket(day(0), 0)],
            days: vec![bucket(day(40), 4), bucket(day(30), 0), bucket(day(1), 2)],
            ..KeyUsage::default()
        };
        let line = Timeline::of(&usage, at(day(80)), at(NOW));
        let used: Vec<_> =
            line.used.iter().map(|used| (used.from.as_millis(), used.to.as_millis(), used.valid)).collect();
        let last = day(1) + 3 * HOUR_MS;
        assert_eq!(used, [(day(40) + 5 * HOUR_MS, day(39), 4), (last, last + 600_000, 2)]);
        let gaps: Vec<_> = line.gaps(at(NOW)).iter().map(|(a, b)| (a.as_millis(), b.as_millis())).collect();
        assert_eq!(gaps, [(day(80), day(40) + 5 * HOUR_MS), (day(39), last), (last + 600_000, NOW)]);
        assert_eq!(line.after(at(day(20))), (2, Some(at(last))));
        assert_eq!((line.after(at(NOW)), line.valid()), ((0, None), 6));
    }

    #[test]
    fn what_lies_before_the_days_that_are_kept_is_no_gap() {
        let old = at(NOW - 200 * DAY_MS);
        let used_long_ago = KeyUsage {
            first_used: Some(old),
            last_used: Some(at(NOW - 100 * DAY_MS)),
            ..KeyUsage::default()
        };
        assert_eq!(
            Timeline::of(&used_long_ago, old, at(NOW)).gaps(at(NOW)),
            [(at(NOW - 100 * DAY_MS), at(NOW))]
        );
        let never = KeyUsage::default();
        assert_eq!(Timeline::of(&never, old, at(NOW)).gaps(at(NOW)), [(old, at(NOW))]);
    }
}
