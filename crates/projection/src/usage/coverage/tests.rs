//! What is known after runs that report, fall silent, lose reports, leave and come back.

use super::*;
use wire::{UsageEntry, UsageOrigin};

const OWN: RunId = RunId::from_u128(1);
const OTHER: RunId = RunId::from_u128(2);

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn entry() -> UsageEntry {
    UsageEntry {
        tenant: "acme".parse().unwrap(),
        key_id: domain::KeyId::from_u128(1),
        verdict: "valid".into(),
        count: 1,
        first: at(1),
        last: at(1),
        origin: Some(UsageOrigin { scope: None, service: "mailer".into(), network: None }),
    }
}

/// A report of a run with a bound of 5 s: numbered if it has entries.
fn report(run: RunId, sequence: u64, from: u64, to: u64, entries: usize) -> UsageReport {
    let server = if run == OWN { "own" } else { "other" };
    UsageReport {
        run,
        server: server.into(),
        sequence,
        from: at(from),
        to: at(to),
        leaving: false,
        max_staleness_ms: 5_000,
        missed: 0,
        entries: vec![entry(); entries],
    }
}

struct Given(Reported);

impl Given {
    fn own_until(to: u64) -> Self {
        let given = Self(Reported::new(OWN, "own".into()));
        given
            .and(report(OWN, 0, 1_000, 1_000, 0), Taken::Known)
            .and(report(OWN, 0, 1_000, to, 0), Taken::Known)
    }

    #[track_caller]
    fn and(mut self, report: UsageReport, taken: Taken) -> Self {
        assert_eq!(self.0.take_in(&report, &mut Changed::default()), taken, "{report:?}");
        self
    }

    /// The unknown spans of a span, each as from, to, whom and why.
    #[track_caller]
    fn unknown(&self, from: u64, to: u64, wanted: &[(u64, u64, &str, Why)]) {
        let coverage = self.0.coverage(&acme(), at(from), at(to));
        let found: Vec<_> = coverage
            .unknown()
            .iter()
            .map(|span| {
                (span.from.as_millis(), span.to.as_millis(), span.whom.as_deref().unwrap_or("-"), span.why)
            })
            .collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn before_the_first_report_nothing_is_known() {
    let given = Given(Reported::new(OWN, "own".into()));
    given.unknown(0, 500, &[(0, 500, "-", Why::BeforeRecord)]);
    Given::own_until(9_000).unknown(0, 5_000, &[(0, 1_000, "-", Why::BeforeRecord)]);
}

#[test]
fn what_runs_reported_is_known_and_a_run_that_left_is_not_waited_for() {
    let given = Given::own_until(60_000)
        .and(report(OTHER, 0, 2_000, 2_000, 0), Taken::Known)
        .and(report(OTHER, 1, 2_000, 3_000, 1), Taken::Counts)
        .and(UsageReport { leaving: true, ..report(OTHER, 1, 3_000, 4_000, 0) }, Taken::Known);
    given.unknown(1_000, 60_000, &[]);
}

#[test]
fn a_run_that_falls_silent_is_unknown_until_it_could_answer_no_more() {
    let given = Given::own_until(60_000)
        .and(report(OTHER, 0, 2_000, 2_000, 0), Taken::Known)
        .and(report(OTHER, 1, 2_000, 10_000, 1), Taken::Counts);
    given.unknown(1_000, 60_000, &[(10_000, 18_000, "other", Why::Silent)]);
    given.unknown(1_000, 12_000, &[(10_000, 12_000, "other", Why::Silent)]);
    given.unknown(18_000, 60_000, &[]);
    // It was only cut off: what it reports late is known after all.
    let given = given.and(report(OTHER, 2, 10_000, 59_000, 1), Taken::Counts);
    given.unknown(1_000, 60_000, &[]);
}

#[test]
fn a_report_that_is_late_by_less_than_three_seconds_makes_nothing_unknown() {
    let given = Given::own_until(12_000).and(report(OTHER, 0, 2_000, 9_000, 0), Taken::Known);
    given.unknown(1_000, 15_000, &[]);
    let given = given.and(report(OWN, 0, 1_000, 12_001, 0), Taken::Known);
    given.unknown(1_000, 12_001, &[(9_000, 12_001, "other", Why::Silent)]);
}

#[test]
fn what_this_server_has_not_heard_is_unknown_to_it() {
    let given = Given::own_until(10_000);
    given.unknown(1_000, 13_000, &[]);
    given.unknown(1_000, 13_001, &[(10_000, 13_001, "own", Why::NotHeard)]);
    // Another run's reports prove nothing about what else is on its way.
    let given = given.and(report(OTHER, 0, 2_000, 20_000, 0), Taken::Known);
    given.unknown(1_000, 20_000, &[(10_000, 20_000, "own", Why::NotHeard)]);
}

#[test]
fn a_missing_number_makes_its_span_unknown_for_good() {
    let given = Given::own_until(60_000)
        .and(report(OTHER, 1, 2_000, 3_000, 1), Taken::Counts)
        .and(report(OTHER, 3, 4_000, 5_000, 1), Taken::Counts)
        .and(report(OTHER, 4, 5_000, 59_000, 1), Taken::Counts);
    given.unknown(1_000, 60_000, &[(3_000, 5_000, "other", Why::Lost)]);
    let given = given.and(report(OTHER, 2, 3_000, 4_000, 1), Taken::Known);
    given.unknown(1_000, 60_000, &[(3_000, 5_000, "other", Why::Lost)]);
}

#[test]
fn a_missing_part_of_a_span_makes_the_span_unknown() {
    let given = Given::own_until(60_000)
        .and(report(OTHER, 1, 2_000, 2_000, 1), Taken::Counts)
        .and(report(OTHER, 3, 2_000, 2_000, 1), Taken::Counts)
        .and(report(OTHER, 4, 2_000, 3_000, 1), Taken::Counts)
        .and(report(OTHER, 5, 3_000, 59_000, 1), Taken::Counts);
    given.unknown(1_000, 60_000, &[(2_000, 3_000, "other", Why::Lost)]);
}

#[test]
fn a_run_whose_begin_was_not_heard_is_unknown_before() {
    let given = Given::own_until(60_000).and(report(OTHER, 7, 30_000, 59_000, 1), Taken::Counts);
    given.unknown(1_000, 60_000, &[(1_000, 59_000, "other", Why::Lost)]);
}

#[test]
fn what_could_not_be_counted_makes_its_span_unknown() {
    let given = Given::own_until(60_000)
        .and(report(OTHER, 0, 2_000, 3_000, 0), Taken::Known)
        .and(UsageReport { missed: 4, ..report(OTHER, 1, 3_000, 4_000, 0) }, Taken::Counts)
        .and(report(OTHER, 1, 4_000, 59_000, 0), Taken::Known);
    given.unknown(1_000, 60_000, &[(3_000, 4_000, "other", Why::Lost)]);
}

#[test]
fn a_report_that_comes_again_changes_nothing() {
    let given = Given::own_until(60_000)
        .and(report(OTHER, 1, 2_000, 30_000, 1), Taken::Counts)
        .and(report(OTHER, 1, 30_000, 59_000, 0), Taken::Known)
        .and(report(OTHER, 1, 2_000, 30_000, 1), Taken::Known);
    given.unknown(1_000, 60_000, &[]);
}

#[test]
fn what_is_forgotten_becomes_unknown_and_never_known() {
    let mut given = Given::own_until(5_000);
    for n in 0..RUNS_MAX as u64 {
        let run = RunId::from_u128(u128::from(n) + 10);
        given = given.and(report(run, 0, 2_000, 2_000 + n, 0), Taken::Known);
    }
    assert!(given.0.runs.len() <= RUNS_MAX);
    let Given(reported) = given;
    let first = reported.gaps.front().map(|(_, gap)| gap.from);
    assert!(first.is_some_and(|from| from <= 5_000), "{first:?}");
    let mut reported = reported;
    for n in 0..GAPS_MAX as u64 + 9 {
        let run = RunId::from_u128(u128::from(n) + 1_000_000);
        let lost = report(run, 2, 20_000 + 2 * n, 20_001 + 2 * n, 1);
        let lost = UsageReport { server: format!("other-{n}").into(), ..lost };
        let _ = reported.take_in(&lost, &mut Changed::default());
    }
    assert!(reported.gaps.len() <= GAPS_MAX);
    assert!(reported.began > Some(at(1_000)));
}

/// A report of a guard of tenant acme.
fn of_guard(report: UsageReport) -> UsageReport {
    UsageReport { server: wire::guard_counts(&acme(), "mailer"), ..report }
}

#[test]
fn a_guard_that_falls_silent_is_named_to_its_tenant_only() {
    let given = Given::own_until(60_000)
        .and(of_guard(report(OTHER, 0, 10_000, 10_000, 0)), Taken::Known)
        .and(of_guard(report(OTHER, 0, 10_000, 20_000, 0)), Taken::Known);
    given.unknown(1_000, 60_000, &[(20_000, 28_000, "mailer", Why::Silent)]);
    let beta = "beta".parse().unwrap();
    assert!(given.0.coverage(&beta, at(1_000), at(60_000)).is_covered());
}

#[test]
fn who_goes_on_without_reporting_is_unknown_for_as_long() {
    // Somebody else says of it that it goes on: the same report again, with a longer time.
    let goes_on =
        |longer: u64| UsageReport { max_staleness_ms: longer, ..report(OTHER, 0, 10_000, 10_000, 0) };
    let given = Given::own_until(60_000)
        .and(report(OTHER, 0, 10_000, 10_000, 0), Taken::Known)
        .and(goes_on(40_000), Taken::Known)
        .and(goes_on(30_000), Taken::Known);
    given.unknown(1_000, 60_000, &[(10_000, 53_000, "other", Why::Silent)]);
    // Once it reports after all, all that is known; and then its own bound counts again.
    let given = given.and(report(OTHER, 1, 10_000, 50_000, 1), Taken::Counts);
    given.unknown(1_000, 60_000, &[(50_000, 58_000, "other", Why::Silent)]);
    // Who says so may know less of it than is on record.
    let given = given.and(goes_on(46_000), Taken::Known);
    given.unknown(
        1_000,
        70_000,
        &[(50_000, 59_000, "other", Why::Silent), (60_000, 70_000, "own", Why::NotHeard)],
    );
}

#[test]
fn a_run_that_goes_on_is_kept_and_those_that_left_make_room() {
    let mut given = Given::own_until(1_001);
    for n in 0..RUNS_MAX as u128 + 50 {
        let left = UsageReport { leaving: true, ..report(RunId::from_u128(n + 10), 0, 1_000, 2_000, 0) };
        given = given.and(left, Taken::Known);
    }
    assert_eq!(given.0.runs.len(), RUNS_MAX);
    assert!(given.0.runs.contains_key(&OWN), "the oldest, but it has not left");
}
