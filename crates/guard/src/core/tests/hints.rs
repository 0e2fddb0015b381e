//! Hints refuse, and do nothing else: whatever they say, and in whatever order they come.

use domain::{LogId, Position};
use verify::Verdict;
use wire::{Hint, NoticeKind};

use super::given::*;
use crate::core::{HintOutcome, LeaseOutcome, Outcome};

fn hint(n: u8, position: u64) -> Hint {
    Hint { log_id: LOG, tenant: acme(), key_id: key_id(n), position: Position::new(position), at: NOW }
}

#[test]
fn a_hinted_key_is_refused_and_nothing_else_changes() {
    let given = Given::holding(9, &[1, 2]);
    assert_eq!(given.core.on_hint(&hint(1, 12), 0), HintOutcome::Taken);
    assert_eq!((given.verdict(1), given.verdict(2)), (Ok(Verdict::Revoked), Ok(Verdict::Valid)));
    assert_ne!(given.judge(&guess(1)), Ok(Verdict::Revoked), "only who holds the key learns of it");
    assert_eq!((given.core.applied().get(), given.core.heard().get()), (9, 9));
    assert_eq!(given.core.on_hint(&hint(1, 12), 0), HintOutcome::Late);
    // A notice from before it is next as ever, and a lease that names the hinted one waits for it.
    assert_eq!(given.core.on_notice(&notice(11, 9, NoticeKind::Issued, Some(3))), Outcome::Taken);
    assert_eq!(given.lease(12, 12, 0), LeaseOutcome::Waiting);
    assert_eq!(given.verdict(1), Ok(Verdict::Revoked));
    assert_eq!(given.core.on_notice(&notice(12, 11, NoticeKind::Revoked, Some(1))), Outcome::Taken);
    assert_eq!((given.verdict(1), given.core.applied().get()), (Ok(Verdict::Revoked), 12));
}

#[test]
fn a_false_hint_ends_with_the_notices_that_contradict_it() {
    let given = Given::holding(9, &[1, 2]);
    let _ = given.core.on_hint(&hint(1, 11), 0);
    assert_eq!(given.core.on_notice(&notice(10, 9, NoticeKind::Revoked, Some(2))), Outcome::Taken);
    assert_eq!(given.verdict(1), Ok(Verdict::Revoked));
    assert_eq!(given.core.on_notice(&notice(11, 10, NoticeKind::Issued, Some(3))), Outcome::Taken);
    assert_eq!(given.verdict(1), Ok(Verdict::Valid));
    assert_eq!(given.core.on_hint(&hint(1, 11), 0), HintOutcome::Late);
    assert_eq!(given.verdict(1), Ok(Verdict::Valid));
}

#[test]
fn a_hint_that_nothing_follows_ends_with_the_longest_lease() {
    let given = Given::holding(9, &[1]);
    let _ = given.core.on_hint(&hint(1, u64::MAX), 0);
    let given = given.at(BOUND - 1);
    given.lease(9, 9, 0);
    assert_eq!(given.verdict(1), Ok(Verdict::Revoked));
    let given = given.at(BOUND + 1);
    given.lease(9, 9, 0);
    assert_eq!(given.verdict(1), Ok(Verdict::Valid));
    assert_eq!(
        given.core.on_hint(&hint(1, 12), given.boot_ms),
        HintOutcome::Taken,
        "its place is free again"
    );
}

#[test]
fn a_fill_from_below_a_hint_does_not_lift_it_and_one_from_above_does() {
    let given = Given::holding(9, &[]);
    let _ = given.core.on_hint(&hint(1, 12), 0);
    given.fill(11, &[1], vec![Some(filled(1))]);
    assert_eq!(given.verdict(1), Ok(Verdict::Revoked));
    let given = Given::holding(9, &[]);
    let _ = given.core.on_hint(&hint(1, 12), 0);
    given.fill(12, &[1], vec![Some(filled(1))]);
    assert_eq!(given.verdict(1), Ok(Verdict::Valid), "the server knows the position and says otherwise");
}

#[test]
fn what_is_not_this_guards_is_ignored_and_a_reset_forgets_all() {
    let given = Given::holding(9, &[1]);
    let others = Hint { tenant: "beta".parse().unwrap(), ..hint(1, 12) };
    assert_eq!(given.core.on_hint(&others, 0), HintOutcome::Ignored);
    let of_another_log = Hint { log_id: LogId::from_u128(8), ..hint(1, 12) };
    assert_eq!(given.core.on_hint(&of_another_log, 0), HintOutcome::Ignored);
    assert_eq!(given.verdict(1), Ok(Verdict::Valid), "and another history's takes nothing away");
    let _ = given.core.on_hint(&hint(1, 12), 0);
    given.core.reset();
    assert_eq!(given.core.on_hint(&hint(1, 13), 0), HintOutcome::Ignored, "nothing is followed");
    let given = Given::holding(9, &[1]);
    given.core.close();
    assert_eq!(given.core.on_hint(&hint(1, 12), 0), HintOutcome::Ignored);
}

#[test]
fn a_flood_of_hints_has_a_bound() {
    let given = Given::holding(9, &[1]);
    let flood = |n: u64| Hint { key_id: domain::KeyId::from_u128(1 << 100 | u128::from(n)), ..hint(1, 50) };
    let taken = (0..5_000).filter(|n| given.core.on_hint(&flood(*n), 0) == HintOutcome::Taken).count();
    assert_eq!(taken, 1_024);
    assert_eq!(given.core.on_hint(&hint(1, 12), 0), HintOutcome::Ignored);
    assert_eq!(given.core.on_notice(&notice(12, 9, NoticeKind::Revoked, Some(1))), Outcome::Taken);
    assert_eq!(given.verdict(1), Ok(Verdict::Revoked), "its notice comes all the same");
}
