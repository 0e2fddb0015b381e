//! Fault runs over real guards, and bugs planted in guards that the same runs must find.

use std::time::Duration;

use guard::Guard;
use guard::core::GuardBug;
use tests::server::binary;
use tests::torture::{Fault, FaultRuns, Rehearsal};

/// Runs of the test command; `just torture` does two hundred.
const RUNS: u64 = 20;

#[test]
#[expect(clippy::print_stdout, reason = "a run that fails shows the ones before it, with their seeds")]
fn twenty_fault_runs_let_nobody_pass_too_late_and_lose_no_notice() {
    let runs = FaultRuns { runs: RUNS, seed: 1, program: binary() };
    let tally = runs.run(|tally| println!("{tally}")).unwrap_or_else(|failed| panic!("{failed}"));
    let sight = tally.sight;
    // Guards that never let a key pass, or keys that nobody revokes, prove nothing.
    assert!(sight.revoked > 3 * RUNS && sight.had_passed > sight.revoked && sight.enforced > 0, "{sight:?}");
}

/// What is wrong with which guard of the scene. The first hears one server, the second the other; the last but one hears NATS.
const PLANTED: [(usize, GuardBug); 3] =
    [(0, GuardBug::HeartbeatIsLease), (1, GuardBug::FillWithoutFence), (3, GuardBug::NoticeDropped)];

#[test]
fn planted_bugs_of_each_kind_are_found() {
    let program = binary();
    let rehearsal = Rehearsal {
        program: &program,
        faults: &[Fault::CutLog(0), Fault::LateFills(1)],
        lasts: Duration::from_secs(4),
        well_within: Duration::from_secs(4),
    };
    let worsen = |number: usize, guard: &Guard| {
        for (_, bug) in PLANTED.iter().filter(|(planted, _)| *planted == number) {
            guard.plant(*bug);
        }
    };
    let found = rehearsal.run(worsen).unwrap_or_else(|failed| panic!("{failed}"));
    let passed = found.iter().filter(|violation| violation.text.contains("pass"));
    let mut guards: Vec<usize> = passed.map(|violation| violation.guard).collect();
    guards.sort_unstable();
    guards.dedup();
    assert_eq!(guards, PLANTED.map(|(number, _)| number), "{found:#?}");
}
