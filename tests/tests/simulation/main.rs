//! Thousands of random lives of the service, each from a seed; and the proof that a planted bug would be seen.

mod guarded;
mod planted;

use tests::sim::{Length, Setup, Views, run, run_many};

/// The seeds of the test command.
const SEEDS: u64 = 1_000;
/// Those of them that are simulated on sled as well: it syncs real files.
const SLED_SEEDS: u64 = 20;

/// Verdicts of these seeds that the log is asked about again.
const EXPLAINED: u64 = 10_000;

/// The short sequences of the test command.
const SEQUENCES: u64 = 10_000;

/// What the short sequences must have met: every command done, verdicts, and refusals.
const MET_IN_SEQUENCES: [&str; 34] = [
    "issued",
    "imported",
    "imported before",
    "amended",
    "amended before",
    "suspended key",
    "reinstated",
    "suspension ended",
    "rotated",
    "rotated before",
    "first used",
    "rotation finished",
    "rotation cancelled",
    "leaked",
    "warned",
    "expired key",
    "revoked key",
    "recalled before",
    "cascaded",
    "configured",
    "policy set",
    "policy removed",
    "closed",
    "nothing_matches",
    "policy_denies",
    "already_rotating",
    "successor_unused",
    "already_recalled",
    "recalled",
    "suspended",
    "tenant_closed",
    "malformed",
    "slow line",
    "crash",
];

/// What must have been met, often, for the promises to have been in danger: answers, verdicts, faults.
const MET: [&str; 34] = [
    "issued",
    "first operator",
    "another's operator",
    "issued before",
    "revoked key",
    "revoked key before",
    "already_revoked",
    "not_yet_expired",
    "expiry_in_past",
    "tenant_already_open",
    "not found",
    "command id reused",
    "unavailable",
    "outcome unknown",
    "valid",
    "unknown",
    "revoked",
    "expired",
    "stale",
    "network_denied",
    "scope_denied",
    "crash",
    "stop",
    "damaged snapshot",
    "line cut or mended",
    "slow line",
    "Lost",
    "LostInDoubt",
    "Kept",
    "Late",
    "Delayed",
    "Doubled",
    "Pulseless",
    "Broken",
];

#[test]
fn a_thousand_seeds_keep_every_promise() {
    let summary = run_many(0..SEEDS, Setup::default(), |_| {}).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(summary.seeds, SEEDS);
    // A simulation in which nothing happens keeps every promise too.
    assert!(summary.events > 15 * SEEDS, "{summary:?}");
    assert!(summary.seen.times("explained") >= EXPLAINED, "{summary:?}");
    for what in MET {
        assert!(summary.seen.times(what) > SEEDS / 100, "{what}: {summary:?}");
    }
}

#[test]
fn ten_thousand_short_sequences_of_all_commands_keep_every_promise() {
    let setup = Setup { length: Length::Short, ..Setup::default() };
    let summary = run_many(0..SEQUENCES, setup, |_| {}).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(summary.seeds, SEQUENCES);
    assert!(summary.events > 8 * SEQUENCES, "{summary:?}");
    for what in MET_IN_SEQUENCES {
        assert!(summary.seen.times(what) > SEQUENCES / 1_000, "{what}: {summary:?}");
    }
}

#[test]
fn views_in_sled_keep_them_too() {
    let setup = Setup { views: Views::Sled, ..Setup::default() };
    let summary = run_many(0..SLED_SEEDS, setup, |_| {}).unwrap_or_else(|failure| panic!("{failure}"));
    assert_eq!(summary.seeds, SLED_SEEDS);
}

#[test]
fn a_seed_repeats_itself() {
    for seed in 0..25 {
        let first = run(seed, Setup::default()).unwrap_or_else(|failure| panic!("{failure}"));
        let second = run(seed, Setup::default()).unwrap_or_else(|failure| panic!("{failure}"));
        assert_eq!((first.trace_hash, first.events), (second.trace_hash, second.events), "seed {seed}");
    }
}
