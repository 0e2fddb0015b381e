//! What a guard counts, through the `metrics` facade: whoever installs a recorder before the guard is built sees it.

use metrics::{Counter, Gauge, counter, gauge};
use verify::Verdict;

use crate::client::CallError;

/// Handles, so that counting looks nothing up.
pub(crate) struct Meters {
    verdicts: [Counter; Verdict::ALL.len()],
    /// Fills that were asked for.
    pub(crate) fills: Counter,
    /// Keys that were asked for in them.
    pub(crate) filled_keys: Counter,
    /// Answers that a notice overtook.
    pub(crate) fenced: Counter,
    /// First sights that were refused because too many waited.
    pub(crate) crowded: Counter,
    /// Calls that brought nothing, by why.
    failed_calls: [Counter; CallError::WHYS.len()],
    /// Notices that were applied.
    pub(crate) notices: Counter,
    /// Notices that were known already.
    pub(crate) repeats: Counter,
    /// Notices that could not be read.
    pub(crate) unreadable: Counter,
    /// Hints that were taken.
    pub(crate) hints: Counter,
    /// Times that a feed ended, for whatever reason.
    pub(crate) feed_ends: Counter,
    /// Of these, gaps.
    pub(crate) gaps: Counter,
    /// Times that everything held was dropped.
    pub(crate) resets: Counter,
    /// Reports of usage that did not reach the server, and were kept.
    pub(crate) untold_reports: Counter,
    /// Verdicts for which there was no room.
    pub(crate) missed_uses: Counter,
    /// Keys held.
    pub(crate) held: Gauge,
    /// The last notice applied.
    pub(crate) applied: Gauge,
    /// Milliseconds since everything was proven to have been heard.
    pub(crate) lag_ms: Gauge,
}

impl Meters {
    pub(crate) fn new() -> Self {
        Self {
            verdicts: Verdict::ALL
                .map(|verdict| counter!("rescind_guard_verdicts_total", "verdict" => verdict.as_str())),
            fills: counter!("rescind_guard_fills_total"),
            filled_keys: counter!("rescind_guard_filled_keys_total"),
            fenced: counter!("rescind_guard_fenced_keys_total"),
            crowded: counter!("rescind_guard_crowded_total"),
            notices: counter!("rescind_guard_notices_total"),
            failed_calls: CallError::WHYS
                .map(|why| counter!("rescind_guard_failed_calls_total", "why" => why)),
            repeats: counter!("rescind_guard_feed_repeats_total"),
            unreadable: counter!("rescind_guard_feed_unreadable_total"),
            hints: counter!("rescind_guard_hints_total"),
            feed_ends: counter!("rescind_guard_feed_ends_total"),
            gaps: counter!("rescind_guard_feed_gaps_total"),
            resets: counter!("rescind_guard_resets_total"),
            untold_reports: counter!("rescind_guard_usage_untold_total"),
            missed_uses: counter!("rescind_guard_usage_missed_total"),
            held: gauge!("rescind_guard_held_keys"),
            applied: gauge!("rescind_guard_applied_position"),
            lag_ms: gauge!("rescind_guard_lag_ms"),
        }
    }

    pub(crate) fn failed_call(&self, error: &CallError) {
        self.failed_calls[error.why()].increment(1);
    }

    pub(crate) fn count(&self, verdict: Verdict) {
        self.verdicts[verdict as usize].increment(1);
    }
}
