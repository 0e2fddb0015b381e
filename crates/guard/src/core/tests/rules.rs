//! Order, fence and lease, one rule a test.

use domain::Position;
use verify::Verdict;
use wire::NoticeKind::{Closed, Expired, Issued, Reinstated, Relabelled, Revoked, Suspended};
use wire::guard::{FilledKey, LeaseGranted};
use wire::{Heard, NoticeSelector};

use super::given::{
    BOUND, Given, LOG, OTHER_LOG, all, answer, filled, granted, key_id, notice, owner, recall,
};
use crate::core::{Arrived, LeaseOutcome, Outcome};

fn at(position: u64) -> Position {
    Position::new(position)
}

#[test]
fn a_revoked_key_is_refused_without_asking() {
    let given = Given::holding(10, &[1, 2]);
    assert_eq!(given.verdict(1), Ok(Verdict::Valid));
    assert_eq!(given.core.on_notice(&notice(12, 10, Revoked, Some(1))), Outcome::Taken);
    assert_eq!(given.verdict(1), Ok(Verdict::Revoked));
    assert_eq!(given.verdict(2), Ok(Verdict::Valid));
    assert_eq!((given.core.applied(), given.core.heard()), (at(12), at(12)));
}

#[test]
fn a_notice_heard_again_changes_nothing() {
    let given = Given::holding(10, &[1]);
    let suspended = notice(11, 10, Suspended, Some(1));
    assert_eq!(given.core.on_notice(&suspended), Outcome::Taken);
    assert_eq!(given.core.on_notice(&notice(12, 11, Reinstated, Some(1))), Outcome::Taken);
    assert_eq!(given.fill(12, &[1], vec![Some(filled(1))]), [Arrived::Held]);
    assert_eq!(given.core.on_notice(&suspended), Outcome::Repeat);
    assert_eq!(given.verdict(1), Ok(Verdict::Valid));
}

#[test]
fn after_a_gap_nothing_is_applied_until_it_is_repaired() {
    let given = Given::holding(10, &[1, 2]);
    assert_eq!(given.core.on_notice(&notice(14, 12, Revoked, Some(2))), Outcome::Gap);
    assert_eq!(given.core.resume_from(), Some(at(10)));
    assert_eq!(given.verdict(2), Ok(Verdict::Valid), "within the lease");
    assert_eq!(given.core.on_hello(&LOG.to_string(), at(15), at(14)), Outcome::Taken);
    assert_eq!(given.core.heard(), at(10), "a greeting does not say what was missed");
    assert_eq!(given.core.on_notice(&notice(12, 10, Revoked, Some(1))), Outcome::Taken);
    assert_eq!(given.core.on_notice(&notice(14, 12, Revoked, Some(2))), Outcome::Taken);
    assert_eq!((given.verdict(1), given.verdict(2)), (Ok(Verdict::Revoked), Ok(Verdict::Revoked)));
}

#[test]
fn a_heartbeat_that_knows_of_a_later_notice_is_a_gap() {
    let given = Given::holding(10, &[1]);
    assert_eq!(given.core.on_heartbeat(at(13), at(12), 0), Outcome::Gap);
    assert_eq!(given.core.heard(), at(10));
    assert_eq!(given.core.on_heartbeat(at(13), at(10), 0), Outcome::Taken);
    assert_eq!(given.core.heard(), at(13));
}

#[test]
fn another_or_a_shorter_history_drops_everything() {
    let of_another = |given: &Given| given.core.on_hello(&OTHER_LOG.to_string(), at(90), at(90));
    let shorter = |given: &Given| given.core.on_hello(&LOG.to_string(), at(9), at(9));
    let gone_back = |given: &Given| given.core.on_heartbeat(at(9), at(9), 0);
    let anothers_notice = |given: &Given| {
        given.core.on_notice(&Heard { log_id: OTHER_LOG, ..notice(11, 10, Revoked, Some(1)) })
    };
    for said in [&of_another as &dyn Fn(&Given) -> Outcome, &shorter, &gone_back, &anothers_notice] {
        let given = Given::holding(10, &[1]);
        assert_eq!(said(&given), Outcome::Reset);
        assert_eq!((given.core.held(), given.core.is_fresh(0)), (0, false));
        assert_eq!((given.core.resume_from(), given.core.is_registered()), (None, false));
        assert!(
            given.core.begin_fill(vec![key_id(1)]).is_none(),
            "nothing is asked for before a feed begins"
        );
    }
}

#[test]
fn a_slow_fill_does_not_bring_back_what_a_notice_took() {
    let given = Given::holding(10, &[]);
    let ticket = given.core.begin_fill(vec![key_id(1), key_id(2)]).unwrap();
    assert_eq!(ticket.at_least(), at(10));
    assert_eq!(given.core.on_notice(&notice(11, 10, Revoked, Some(1))), Outcome::Taken);
    let slow = answer(10, vec![Some(filled(1)), Some(filled(2))]);
    assert_eq!(given.core.on_filled(&ticket, &slow, 0), [Arrived::Again, Arrived::Held]);
    assert_eq!((given.verdict(1), given.verdict(2)), (Err(key_id(1)), Ok(Verdict::Valid)));
    assert_eq!(given.fill(10, &[1], vec![Some(filled(1))]), [Arrived::Again], "below what is asked for now");
}

#[test]
fn an_answer_that_no_key_is_there_is_fenced_too() {
    let given = Given::holding(10, &[]);
    let ticket = given.core.begin_fill(vec![key_id(1)]).unwrap();
    assert_eq!(given.core.on_notice(&notice(11, 10, Issued, Some(1))), Outcome::Taken);
    assert_eq!(given.core.on_filled(&ticket, &answer(10, vec![None]), 0), [Arrived::Again]);
    assert_eq!(given.fill(11, &[1], vec![None]), [Arrived::Absent]);
    assert_eq!(given.core.on_notice(&notice(12, 11, Issued, Some(1))), Outcome::Taken);
    assert_eq!(given.verdict(1), Err(key_id(1)), "it may be a key now");
}

#[test]
fn a_fill_from_above_a_notice_is_newer_than_it() {
    let given = Given::holding(10, &[]);
    given.fill(12, &[1], vec![Some(filled(1))]);
    assert_eq!(given.core.on_notice(&notice(11, 10, Suspended, Some(1))), Outcome::Taken);
    assert_eq!(given.core.on_notice(&recall(12, 11, all())), Outcome::Taken);
    assert_eq!(given.verdict(1), Ok(Verdict::Valid), "what the fill says comes after both");
}

#[test]
fn an_end_that_a_fill_told_is_not_taken_back() {
    let given = Given::holding(10, &[]);
    let ended = FilledKey { standing: "revoked".to_owned(), ..filled(1) };
    let slow = given.core.begin_fill(vec![key_id(1)]).unwrap();
    given.fill(10, &[1], vec![Some(ended)]);
    assert_eq!(given.core.on_notice(&notice(11, 10, Relabelled, Some(1))), Outcome::Taken);
    assert_eq!(given.verdict(1), Ok(Verdict::Revoked), "the row was newer than what it was told with");
    given.core.on_filled(&slow, &answer(11, vec![Some(filled(1))]), 0);
    assert_eq!(given.verdict(1), Ok(Verdict::Revoked));
}

#[test]
fn a_recall_hits_what_matches_and_overtakes_fills() {
    let given = Given::holding(10, &[1, 2]);
    let ticket = given.core.begin_fill(vec![key_id(3)]).unwrap();
    // Keys 1 and 3 are owner 2's.
    assert_eq!(given.core.on_notice(&recall(11, 10, owner(2))), Outcome::Taken);
    assert_eq!((given.verdict(1), given.verdict(2)), (Ok(Verdict::Recalled), Ok(Verdict::Valid)));
    let slow = answer(10, vec![Some(filled(3))]);
    assert_eq!(given.core.on_filled(&ticket, &slow, 0), [Arrived::Again]);
    let unreadable = NoticeSelector { scope: Some("::".to_owned()), ..owner(1) };
    assert_eq!(given.core.on_notice(&recall(12, 11, unreadable)), Outcome::Taken);
    assert_eq!(given.verdict(2), Err(key_id(2)), "a selector that cannot be read may mean any key");
}

#[test]
fn a_recall_does_not_hit_what_has_expired_for_good() {
    let given = Given::holding(10, &[1]);
    assert_eq!(given.core.on_notice(&notice(11, 10, Expired, Some(1))), Outcome::Taken);
    assert_eq!(given.core.on_notice(&recall(12, 11, all())), Outcome::Taken);
    assert_eq!(given.verdict(1), Ok(Verdict::Expired), "the server says so, too");
}

#[test]
fn what_changes_a_key_otherwise_or_is_unknown_lets_it_be_asked_for() {
    for kind in [Some(Relabelled), Some(Reinstated), None] {
        let given = Given::holding(10, &[1, 2]);
        let heard = Heard { kind, ..notice(11, 10, Relabelled, Some(1)) };
        assert_eq!(given.core.on_notice(&heard), Outcome::Taken);
        assert_eq!((given.verdict(1), given.verdict(2)), (Err(key_id(1)), Ok(Verdict::Valid)), "{kind:?}");
    }
    let given = Given::holding(10, &[1, 2]);
    assert_eq!(given.core.on_notice(&Heard { kind: None, ..notice(11, 10, Closed, None) }), Outcome::Taken);
    assert_eq!((given.verdict(1), given.verdict(2)), (Err(key_id(1)), Err(key_id(2))));
    let given = Given::holding(10, &[1]);
    assert_eq!(given.core.on_unreadable(at(11)), Outcome::Taken);
    assert_eq!((given.verdict(1), given.core.applied()), (Err(key_id(1)), at(11)));
}

#[test]
fn a_closed_tenant_lets_nobody_pass() {
    let given = Given::holding(10, &[1]);
    assert_eq!(given.core.on_notice(&notice(11, 10, Closed, None)), Outcome::Taken);
    assert_eq!(given.verdict(1), Ok(Verdict::TenantClosed));
}

#[test]
fn a_lease_runs_from_when_it_was_asked_for() {
    let given = Given::holding(10, &[1]).at(1_000);
    assert_eq!(given.lease(10, 10, 300), LeaseOutcome::Extended);
    let given = given.at(1_000 + BOUND - 300);
    assert_eq!(given.verdict(1), Ok(Verdict::Valid));
    let given = given.at(1_000 + BOUND - 299);
    assert_eq!(given.verdict(1), Ok(Verdict::Stale));
}

#[test]
fn nothing_but_an_answer_to_ones_own_question_is_a_lease() {
    let given = Given::following_from(10);
    given.fill(10, &[1], vec![Some(filled(1))]);
    assert_eq!(given.core.on_heartbeat(at(11), at(10), 0), Outcome::Taken);
    assert_eq!(given.core.on_notice(&notice(12, 10, Issued, Some(2))), Outcome::Taken);
    assert_eq!(given.core.on_lease(&granted(40, 12, 12, 0)), LeaseOutcome::Refused, "not asked");
    assert_eq!(given.verdict(1), Ok(Verdict::Stale));
    let ask = given.core.ask_lease("g", 0);
    assert_eq!(given.core.on_lease(&granted(ask.nonce, 12, 12, 0)), LeaseOutcome::Extended);
    let given = given.at(BOUND + 1);
    assert_eq!(given.core.on_lease(&granted(ask.nonce, 12, 12, 0)), LeaseOutcome::Refused, "heard before");
    assert_eq!(given.lease(9, 9, 0), LeaseOutcome::Refused, "of a server below the registration");
    assert_eq!(given.lease(12, 12, BOUND), LeaseOutcome::ServerStale);
    assert_eq!(given.verdict(1), Ok(Verdict::Stale));
}

#[test]
fn a_lease_waits_for_the_notices_below_it() {
    let given = Given::following_from(10);
    given.fill(10, &[1, 2], vec![Some(filled(1)), Some(filled(2))]);
    assert_eq!(given.lease(13, 12, 0), LeaseOutcome::Waiting);
    assert_eq!(given.verdict(1), Ok(Verdict::Stale));
    assert_eq!(given.core.on_notice(&notice(12, 10, Revoked, Some(1))), Outcome::Taken);
    assert_eq!((given.verdict(1), given.verdict(2)), (Ok(Verdict::Revoked), Ok(Verdict::Valid)));
}

#[test]
fn an_older_answer_shortens_nothing() {
    let given = Given::holding(10, &[1]);
    let early = given.core.ask_lease("g", 100);
    let late = given.core.ask_lease("g", 900);
    assert_eq!(given.core.on_lease(&granted(late.nonce, 10, 10, 0)), LeaseOutcome::Extended);
    assert_eq!(given.core.on_lease(&granted(early.nonce, 10, 10, 0)), LeaseOutcome::Extended);
    assert!(given.core.is_fresh(900 + BOUND));
}

#[test]
fn a_shorter_bound_holds_at_once_and_a_registration_again_keeps_the_rest() {
    let given = Given::holding(10, &[1]);
    given.core.on_registered(LOG, at(11), BOUND - 1_000);
    assert_eq!(given.verdict(1), Ok(Verdict::Valid));
    assert!(given.core.is_fresh(BOUND - 1_000) && !given.core.is_fresh(BOUND - 999));
    given.core.on_registered(LOG, at(9), BOUND);
    assert_eq!(given.core.held(), 0, "a head below what was heard");
}

#[test]
fn a_closed_guard_refuses_for_good() {
    let given = Given::holding(10, &[1]);
    let ask = given.core.ask_lease("g", 0);
    given.core.close();
    assert_eq!(given.core.on_lease(&granted(ask.nonce, 10, 10, 0)), LeaseOutcome::Refused);
    given.core.on_registered(LOG, at(10), BOUND);
    given.core.on_hello(&LOG.to_string(), at(10), at(10));
    assert_eq!(given.lease(10, 10, 0), LeaseOutcome::Refused);
    assert!(!given.core.is_fresh(0) && given.core.begin_fill(vec![key_id(1)]).is_none());
}

#[test]
fn what_the_server_cannot_read_is_asked_for_again_before_the_lease_runs() {
    let given = Given::holding(10, &[1, 2]).at(1_000);
    let slow = given.core.begin_fill(vec![key_id(1)]).unwrap();
    let lease = |last_unread: u64| {
        let ask = given.core.ask_lease("g", given.boot_ms);
        given.core.on_lease(&LeaseGranted { last_unread, ..granted(ask.nonce, 12, 10, 0) })
    };
    assert_eq!(lease(12), LeaseOutcome::Extended);
    assert_eq!((given.verdict(1), given.verdict(2)), (Err(key_id(1)), Err(key_id(2))));
    // An answer from before it does not bring back what was held, and no other is asked for.
    let before = given.core.on_filled(&slow, &answer(11, vec![Some(filled(1))]), given.boot_ms);
    assert_eq!(before, [Arrived::Again]);
    let next = given.core.begin_fill(vec![key_id(1)]).unwrap();
    assert_eq!(next.at_least(), at(12));
    let unread = FilledKey { standing: "quarantined".to_owned(), ..filled(1) };
    assert_eq!(given.core.on_filled(&next, &answer(12, vec![Some(unread)]), given.boot_ms), [Arrived::Held]);
    assert_eq!(given.verdict(1), Ok(Verdict::Quarantined));
    // The same again, as each lease tells it, drops nothing; a later one does.
    assert_eq!((lease(12), given.verdict(1)), (LeaseOutcome::Extended, Ok(Verdict::Quarantined)));
    assert_eq!((lease(13), given.verdict(1)), (LeaseOutcome::Extended, Err(key_id(1))));
}
