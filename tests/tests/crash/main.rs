//! What was acknowledged survives kill -9, and a command that is sent again, however often and whenever, has one effect.

mod once;
mod synced;

use tests::server::binary;
use tests::torture::{Tally, Torture, TorturedLog};

/// Cycles of the test command; `just torture` runs a thousand.
const EMBEDDED_CYCLES: u64 = 50;
const NATS_CYCLES: u64 = 20;

fn torture(log: TorturedLog, cycles: u64) -> Tally {
    let torture = Torture { log, cycles, seed: 1, program: binary() };
    let tally = torture.run(|_| {}).unwrap_or_else(|lost| panic!("{lost}"));
    assert_eq!(tally.cycles, cycles);
    // A torture that never hits a command proves nothing.
    assert!(tally.issued > 10 * cycles && tally.revoked > cycles && tally.lost > cycles, "{tally:?}");
    assert!(tally.had_happened > 0, "no kill came between a commit and its answer: {tally:?}");
    tally
}

#[test]
fn fifty_kills_lose_nothing_from_the_embedded_log() {
    torture(TorturedLog::Embedded, EMBEDDED_CYCLES);
}

#[test]
fn twenty_kills_of_server_and_nats_in_turn_lose_nothing() {
    torture(TorturedLog::Nats, NATS_CYCLES);
}
