//! Who a receipt names in a fleet of several servers, and until when those may go on of whom nothing is heard.

use std::time::Duration;

use domain::{KeyId, Timestamp};

use super::*;
use crate::fleet::{Ending, Fleet, NotHeard, Receipt, Strangers};

/// This server's run, another's, and a third's.
const RUNS: [RunId; 3] = [RunId::from_u128(1), RunId::from_u128(2), RunId::from_u128(3)];
/// A bound with drift: until when somebody accepts whose last proof was at 0.
const OVER: u64 = 5_500;

fn fleet() -> Fleet {
    let fleet = Fleet::new("one", Duration::from_secs(5), 0, Strangers::Registered(RUNS[0]));
    fleet.follow_begins(1, 0);
    fleet
}

fn guard(n: u32) -> GuardId {
    format!("{n:026}").parse().unwrap()
}

fn at(n: u64) -> Position {
    Position::new(n)
}

fn ending(n: u64) -> Ending {
    Ending {
        tenant: "acme".parse().unwrap(),
        position: at(n),
        at: Timestamp::from_millis(1),
        effective_at: None,
    }
}

fn introduction(n: u32) -> Introduction {
    Introduction {
        guard_id: guard(n),
        operator: KeyId::from_u128(7),
        tenant: "acme".parse().unwrap(),
        name: format!("mailer-{n}").into(),
        version: "1".into(),
        feed: "sse".into(),
        max_staleness_ms: 5_000,
    }
}

fn entry(name: String, revision: u64, payload: Option<String>) -> FleetEntry {
    FleetEntry { name, revision, payload: payload.map(Into::into) }
}

/// The entry of the server of this number, from 1.
fn server(n: usize, revision: u64) -> FleetEntry {
    let own = ServerEntry { name: format!("server-{n}"), version: "1".into(), max_staleness_ms: 5_000 };
    entry(server_entry(RUNS[n - 1]), revision, Some(serde_json::to_string(&own).unwrap()))
}

/// The entry of a guard of the server of this number.
fn of(owner: usize, n: u32, revision: u64) -> FleetEntry {
    let its = GuardEntry {
        owner: RUNS[owner - 1].to_string(),
        operator: KeyId::from_u128(7).to_string(),
        tenant: "acme".into(),
        name: format!("mailer-{n}"),
        version: "1".into(),
        feed: "sse".into(),
        max_staleness_ms: 5_000,
    };
    entry(guard_entry(guard(n)), revision, Some(serde_json::to_string(&its).unwrap()))
}

fn gone(of: FleetEntry, revision: u64) -> FleetEntry {
    FleetEntry { revision, payload: None, ..of }
}

fn says(n: usize, applied: u64, guards: Vec<GuardSays>) -> ServerSays {
    let run = RUNS[n - 1].to_string();
    ServerSays { run, applied, held: 3, lag_ms: Some(0), stale: false, guards }
}

fn of_guard(n: u32, applied: u64) -> GuardSays {
    GuardSays {
        guard_id: guard(n).to_string(),
        applied,
        held: 1,
        stale: false,
        gone: false,
        heard_ms_ago: 0,
        lag_ms: None,
    }
}

/// Opens a receipt and holds its barrier at the same time.
fn opened(fleet: &Fleet, n: u64, boot_ms: u64) -> Receipt {
    let _ = fleet.open(ending(n), false, boot_ms);
    let receipts = fleet.awaiting_barrier();
    assert_eq!(receipts, [at(n)]);
    fleet.barrier_held(&receipts, boot_ms);
    fleet.receipt(at(n), boot_ms).unwrap()
}

/// Each target's name, and by which way after how long, or until when it is outstanding.
fn told(receipt: &Receipt) -> Vec<(&str, &str, u64)> {
    let targets = receipt.targets.iter().map(|target| match target.state {
        TargetState::Enforced { by, after_ms } => (&*target.name, by.as_str(), after_ms),
        TargetState::Outstanding { until } => (&*target.name, "until", until),
    });
    targets.collect()
}

#[test]
fn before_its_barrier_a_receipt_says_that_it_knows_not_everybody() {
    let fleet = fleet();
    fleet.take_in(vec![server(1, 1)], true, 0);
    let receipt = fleet.open(ending(9), false, 10);
    assert!(receipt.awaits_registry() && !receipt.is_complete());
    assert!(!fleet.receipt(at(9), u64::MAX - 1).unwrap().is_complete(), "time alone tells nothing");
    // Who was let in before the ending, and is heard of only now, is in it all the same.
    fleet.take_in(vec![server(2, 2), of(2, 1, 3)], true, 11);
    fleet.barrier_held(&[at(9)], 12);
    let receipt = fleet.receipt(at(9), 12).unwrap();
    let until = 10 + OVER;
    assert_eq!(
        told(&receipt),
        [("one", "index", 0), ("server-2", "until", until), ("mailer-1", "until", until)]
    );
    // One that was opened behind a barrier's beginning waits for the next.
    let _ = fleet.open(ending(10), false, 12);
    assert_eq!(fleet.awaiting_barrier(), [at(10)]);
}

#[test]
fn servers_and_their_guards_report_and_nobody_speaks_for_others() {
    let fleet = fleet();
    fleet.take_in(vec![server(1, 1), server(2, 2), server(3, 3), of(2, 1, 4)], true, 0);
    let _ = opened(&fleet, 9, 10);
    fleet.hear_server(&says(2, 8, vec![of_guard(1, 8)]), 11);
    fleet.hear_server(&says(3, 9, vec![of_guard(1, 9)]), 12);
    let receipt = fleet.receipt(at(9), 12).unwrap();
    let wanted = [
        ("one", "index", 0),
        ("server-2", "until", OVER),
        ("server-3", "report", 2),
        ("mailer-1", "until", OVER),
    ];
    assert_eq!(told(&receipt), wanted, "the guard is not the third server's");
    fleet.hear_server(&says(2, 9, vec![of_guard(1, 9)]), 14);
    assert!(fleet.receipt(at(9), 14).unwrap().is_complete());
    // What is said between the opening and the barrier counts, and so does what was said long before.
    let _ = fleet.open(ending(10), false, 20);
    fleet.hear_server(&says(2, 10, vec![of_guard(1, 12)]), 21);
    fleet.hear_server(&says(3, 10, vec![]), 21);
    fleet.barrier_held(&fleet.awaiting_barrier(), 22);
    assert!(fleet.receipt(at(10), 22).unwrap().is_complete());
}

#[test]
fn who_is_lost_counts_one_bound_after_its_last_entry_or_after_the_ending() {
    let fleet = fleet();
    fleet.take_in(vec![server(2, 2), of(2, 1, 3)], true, 0);
    fleet.take_in(vec![server(2, 4)], true, 3_000);
    // Its last proof is no newer than its last entry, and its guards' leases rest on that proof.
    let receipt = opened(&fleet, 9, 4_000);
    let until = 3_000 + OVER;
    let wanted = [("one", "index", 0), ("server-2", "until", until), ("mailer-1", "until", until)];
    assert_eq!(told(&receipt), wanted);
    // A proof that comes later has the ending.
    fleet.take_in(vec![server(2, 5)], true, 5_000);
    assert!(!fleet.receipt(at(9), until).unwrap().is_complete());
    assert!(fleet.receipt(at(9), until + 1).unwrap().is_complete());
    let receipt = opened(&fleet, 10, 5_000 + OVER + 1);
    assert_eq!(told(&receipt)[1..], [("server-2", "bound", 0), ("mailer-1", "bound", 0)]);
}

#[test]
fn a_guard_that_moved_may_go_on_by_what_it_had_before() {
    let fleet = fleet();
    fleet.take_in(vec![server(1, 1), server(2, 2), of(2, 1, 3)], true, 0);
    // Its new server was last heard long ago; its old one gave it a lease right before it moved.
    fleet.take_in(vec![server(3, 4)], true, 1_000);
    fleet.take_in(vec![of(3, 1, 5)], true, 4_000);
    let receipt = opened(&fleet, 9, 4_100);
    assert_eq!(told(&receipt)[3], ("mailer-1", "until", 4_000 + OVER));
    // Moved here, it is an own one that never got a lease here.
    fleet.register(introduction(1), 4_200).unwrap();
    assert_eq!(fleet.introduced(guard(1), KeyId::from_u128(7)), Err(NotHeard::Unknown), "not heard yet");
    assert_eq!(fleet.grant(guard(1), 4_200), Err(NotHeard::Unknown));
    fleet.take_in(vec![of(1, 1, 6)], true, 4_200);
    assert_eq!(fleet.grant(guard(1), 4_200), Ok(()));
    let receipt = opened(&fleet, 10, 4_300);
    assert_eq!(told(&receipt)[3], ("mailer-1", "until", 4_200 + OVER));
    // And gone again, it gets nothing here.
    fleet.take_in(vec![of(2, 1, 7)], true, 4_400);
    assert_eq!(fleet.introduced(guard(1), KeyId::from_u128(7)), Err(NotHeard::Unknown));
    assert_eq!(fleet.grant(guard(1), 4_400), Err(NotHeard::Unknown));
}

#[test]
fn a_lost_guard_of_a_server_that_is_well_is_told_by_that_server() {
    let fleet = fleet();
    fleet.take_in(vec![server(2, 2), of(2, 1, 3)], true, 0);
    let lost = GuardSays { gone: true, ..of_guard(1, 3) };
    fleet.hear_server(&says(2, 8, vec![lost.clone()]), 1);
    fleet.take_in(vec![server(2, 4)], true, 20_000);
    let receipt = opened(&fleet, 9, 20_010);
    // What it gets from a server that has not applied the ending yet may not ask for it.
    assert_eq!(told(&receipt)[2].1, "until");
    fleet.hear_server(&says(2, 9, vec![lost]), 20_015);
    let receipt = fleet.receipt(at(9), 20_015).unwrap();
    assert_eq!(told(&receipt)[1..], [("server-2", "report", 5), ("mailer-1", "bound", 5)]);
    assert_eq!(fleet.members(None)[0].state(at(9), 20_015), MemberState::Gone);
}

#[test]
fn who_leaves_holds_nobody_up() {
    let fleet = fleet();
    fleet.take_in(vec![server(2, 2), of(2, 1, 3), of(2, 2, 4)], true, 0);
    let _ = opened(&fleet, 9, 10);
    fleet.take_in(vec![gone(of(2, 1, 0), 5), gone(server(2, 0), 6)], true, 3_000);
    let receipt = fleet.receipt(at(9), 3_000).unwrap();
    let wanted = [("server-2", "left", 2_990), ("mailer-1", "left", 2_990), ("mailer-2", "until", OVER)];
    assert_eq!(told(&receipt)[1..], wanted, "its guards go on by what it gave them until then");
    let receipt = opened(&fleet, 10, 3_010);
    assert_eq!(told(&receipt)[1..], [("mailer-2", "until", 3_000 + OVER)]);
}

#[test]
fn what_was_deleted_while_nobody_listened_has_left_and_a_lost_bucket_has_not() {
    let fleet = fleet();
    fleet.take_in(vec![server(2, 2), of(2, 1, 3)], true, 0);
    let _ = opened(&fleet, 9, 10);
    fleet.follow_begins(1, 20);
    assert_eq!(*fleet.registry_seen().borrow(), 3, "what was known is known");
    fleet.take_in(vec![server(2, 2)], false, 20);
    assert_eq!(fleet.members(None).len(), 1, "perhaps it comes yet");
    fleet.take_in(vec![server(3, 7)], true, 20);
    assert_eq!(told(&fleet.receipt(at(9), 20).unwrap())[2], ("mailer-1", "left", 10));

    fleet.follow_begins(2, 30);
    assert_eq!(*fleet.registry_seen().borrow(), 0);
    fleet.take_in(vec![server(1, 1), server(2, 2)], true, 30);
    let _ = fleet.open(ending(10), false, 40);
    fleet.barrier_held(&[at(10)], 50);
    assert!(fleet.receipt(at(10), 50).unwrap().awaits_registry(), "guards must register again first");
    fleet.barrier_held(&[at(10)], 30 + OVER);
    assert!(!fleet.receipt(at(10), 30 + OVER).unwrap().awaits_registry());
}

#[test]
fn an_entry_that_cannot_be_read_is_a_verifier_all_the_same() {
    let fleet = fleet();
    let odd = |revision, payload: &str| entry(guard_entry(guard(1)), revision, Some(payload.into()));
    fleet.take_in(vec![odd(1, "{}"), entry("relay.1".into(), 2, Some("{}".into()))], true, 0);
    let _ = fleet.open(ending(9), false, 10);
    let known = |fleet: &Fleet| {
        fleet.barrier_held(&[at(9)], 10);
        !fleet.receipt(at(9), 10).unwrap().awaits_registry()
    };
    assert!(!known(&fleet) && fleet.has_strangers(10));
    fleet.take_in(vec![of(1, 1, 3)], true, 10);
    assert!(!known(&fleet));
    fleet.take_in(vec![gone(entry("relay.1".into(), 0, None), 4)], true, 10);
    assert!(known(&fleet) && !fleet.has_strangers(10));
}

#[test]
fn entries_are_deleted_by_who_left_or_long_after_every_bound() {
    let fleet = fleet();
    fleet.take_in(vec![server(1, 1), server(2, 2), of(2, 2, 3), of(1, 3, 4)], true, 0);
    fleet.register(introduction(1), 0).unwrap();
    fleet.take_in(vec![of(1, 1, 5)], true, 0);
    assert!(fleet.to_delete(OVER + FORGOTTEN_MS).is_empty());
    fleet.leave(guard(1), 10);
    assert_eq!(fleet.to_delete(10), [(guard_entry(guard(1)), 5)]);
    fleet.take_in(vec![gone(of(1, 1, 0), 6)], true, 10);
    // The lost server; an entry whose registration here was never answered. Its guards wait for a bound of their own.
    let wanted = [(server_entry(RUNS[1]), 2), (guard_entry(guard(3)), 4)];
    let late = OVER + FORGOTTEN_MS + 1;
    assert_eq!(fleet.to_delete(late), wanted);
    fleet.take_in(vec![gone(server(2, 0), 7), gone(of(1, 3, 0), 8)], true, late);
    assert!(fleet.to_delete(late + OVER).is_empty());
    assert_eq!(fleet.to_delete(2 * late), [(guard_entry(guard(2)), 3)]);
}

#[test]
fn only_own_guards_are_told_of_and_those_with_news_at_once() {
    let fleet = fleet();
    for n in [1, 2, 4] {
        fleet.register(introduction(n), 0).unwrap();
    }
    fleet.take_in(vec![server(1, 1), of(1, 1, 2), of(1, 2, 3), of(2, 4, 4)], true, 0);
    fleet.heard(guard(1), at(9), Some(Told { held: 5, stale: false, whole: true }), 100);
    fleet.heard(guard(4), at(9), None, 100);
    let told = fleet.take_news(false, 107);
    let wanted = GuardSays { held: 5, heard_ms_ago: 7, lag_ms: Some(7), ..of_guard(1, 9) };
    assert_eq!(told, [wanted]);
    assert!(fleet.take_news(false, 107).is_empty());
    let all = fleet.take_news(true, OVER + 1);
    assert_eq!((all.len(), all.iter().all(|said| said.gone)), (2, true));
}
