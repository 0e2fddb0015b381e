//! The contract of the port as a test suite: an adapter is done when it passes.
//!
//! It asserts and so it panics; call it from tests only. Each case runs on a fresh log, and a failure names its case.

mod appending;
mod carrying;
mod copying;
mod following;
mod given;
mod reading;
mod repeating;
mod sealing;
mod subjects;

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use domain::{LogId, Position};
use futures_util::FutureExt;

use crate::copying::{CopyError, LogCopy};
use crate::port::{EventLog, SealStore};

/// One log that a case may open as often as it likes. Fresh for every case, empty at first.
#[async_trait]
pub trait LogPlace: Send {
    /// Another handle on the place's one log, beside those that are still held.
    async fn open(&mut self) -> Arc<dyn EventLog>;

    /// Told when the case has dropped all its handles: the next [`open`](Self::open) must find the log as after a restart.
    async fn close(&mut self);
}

/// One place that a history may be copied into, fresh for every case.
#[async_trait]
pub trait CopyPlace: Send {
    /// The place as a target of this log, which ends there.
    async fn copy(&mut self, of: LogId, until: Position) -> Result<Box<dyn LogCopy>, CopyError>;

    /// The place as a log, or why it is none.
    async fn open_log(&mut self) -> Result<Arc<dyn EventLog>, String>;

    /// Told when the case has dropped all that it opened.
    async fn close(&mut self);
}

/// Runs every case of [`LogCopy`]'s contract, each on a place of its own.
///
/// # Panics
/// When a case fails, with its name.
pub async fn conformance_of_copies<P: CopyPlace>(fresh: impl AsyncFn() -> P) {
    macro_rules! cases {
        ($($case:path),* $(,)?) => {
            $(
                let mut place = fresh().await;
                named(stringify!($case), $case(&mut place)).await;
            )*
        };
    }
    cases!(
        copying::a_copy_is_the_same_history,
        copying::units_are_known_and_expectations_hold_after_a_copy,
        copying::an_unfinished_copy_is_no_log_and_goes_on,
        copying::a_finished_copy_takes_what_the_source_has_since,
        copying::what_does_not_follow_is_refused,
        copying::another_history_is_refused,
    );
}

/// Runs every case of [`EventLog`]'s contract, each on a place of its own.
///
/// # Panics
/// When a case fails, with its name.
pub async fn conformance<P: LogPlace>(fresh: impl AsyncFn() -> P) {
    macro_rules! cases {
        ($($case:path),* $(,)?) => {
            $(
                let mut place = fresh().await;
                named(stringify!($case), $case(&mut place)).await;
            )*
        };
    }
    cases!(
        appending::positions_are_dense_from_one,
        appending::a_conflict_names_the_stream_and_its_last_event,
        appending::a_unit_of_two_streams_stands_together,
        appending::a_unit_with_one_stale_stream_writes_nothing,
        appending::two_handles_racing_on_one_stream_have_one_winner,
        appending::crossing_units_of_two_streams_have_one_winner,
        appending::concurrent_appends_keep_the_order_of_each_stream,
        appending::a_malformed_unit_does_not_happen,
        appending::payloads_come_back_as_they_went,
        appending::streams_with_like_names_are_apart,
        repeating::a_repeated_unit_keeps_its_positions,
        repeating::a_repeat_is_known_after_later_events,
        repeating::a_repeat_is_known_after_a_restart,
        repeating::a_unit_sent_at_once_by_many_is_written_once,
        repeating::another_event_id_is_a_conflict,
        repeating::a_unit_that_stands_in_part_is_a_conflict,
        repeating::rivals_that_repeat_have_one_winner,
        reading::an_empty_log_is_empty,
        reading::a_stream_is_read_after_a_position,
        reading::another_handle_reads_what_was_acknowledged,
        reading::the_head_is_never_below_what_was_acknowledged,
        reading::all_handles_and_restarts_have_one_log_id,
        reading::a_restart_keeps_everything,
        following::a_follower_starts_where_it_is_told,
        following::a_follower_crosses_many_batches,
        following::a_follower_goes_on_live,
        following::a_follower_beyond_the_head_is_told_so,
        following::a_dropped_wait_loses_nothing,
        following::followers_beside_appends_see_no_hole,
    );
}

/// Runs every case of [`SealStore`]'s contract; `fresh` gives two handles on one empty store.
///
/// # Panics
/// When a case fails, with its name.
pub async fn conformance_of_seals(fresh: impl AsyncFn() -> [Arc<dyn SealStore>; 2]) {
    named("sealing::an_absent_seal_is_none", sealing::an_absent_seal_is_none(&fresh().await)).await;
    named("sealing::a_seal_is_put_once", sealing::a_seal_is_put_once(&fresh().await)).await;
    named(
        "sealing::racing_writers_are_answered_the_same",
        sealing::racing_writers_are_answered_the_same(&fresh().await),
    )
    .await;
    subject_cases(&fresh).await;
    carrying_cases(&fresh).await;
}

async fn subject_cases(fresh: &impl AsyncFn() -> [Arc<dyn SealStore>; 2]) {
    use subjects as case;
    named("subjects::a_whole_seal_stays", case::a_whole_seal_stays(&fresh().await)).await;
    named("subjects::each_has_its_own", case::each_has_its_own(&fresh().await)).await;
    named("subjects::racing_writers_share_one", case::racing_writers_share_one(&fresh().await)).await;
    named("subjects::destroyed_stays_destroyed", case::destroyed_stays_destroyed(&fresh().await)).await;
    named("subjects::only_the_generation_named", case::only_the_generation_named(&fresh().await)).await;
    named("subjects::what_never_was_is_destroyed", case::what_never_was_is_destroyed(&fresh().await)).await;
    named("subjects::many_at_once", case::many_at_once(&fresh().await)).await;
}

async fn carrying_cases(fresh: &impl AsyncFn() -> [Arc<dyn SealStore>; 2]) {
    macro_rules! cases {
        ($($case:path),* $(,)?) => {
            $(named(stringify!($case), $case(&fresh().await)).await;)*
        };
    }
    cases!(
        carrying::an_empty_store_carries_nothing,
        carrying::all_is_carried_and_given_back,
        carrying::what_is_destroyed_in_either_is_destroyed,
        carrying::another_seal_of_a_tenant_is_refused,
    );
}

/// Puts the case's name before whatever it panicked with.
async fn named(case: &str, run: impl Future<Output = ()>) {
    if let Err(panic) = AssertUnwindSafe(run).catch_unwind().await {
        panic!("conformance case {case}: {}", words(&*panic));
    }
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("panicked without words")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failure_names_its_case() {
        let failing =
            AssertUnwindSafe(named("reading::something", async { assert_eq!(1, 2, "counts differ") }));
        let panic = failing.catch_unwind().await.unwrap_err();
        let words = words(&*panic);
        assert!(words.starts_with("conformance case reading::something: "), "{words}");
        assert!(words.contains("counts differ"), "{words}");
    }
}
