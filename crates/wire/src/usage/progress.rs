//! How far a run has come with its reports: what is numbered, what is on its way, and where the next span begins.

use std::collections::VecDeque;

use domain::Timestamp;

use super::{RunId, UsageEntry, UsageReport};

/// Beside its entries a report takes at most so many bytes.
const REPORT_FRAME: usize = 1_024;

/// Whether a report is the run's last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stay {
    /// Others follow.
    Going,
    /// The run verifies nothing more.
    Leaving,
}

/// What a run has reported, and what is on its way. Owned by the one task that reports.
///
/// A report that is sent again has the same number and the same content, so that it is counted once. As long as one is on its
/// way nothing new is numbered, so there are never more than one drain makes.
#[derive(Debug)]
pub struct UsageProgress {
    run: RunId,
    name: Box<str>,
    max_staleness_ms: u64,
    /// What the entries of one report may weigh, see [`UsageEntry::weight`], its frame included.
    report_max: usize,
    /// The number of the last numbered report that was made.
    sequence: u64,
    /// Where the last numbered report that finished a span ended.
    from: Timestamp,
    /// Numbered and not known to be there, oldest first.
    waiting: VecDeque<UsageReport>,
}

impl UsageProgress {
    /// A verdict is counted right after it is given; a thread that is held up in between has so long before a report claims
    /// to have had everything.
    pub const SETTLE_MS: u64 = 250;
    /// How often sums go out, in milliseconds.
    pub const REPORT_EVERY_MS: u64 = 1_000;
    /// How often who counted nothing says so: well within the 3 s after which it counts as silent, and half the writes of
    /// every second.
    pub const IDLE_EVERY_MS: u64 = 2_000;

    /// A run that begins to count now.
    #[must_use]
    pub const fn new(
        run: RunId,
        name: Box<str>,
        max_staleness_ms: u64,
        report_max: usize,
        began: Timestamp,
    ) -> Self {
        let waiting = VecDeque::new();
        Self { run, name, max_staleness_ms, report_max, sequence: 0, from: began, waiting }
    }

    /// Where the span begins that has not been reported.
    #[must_use]
    pub const fn from(&self) -> Timestamp {
        self.from
    }

    /// The oldest report that is not known to be there.
    #[must_use]
    pub fn waiting(&self) -> Option<&UsageReport> {
        self.waiting.front()
    }

    /// The oldest is there.
    pub fn settled(&mut self) {
        self.waiting.pop_front();
    }

    /// A report that nothing was counted up to `to`. Nothing may be waiting.
    #[must_use]
    pub fn idle(&self, to: Timestamp, stay: Stay) -> UsageReport {
        self.make(self.sequence, to, stay, (Vec::new(), 0))
    }

    /// Makes numbered reports of what was drained, each small enough. Only the last finishes the span.
    pub fn number(&mut self, (entries, missed): (Vec<UsageEntry>, u64), to: Timestamp, stay: Stay) {
        let mut parts = parts(entries, self.report_max);
        let last = parts.pop().unwrap_or_default();
        for entries in parts {
            self.sequence += 1;
            let report = self.make(self.sequence, self.from, Stay::Going, (entries, 0));
            self.waiting.push_back(report);
        }
        self.sequence += 1;
        let report = self.make(self.sequence, to, stay, (last, missed));
        self.waiting.push_back(report);
        self.from = to;
    }

    fn make(
        &self,
        sequence: u64,
        to: Timestamp,
        stay: Stay,
        (entries, missed): (Vec<UsageEntry>, u64),
    ) -> UsageReport {
        UsageReport {
            run: self.run,
            server: self.name.clone(),
            sequence,
            from: self.from,
            to,
            leaving: stay == Stay::Leaving,
            max_staleness_ms: self.max_staleness_ms,
            missed,
            entries,
        }
    }
}

/// Splits entries by what they weigh.
fn parts(entries: Vec<UsageEntry>, report_max: usize) -> Vec<Vec<UsageEntry>> {
    let (mut parts, mut weight) = (vec![Vec::new()], REPORT_FRAME);
    for entry in entries {
        weight += entry.weight();
        if weight > report_max {
            weight = REPORT_FRAME + entry.weight();
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(entry);
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use domain::KeyId;

    use super::*;
    use crate::usage::UsageOrigin;

    const MAX: usize = 512 * 1024;

    #[test]
    fn parts_fit_into_messages_and_lose_nothing() {
        let entry = |n: u128| UsageEntry {
            tenant: "a".repeat(63).parse().unwrap(),
            key_id: KeyId::from_u128(n),
            verdict: "network_denied".into(),
            count: u64::MAX,
            first: Timestamp::from_millis(u64::MAX),
            last: Timestamp::from_millis(u64::MAX),
            origin: Some(UsageOrigin {
                scope: Some("s".repeat(128).into()),
                service: "s".repeat(64).into(),
                network: Some("2001:db8:ffff::/48".into()),
            }),
        };
        let entries: Vec<_> = (0..5_000).map(entry).collect();
        let (run, end) = (RunId::from_u128(u128::MAX), Timestamp::from_millis(u64::MAX));
        let mut progress = UsageProgress::new(run, "s".repeat(106).into(), u64::MAX, MAX, end);
        progress.number((entries.clone(), u64::MAX), end, Stay::Leaving);
        let mut sent = Vec::new();
        while let Some(report) = progress.waiting().cloned() {
            assert!(report.encode().len() <= MAX);
            sent.push(report);
            progress.settled();
        }
        assert!(sent.len() > 2);
        assert_eq!(sent.iter().map(|report| report.sequence).collect::<Vec<_>>(), [1, 2, 3, 4][..sent.len()]);
        assert!(sent[1..].iter().rev().skip(1).all(|report| !report.leaving && report.missed == 0));
        let last = sent.last().unwrap();
        assert_eq!((last.leaving, last.missed), (true, u64::MAX));
        assert_eq!(sent.into_iter().flat_map(|report| report.entries).collect::<Vec<_>>(), entries);
    }
}
