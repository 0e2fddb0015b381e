//! What a receipt says, given who is in the fleet.

use std::time::Duration;

use domain::{KeyId, Position, TenantId, Timestamp};

use super::*;

const BOUND: Duration = Duration::from_secs(5);
/// Until when a guard accepts that got its last lease at 0.
const OVER: u64 = 5_500;

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

const fn at(n: u64) -> Position {
    Position::new(n)
}

fn guard(n: u32) -> GuardId {
    format!("{n:026}").parse().unwrap()
}

fn introduction(n: u32) -> Introduction {
    Introduction {
        guard_id: guard(n),
        operator: KeyId::from_u128(7),
        tenant: acme(),
        name: format!("mailer-{n}").into(),
        version: "1".into(),
        feed: "sse".into(),
        max_staleness_ms: 5_000,
    }
}

fn ending(n: u64) -> Ending {
    Ending { tenant: acme(), position: at(n), at: Timestamp::from_millis(1), effective_at: None }
}

/// A fleet with guards 1 to `guards`, each with a lease of boot time 0.
fn given(guards: u32) -> Fleet {
    let fleet = Fleet::new("one", BOUND, 0, Strangers::None);
    for n in 1..=guards {
        fleet.register(introduction(n), 0).unwrap();
        fleet.grant(guard(n), 0).unwrap();
    }
    fleet
}

/// Who has enforced, by which way after how long; and who is outstanding.
fn told(receipt: &Receipt) -> (Vec<(&str, &str, u64)>, Vec<&str>) {
    let (mut enforced, mut outstanding) = (Vec::new(), Vec::new());
    for target in &receipt.targets {
        match target.state {
            TargetState::Enforced { by, after_ms } => enforced.push((&*target.name, by.as_str(), after_ms)),
            TargetState::Outstanding { .. } => outstanding.push(&*target.name),
        }
    }
    (enforced, outstanding)
}

#[test]
fn without_guards_the_server_itself_is_all_there_is() {
    let receipt = given(0).open(ending(9), false, 10);
    assert_eq!(told(&receipt), (vec![("one", "index", 0)], vec![]));
    assert!(receipt.is_complete());
}

#[test]
fn a_guard_is_outstanding_until_it_says_so() {
    let fleet = given(2);
    let receipt = fleet.open(ending(9), false, 10);
    assert_eq!(told(&receipt).1, ["mailer-1", "mailer-2"]);
    assert!(!receipt.is_complete());
    fleet.heard(guard(1), at(8), None, 11);
    fleet.heard(guard(2), at(9), None, 13);
    let receipt = fleet.receipt(at(9), 14).unwrap();
    assert_eq!(told(&receipt), (vec![("one", "index", 0), ("mailer-2", "report", 3)], vec!["mailer-1"]));
    fleet.heard(guard(1), at(12), None, 20);
    let receipt = fleet.receipt(at(9), 30).unwrap();
    assert_eq!(
        told(&receipt).0[1],
        ("mailer-1", "report", 10),
        "when it was heard, not when it was asked for"
    );
    assert!(receipt.is_complete());
}

#[test]
fn a_guard_that_nobody_hears_counts_when_its_bound_has_passed() {
    let fleet = given(1);
    let _ = fleet.open(ending(9), false, 10);
    let just_before = fleet.receipt(at(9), OVER).unwrap();
    assert_eq!(told(&just_before).1, ["mailer-1"]);
    let after = fleet.receipt(at(9), OVER + 1).unwrap();
    assert_eq!(told(&after), (vec![("one", "index", 0), ("mailer-1", "bound", OVER - 10)], vec![]));
    // What was lost before it all began is told the same way.
    let later = fleet.open(ending(10), false, OVER + 100);
    assert_eq!(told(&later).0[1], ("mailer-1", "bound", 0));
}

#[test]
fn a_lease_that_was_given_after_the_ending_does_not_move_the_bound() {
    let fleet = given(1);
    let _ = fleet.open(ending(9), false, 10);
    // It asks for the notice of position 9, so what the guard accepts by it is no revoked key.
    fleet.grant(guard(1), 4_000).unwrap();
    assert!(fleet.receipt(at(9), OVER + 1).unwrap().is_complete());
    // And the bound of an ending behind it counts from then.
    let _ = fleet.open(ending(10), false, 4_010);
    assert!(!fleet.receipt(at(10), OVER + 1).unwrap().is_complete());
    assert!(fleet.receipt(at(10), 4_000 + OVER + 1).unwrap().is_complete());
}

#[test]
fn a_guard_without_a_lease_accepts_nothing_and_holds_nobody_up() {
    let fleet = given(0);
    fleet.register(introduction(1), 0).unwrap();
    assert!(fleet.open(ending(9), false, 1).is_complete());
    assert_eq!(fleet.members(None)[0].state(at(0), 1), MemberState::Stale);
}

#[test]
fn who_leaves_holds_nobody_up_and_is_told_as_gone() {
    let fleet = given(2);
    let _ = fleet.open(ending(9), false, 10);
    fleet.leave(guard(1), 12);
    fleet.heard(guard(2), at(9), None, 12);
    let receipt = fleet.receipt(at(9), 12).unwrap();
    assert_eq!(told(&receipt).0[1], ("mailer-1", "left", 2));
    assert!(receipt.is_complete());
    assert!(told(&fleet.open(ending(10), false, 13)).1 == ["mailer-2"]);
    assert_eq!(fleet.members(None)[0].state(at(9), 13), MemberState::Gone);
    assert_eq!(fleet.introduced(guard(1), KeyId::from_u128(7)), Err(NotHeard::Unknown));
}

#[test]
fn another_tenants_guards_have_no_part_in_it() {
    let fleet = given(1);
    let other = Introduction { tenant: "other".parse().unwrap(), ..introduction(2) };
    fleet.register(other, 0).unwrap();
    fleet.grant(guard(2), 0).unwrap();
    assert_eq!(told(&fleet.open(ending(9), false, 1)).1, ["mailer-1"]);
    assert_eq!(fleet.members(Some(&acme())).len(), 1);
}

#[test]
fn guards_of_an_earlier_process_are_unknown_until_their_bound_has_passed() {
    let fleet = Fleet::new("one", BOUND, 1_000, Strangers::OfBefore);
    let receipt = fleet.open(ending(9), false, 1_100);
    assert_eq!((receipt.is_complete(), receipt.has_outstanding()), (false, false));
    assert!(fleet.has_strangers(6_499) && !fleet.has_strangers(6_500));
    assert!(!fleet.receipt(at(9), 6_500).unwrap().is_complete());
    assert!(fleet.receipt(at(9), 6_501).unwrap().is_complete());
}

#[test]
fn a_guard_is_current_lagging_stale_or_gone() {
    let fleet = given(1);
    let told = Told { held: 3, stale: false, whole: true };
    fleet.heard(guard(1), at(5), Some(told), 100);
    let state = |last_notice, now| fleet.members(None)[0].state(at(last_notice), now);
    assert_eq!(state(5, 200), MemberState::Current);
    assert_eq!(state(6, 200), MemberState::Lagging, "behind");
    assert_eq!(state(5, 3_000), MemberState::Lagging, "silent");
    assert_eq!(state(5, OVER + 1), MemberState::Gone);
    fleet.heard(guard(1), at(5), Some(Told { stale: true, ..told }), 200);
    assert_eq!(state(5, 201), MemberState::Stale);
}

#[test]
fn only_the_operator_that_brought_a_guard_speaks_for_it() {
    let fleet = given(1);
    let stranger = Introduction { operator: KeyId::from_u128(8), ..introduction(1) };
    assert_eq!(fleet.register(stranger, 1), Err(NotHeard::Elsewhere));
    assert_eq!(fleet.introduced(guard(1), KeyId::from_u128(8)), Err(NotHeard::Elsewhere));
    assert_eq!(fleet.introduced(guard(2), KeyId::from_u128(7)), Err(NotHeard::Unknown));
    // Again with a shorter bound: a lease under the longer one may still be running.
    fleet.register(Introduction { max_staleness_ms: 10, ..introduction(1) }, 1).unwrap();
    let _ = fleet.open(ending(9), false, 1);
    assert!(!fleet.receipt(at(9), OVER).unwrap().is_complete());
}

#[test]
fn guards_and_receipts_are_bounded() {
    let fleet = given(0);
    for n in 0..u32::try_from(MAX_GUARDS).unwrap() {
        fleet.register(introduction(n), 0).unwrap();
    }
    assert_eq!(fleet.register(introduction(1 << 20), 0), Err(NotHeard::Full));
    fleet.grant(guard(0), 0).unwrap();
    for n in 1..=2 * MAX_OPEN as u64 {
        let _ = fleet.open(ending(n), false, 1);
    }
    assert_eq!(fleet.inner.lock().open.len(), MAX_OPEN);
    fleet.tick(OVER + 1);
    let inner = fleet.inner.lock();
    assert_eq!((inner.open.len(), inner.closed.len()), (0, MAX_CLOSED));
    drop(inner);
    // Those that never got a lease are gone once they are silent, and forgotten later.
    fleet.tick(OVER + 700_000);
    assert!(fleet.members(None).is_empty());
}
