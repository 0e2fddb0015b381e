//! What rules would have done to a key, over made-up usage.

use domain::{Environment, Labels, Networks, Owner, OwnerTag, Personal, PersonalText, ScopeSet};
use projection::usage::{Bucket, KeyUsage, Requests, Why};

use super::*;

const DAY: u64 = 24 * 3_600_000;
/// The beginning of a day.
const NOW: u64 = 20_000 * DAY;

fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(ms)
}

/// So many days before now.
fn ago(days: u64) -> Timestamp {
    at(NOW - days * DAY)
}

fn grant(issued_at: Timestamp, expires_at: Option<Timestamp>) -> KeyGrant {
    KeyGrant {
        issued_at,
        issued_by: None,
        imported: false,
        predecessor: None,
        prefix: None,
        environment: Environment::Live,
        name: None,
        owner: Owner {
            tag: OwnerTag::from_bytes([5; 16]),
            name: Personal::Plain(PersonalText::name("list-sender").unwrap()),
        },
        scopes: ScopeSet::parse(["campaigns:send"]).unwrap(),
        labels: Labels::default(),
        networks: Networks::default(),
        expires_at,
    }
}

/// Used once on each of these days.
fn used_on(days_ago: &[u64]) -> KeyUsage {
    let bucket = |days: &u64| Bucket { start: ago(*days), requests: Requests { valid: 3, refused: 0 } };
    KeyUsage {
        first_used: days_ago.iter().max().map(|days| ago(*days)),
        last_used: days_ago.iter().min().map(|days| ago(*days).plus_millis(1_000)),
        days: days_ago.iter().map(bucket).collect(),
        ..KeyUsage::default()
    }
}

fn unknown(from: Timestamp, to: Timestamp) -> Vec<UnknownSpan> {
    vec![UnknownSpan { from, to, whom: Some("mail-2".into()), why: Why::Silent }]
}

/// What came of it: deed, rule, days ago.
type Told = (&'static str, &'static str, Option<u64>);

#[track_caller]
fn check(rules: PolicyRules, usage: &KeyUsage, turns: &[Turn], unknown: &[UnknownSpan], expected: &[Told]) {
    let grant = grant(ago(60), None);
    let timeline = Timeline::of(usage, grant.issued_at, at(NOW));
    let past = Past {
        grant: &grant,
        turns,
        timeline: &timeline,
        unknown,
        until: at(NOW),
        now: at(NOW),
        lives: true,
        rotating: false,
    };
    let told = |touch: Touch| {
        let days = touch.at.map(|at| (NOW - at.as_millis()).div_ceil(DAY));
        (touch.deed.as_str(), touch.rule, days)
    };
    let found: Vec<Told> = touches(&rules, &past).into_iter().map(told).collect();
    assert_eq!(found, expected);
}

fn suspends(days: u64) -> PolicyRules {
    PolicyRules { suspend_idle_after_ms: Some(days * DAY), ..PolicyRules::default() }
}

const ISSUED: [Turn; 1] = [Turn::Begun(Timestamp::from_millis(NOW - 60 * DAY))];

#[test]
fn a_key_that_was_idle_once_would_have_been_suspended_then() {
    let rule = "suspend_idle_after";
    check(suspends(30), &used_on(&[50, 10]), &ISSUED, &[], &[("suspend", rule, Some(19))]);
    check(suspends(40), &used_on(&[50, 10]), &ISSUED, &[], &[]);
    check(suspends(30), &used_on(&[]), &ISSUED, &[], &[("suspend", rule, Some(30))]);
    check(suspends(10), &used_on(&[55, 50, 45, 35, 10]), &ISSUED, &[], &[("suspend", rule, Some(24))]);
}

#[test]
fn what_is_unknown_is_never_taken_for_disuse() {
    let rule = "suspend_idle_after";
    let gap = unknown(ago(40), ago(35));
    check(suspends(30), &used_on(&[50, 10]), &ISSUED, &gap, &[("suspend", rule, None)]);
    check(suspends(20), &used_on(&[50, 10]), &ISSUED, &gap, &[("suspend", rule, Some(15))]);
    // It was idle before anybody fell silent.
    check(suspends(9), &used_on(&[55, 50, 10]), &ISSUED, &gap, &[("suspend", rule, Some(40))]);
}

#[test]
fn a_reinstated_key_has_its_time_again() {
    let turns = [ISSUED[0], Turn::Suspended(ago(40), Some(SuspendReason::Policy)), Turn::Begun(ago(20))];
    check(suspends(30), &used_on(&[]), &turns, &[], &[]);
    let revokes = PolicyRules { revoke_idle_after_ms: Some(40 * DAY), ..PolicyRules::default() };
    check(revokes.clone(), &used_on(&[]), &turns, &[], &[("revoke", "revoke_idle_after", Some(20))]);
    let turns = [ISSUED[0], Turn::Suspended(ago(40), Some(SuspendReason::Investigating))];
    check(revokes, &used_on(&[]), &turns, &[], &[]);
}

#[test]
fn what_a_key_is_and_how_old_it_is_need_no_usage() {
    let rules = PolicyRules {
        default_lifetime_ms: Some(30 * DAY),
        longest_lifetime_ms: Some(40 * DAY),
        rotate_after_ms: Some(50 * DAY),
        networks_required: true,
        ..PolicyRules::default()
    };
    let expected = [
        ("refuse", "networks_required", Some(60)),
        ("expire", "default_lifetime", Some(30)),
        ("rotate", "rotate_after", Some(10)),
    ];
    check(rules, &used_on(&[]), &ISSUED, &unknown(at(0), at(NOW)), &expected);
    let longest = PolicyRules { longest_lifetime_ms: Some(DAY), ..PolicyRules::default() };
    check(longest, &used_on(&[]), &ISSUED, &[], &[("refuse", "longest_lifetime", Some(60))]);
}

#[test]
fn warnings_of_the_next_thirty_days_are_told_each_once() {
    let rules = PolicyRules { warn_before_expiry_ms: vec![DAY, 3 * DAY, 40 * DAY], ..PolicyRules::default() };
    let days = |expires: u64| -> Vec<u64> {
        let due = warnings(&rules, at(NOW + expires * DAY), at(NOW));
        due.iter().map(|at| (at.as_millis() - NOW) / DAY).collect()
    };
    assert_eq!(days(31), [0, 28, 30]);
    assert_eq!(days(2), [0, 1], "two that are due already are one");
    assert_eq!(days(75), [] as [u64; 0]);
    assert_eq!(days(0), [] as [u64; 0]);
}
