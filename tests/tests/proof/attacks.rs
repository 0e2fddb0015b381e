//! Flip, drop, insert, swap, truncate and a fork that is signed anew: found and named at random places of a log.

use std::io::Write;
use std::time::{SystemTime, UNIX_EPOCH};

use tests::tamper::Tampering;

#[test]
fn every_attack_at_every_place_is_found_and_named() {
    #[expect(clippy::disallowed_methods, reason = "other places each time; the seed is printed")]
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = now.as_secs();
    let _ = writeln!(std::io::stderr(), "seed {seed}");
    let attacks = Tampering { events: 100_000, places: 50, seed }.run().unwrap();
    assert_eq!(attacks, 50 * 6);
}
