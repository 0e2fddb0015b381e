//! Guards in the simulation: the bound and the fence hold whatever happens between them and the servers, and bugs are seen.

use guard::core::{Core, GuardBug};
use tests::sim::{Length, Plants, Setup, run, run_many};

/// The seeds of the test command.
const SEEDS: u64 = 1_000;
/// So many seeds are tried until one shows a bug.
const WITHIN: u64 = 1_000;

const GUARDED: fn(Plants) -> Setup = |plants| Setup { plants, length: Length::Guarded, ..Setup::default() };

/// What must have been met for the promises to have been in danger.
const MET: [&str; 22] = [
    "guard begins",
    "guard says valid",
    "guard says stale",
    "guard says revoked",
    "guard says recalled",
    "guard says suspended",
    "guard says unknown",
    "lease Extended",
    "lease Waiting",
    "lease Refused",
    "lease ServerStale",
    "feed Taken",
    "feed Repeat",
    "feed Gap",
    "feed Reset",
    "notice lost",
    "hint Taken",
    "hint Late",
    "fill Held",
    "fill Absent",
    "fill Again",
    "crash",
];

#[test]
fn a_thousand_seeds_of_guards_keep_the_bound() {
    let summary = run_many(0..SEEDS, GUARDED(Plants::default()), |_| {});
    let summary = summary.unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(summary.seeds, SEEDS);
    for what in MET {
        assert!(summary.seen.times(what) > SEEDS / 100, "{what}: {summary:?}");
    }
}

#[test]
fn a_guarded_seed_repeats_itself() {
    for seed in 0..25 {
        let run = || run(seed, GUARDED(Plants::default())).unwrap_or_else(|failure| panic!("{failure}"));
        let (first, second) = (run(), run());
        assert_eq!((first.trace_hash, first.events), (second.trace_hash, second.events), "seed {seed}");
    }
}

/// Some seed must fail, and for one of these reasons.
#[track_caller]
fn is_caught(plants: Plants, reasons: &[&str]) {
    let failure = (0..WITHIN).find_map(|seed| run(seed, GUARDED(plants)).err());
    let Some(failure) = failure else { panic!("no seed of {WITHIN} shows the planted bug") };
    assert!(reasons.iter().any(|reason| failure.what.contains(reason)), "seen for another reason: {failure}");
    let told = failure.to_string();
    assert!(told.contains(&format!("--guards --seed {}", failure.seed)), "it says how to repeat it: {told}");
}

fn in_guards(guard: fn(&Core)) -> Plants {
    Plants { guard, ..Plants::default() }
}

#[test]
fn a_heartbeat_taken_for_a_lease_is_caught() {
    let plants = in_guards(|core| core.plant(GuardBug::HeartbeatIsLease));
    is_caught(plants, &["its revocation was committed", "nobody has reached it"]);
}

#[test]
fn a_fill_without_its_fence_is_caught() {
    let plants = in_guards(|core| core.plant(GuardBug::FillWithoutFence));
    // What a late answer brings is an end forgotten, or a key that was not there yet.
    let not_there = ["says Some(Malformed)", "says Some(Unknown)"];
    is_caught(
        plants,
        &[&["its revocation was committed", "it has applied its end"], &not_there[..]].concat(),
    );
}

#[test]
fn a_notice_that_is_dropped_is_caught() {
    let plants = in_guards(|core| core.plant(GuardBug::NoticeDropped));
    is_caught(plants, &["its revocation was committed", "it has applied its end"]);
}

#[test]
fn a_lease_ahead_of_its_notices_is_caught() {
    let plants = in_guards(|core| core.plant(GuardBug::LeaseAheadOfNotices));
    is_caught(plants, &["its revocation was committed"]);
}

#[test]
fn a_gap_that_is_overlooked_is_caught() {
    let plants = in_guards(|core| core.plant(GuardBug::GapOverlooked));
    is_caught(plants, &["its revocation was committed", "it has applied its end", "has taken"]);
}

#[test]
fn a_hint_taken_for_a_notice_is_caught() {
    let plants = in_guards(|core| core.plant(GuardBug::HintIsNotice));
    is_caught(plants, &["its revocation was committed", "it has applied its end", "has taken"]);
}

#[test]
fn a_lease_that_forgets_the_servers_own_staleness_is_caught() {
    let plants = in_guards(|core| core.plant(GuardBug::StalenessIgnored));
    is_caught(plants, &["its revocation was committed", "nobody has reached it"]);
}
