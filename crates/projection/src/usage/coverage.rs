//! For which spans the sums are whole: what every run has reported, and what nobody ever will.

use std::collections::{BTreeMap, VecDeque};

use domain::{TenantId, Timestamp};
use serde::{Deserialize, Serialize};
use wire::{RunId, UsageReport, who_counts};

/// A run that has not reported for so long is silent: three times the second in which it should have.
pub(crate) const SILENT_AFTER_MS: u64 = 3_000;

/// Runs that are remembered, so that a report that is delivered again is known: ten servers that start ten times a day for
/// the 91 days that a report can be delivered in. Beyond that the one goes that reported longest ago, those first that have
/// left, and what it did not report stays unknown.
const RUNS_MAX: usize = 10_000;

/// Spans that stay unknown. Beyond that the record begins behind the oldest.
const GAPS_MAX: usize = 4_096;

/// Whether everything that happened in a span is in the sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// All of it: what is not there did not happen.
    Covered,
    /// Not all: in these parts of the span, oldest first, more may have happened than is there.
    Unknown {
        /// They may overlap.
        spans: Vec<UnknownSpan>,
    },
}

impl Coverage {
    /// Whether what is not there did not happen.
    #[must_use]
    pub const fn is_covered(&self) -> bool {
        matches!(self, Self::Covered)
    }

    /// What is unknown; nothing if all is covered.
    #[must_use]
    pub fn unknown(&self) -> &[UnknownSpan] {
        match self {
            Self::Covered => &[],
            Self::Unknown { spans } => spans,
        }
    }
}

/// A span in which more may have happened than is in the sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownSpan {
    /// Known up to here.
    pub from: Timestamp,
    /// Known again from here on.
    pub to: Timestamp,
    /// Whose reports are missing; none where there was no record at all.
    pub whom: Option<Box<str>>,
    /// Why they are.
    pub why: Why,
}

/// Why a span is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Why {
    /// The record had not begun.
    BeforeRecord,
    /// A report got lost, or a server could not count all that it was asked.
    Lost,
    /// The run fell silent without having left. It may come back and report.
    Silent,
    /// This server has not yet heard what was reported.
    NotHeard,
}

impl Why {
    /// The word in API and CLI.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BeforeRecord => "before_record",
            Self::Lost => "lost",
            Self::Silent => "silent",
            Self::NotHeard => "not_heard",
        }
    }
}

/// What is known of one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunRow {
    server: String,
    /// The last numbered report that is in the sums.
    sequence: u64,
    /// Up to here it has reported everything, but for its gaps.
    until: u64,
    /// What comes next after `until` is not whole.
    tainted: bool,
    left: bool,
    max_staleness_ms: u64,
}

impl RunRow {
    /// What a run that fell silent leaves unknown: until its silence had to be noticed it may have heard the log, and from
    /// then on it may have answered for as long as it is allowed to.
    fn silence(&self) -> (u64, u64) {
        (self.until, self.until.saturating_add(SILENT_AFTER_MS).saturating_add(self.max_staleness_ms))
    }
}

/// A span that stays unknown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Gap {
    pub(crate) from: u64,
    pub(crate) to: u64,
    server: String,
    why: Why,
}

/// What is to be done with a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// Its entries are to be added to the sums.
    Counts,
    /// It counts nothing, or its entries are in the sums already.
    Known,
}

/// What changed in the taking in of reports, to be written.
#[derive(Debug, Default)]
pub(crate) struct Changed {
    pub(crate) runs: Vec<RunId>,
    pub(crate) removed_runs: Vec<RunId>,
    /// Numbers of gaps.
    pub(crate) gaps: Vec<u64>,
    pub(crate) removed_gaps: Vec<u64>,
}

/// All runs and gaps that are remembered.
#[derive(Clone, Debug)]
pub(crate) struct Reported {
    /// This server's run and name.
    own: RunId,
    own_name: Box<str>,
    /// Where the record begins; none before the first report.
    pub(crate) began: Option<Timestamp>,
    /// Where the last report of this server ended that came back to it. All that anybody reported before that is here.
    pub(crate) heard: Option<Timestamp>,
    pub(crate) runs: BTreeMap<RunId, RunRow>,
    pub(crate) gaps: VecDeque<(u64, Gap)>,
    pub(crate) next_gap: u64,
}

impl Reported {
    pub(crate) fn new(own: RunId, own_name: Box<str>) -> Self {
        let (runs, gaps) = (BTreeMap::new(), VecDeque::new());
        Self { own, own_name, began: None, heard: None, runs, gaps, next_gap: 0 }
    }

    /// Takes in how far a report goes. What it says about spans is in effect afterwards, whatever becomes of its entries.
    pub(crate) fn take_in(&mut self, report: &UsageReport, changed: &mut Changed) -> Taken {
        let began = *self.began.get_or_insert(report.from);
        let own_number = u64::from(report.is_numbered());
        let mut row = self.runs.get(&report.run).cloned().unwrap_or_else(|| {
            // A run whose first reports left the stream before this server came: all that it did before is unknown.
            let is_first = report.sequence == own_number;
            let begin = if is_first { report.from } else { report.run.drawn_at().max(began) };
            RunRow {
                server: report.server.to_string(),
                sequence: 0,
                until: begin.min(report.from).as_millis(),
                tainted: false,
                left: false,
                max_staleness_ms: report.max_staleness_ms,
            }
        });
        let taken =
            if own_number == 1 && report.sequence > row.sequence { Taken::Counts } else { Taken::Known };
        let lost_some = report.sequence > row.sequence + own_number;
        row.tainted |= lost_some || (taken == Taken::Counts && report.missed > 0);
        let to = report.to.as_millis();
        if row.tainted && to > row.until {
            // In which part of the span the lost ones were counted is not known: the whole is doubtful.
            self.remember(Gap { from: row.until, to, server: row.server.clone(), why: Why::Lost }, changed);
            row.tainted = false;
        }
        // Somebody else may say of a silent one that it goes on, until when: counted from where it says that reports end.
        row.max_staleness_ms = if to > row.until {
            report.max_staleness_ms
        } else {
            row.max_staleness_ms.max(to.saturating_add(report.max_staleness_ms).saturating_sub(row.until))
        };
        row.sequence = row.sequence.max(report.sequence);
        row.until = row.until.max(to);
        row.left |= report.leaving;
        if report.run == self.own {
            self.heard = self.heard.max(Some(Timestamp::from_millis(row.until)));
        }
        self.runs.insert(report.run, row);
        changed.runs.push(report.run);
        self.forget(changed);
        taken
    }

    fn remember(&mut self, gap: Gap, changed: &mut Changed) {
        if gap.from >= gap.to {
            return;
        }
        // A run that loses report after report makes one gap that grows, also beside others that do.
        let grows = |last: &Gap| {
            last.server == gap.server && last.why == gap.why && last.to >= gap.from && last.from <= gap.from
        };
        if let Some((number, last)) = self.gaps.iter_mut().rev().find(|(_, last)| grows(last)) {
            last.to = last.to.max(gap.to);
            changed.gaps.push(*number);
            return;
        }
        let number = self.next_gap;
        self.next_gap += 1;
        self.gaps.push_back((number, gap));
        changed.gaps.push(number);
    }

    /// Keeps within the bounds, without making anything known that is not.
    fn forget(&mut self, changed: &mut Changed) {
        while self.runs.len() > RUNS_MAX
            && let Some(run) = self.longest_ago()
            && let Some(row) = self.runs.remove(&run)
        {
            let (from, to) = row.silence();
            if !row.left {
                self.remember(Gap { from, to, server: row.server, why: Why::Silent }, changed);
            }
            changed.removed_runs.push(run);
        }
        while self.gaps.len() > GAPS_MAX
            && let Some((number, gap)) = self.gaps.pop_front()
        {
            self.began = self.began.max(Some(Timestamp::from_millis(gap.to)));
            changed.removed_gaps.push(number);
        }
    }

    fn longest_ago(&self) -> Option<RunId> {
        self.runs.iter().min_by_key(|(_, row)| (!row.left, row.until)).map(|(run, _)| *run)
    }

    /// Whether the sums of a span are whole for a tenant's keys. `to` is at most now.
    pub(crate) fn coverage(&self, tenant: &TenantId, from: Timestamp, to: Timestamp) -> Coverage {
        let (from, to) = (from.as_millis(), to.as_millis());
        let mut spans = Vec::new();
        let mut add = |start: u64, end: u64, whom: Option<&str>, why| {
            let (start, end) = (start.max(from), end.min(to));
            let (of, whom) = whom.map_or((None, None), |whom| {
                let (of, name) = who_counts(whom);
                (of, Some(name))
            });
            // A guard judges its own tenant's keys and no others.
            if start < end && of.is_none_or(|of| of == tenant.as_str()) {
                let (from, to) = (Timestamp::from_millis(start), Timestamp::from_millis(end));
                spans.push(UnknownSpan { from, to, whom: whom.map(Into::into), why });
            }
        };
        let own = Some(&*self.own_name);
        match self.began {
            Some(began) => add(0, began.as_millis(), None, Why::BeforeRecord),
            None => add(0, to, None, Why::BeforeRecord),
        }
        for (_, gap) in &self.gaps {
            add(gap.from, gap.to, Some(&gap.server), gap.why);
        }
        let heard = self.heard.map_or(0, Timestamp::as_millis);
        for (run, row) in &self.runs {
            // Our own says nothing of itself; what of it is missing is what was not heard.
            let silent = row.until.saturating_add(SILENT_AFTER_MS) < heard;
            if *run != self.own && !row.left && silent {
                let (start, end) = row.silence();
                add(start, end, Some(&row.server), Why::Silent);
            }
        }
        if self.began.is_some() && heard.saturating_add(SILENT_AFTER_MS) < to {
            add(heard, to, own, Why::NotHeard);
        }
        if spans.is_empty() {
            return Coverage::Covered;
        }
        spans.sort_by_key(|span| (span.from, span.to));
        Coverage::Unknown { spans }
    }
}

#[cfg(test)]
mod tests;
