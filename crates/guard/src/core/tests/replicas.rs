//! A replica: what is not there is no key, and loading is fenced as fills are.

use domain::Position;
use verify::Verdict;
use wire::NoticeKind::{Issued, Relabelled, Revoked};
use wire::guard::{FilledTenant, LeaseGranted, SnapshotBegin};

use super::given::{BOUND, Given, LOG, acme, all, answer, filled, granted, guess, key_id, notice, recall};
use crate::core::{Arrived, Capacity, Core, Load, LoadTicket, Outcome};

fn following(limit: usize) -> Given {
    let core = Core::new(acme(), Capacity::Replica { keys: limit }, 40);
    core.on_registered(LOG, Position::new(10), BOUND);
    assert!(core.begin_load().is_none(), "nothing fences it before a feed begins");
    core.on_hello(&LOG.to_string(), Position::new(10), Position::new(10));
    let given = Given { core, boot_ms: 0 };
    given.lease(10, 10, 0);
    given
}

fn begin(given: &Given, as_of: u64) -> (LoadTicket, Load) {
    let mut ticket = given.core.begin_load().unwrap();
    let begin = SnapshotBegin { log_id: LOG.to_string(), as_of, tenant: FilledTenant::default() };
    let load = given.core.on_load_begin(&mut ticket, &begin, 0);
    (ticket, load)
}

fn load(given: &Given, ticket: &LoadTicket, keys: &[u8]) {
    for n in keys {
        assert_eq!(given.core.on_loaded(ticket, &filled(*n), 0), Load::GoesOn);
    }
}

fn whole(keys: &[u8]) -> Given {
    let given = following(100);
    let (ticket, _) = begin(&given, 10);
    load(&given, &ticket, keys);
    assert_eq!(given.core.on_load_end(&ticket), Load::GoesOn);
    given
}

#[test]
fn once_whole_it_knows_what_is_no_key() {
    let given = following(100);
    let (ticket, load_begun) = begin(&given, 10);
    assert_eq!(load_begun, Load::GoesOn);
    load(&given, &ticket, &[1]);
    assert_eq!((given.verdict(1), given.verdict(2)), (Ok(Verdict::Valid), Err(key_id(2))));
    assert_eq!(given.core.on_load_end(&ticket), Load::GoesOn);
    assert_eq!((given.verdict(1), given.verdict(2)), (Ok(Verdict::Valid), Ok(Verdict::Unknown)));
    assert_eq!(given.judge(&guess(1)), Ok(Verdict::Unknown));
    assert_eq!(given.judge("sk-campaigns-guessed"), Ok(Verdict::Malformed));
}

#[test]
fn what_changes_or_comes_is_asked_for() {
    let given = whole(&[1, 2]);
    assert_eq!(given.core.on_notice(&notice(11, 10, Relabelled, Some(1))), Outcome::Taken);
    assert_eq!(given.core.on_notice(&notice(12, 11, Issued, Some(3))), Outcome::Taken);
    assert_eq!(given.core.on_notice(&notice(13, 12, Revoked, Some(2))), Outcome::Taken);
    assert_eq!(
        (given.verdict(1), given.verdict(2), given.verdict(3)),
        (Err(key_id(1)), Ok(Verdict::Revoked), Err(key_id(3)))
    );
    let mut changed = given.core.changed_keys(10);
    changed.sort();
    assert_eq!(changed, [key_id(1), key_id(3)]);
    assert_eq!(
        given.fill(13, &[1, 3], vec![Some(filled(1)), Some(filled(3))]),
        [Arrived::Held, Arrived::Held]
    );
    assert_eq!((given.verdict(1), given.verdict(3)), (Ok(Verdict::Valid), Ok(Verdict::Valid)));
    assert!(given.core.changed_keys(10).is_empty() && given.core.is_whole());
}

#[test]
fn what_notices_say_while_it_is_loaded_is_not_lost() {
    let given = following(100);
    let (ticket, _) = begin(&given, 10);
    load(&given, &ticket, &[1]);
    assert_eq!(given.core.on_notice(&notice(11, 10, Revoked, Some(2))), Outcome::Taken);
    assert_eq!(given.core.on_notice(&recall(12, 11, all())), Outcome::Taken);
    load(&given, &ticket, &[2, 3]);
    assert_eq!(given.core.on_load_end(&ticket), Load::GoesOn);
    assert_eq!(given.verdict(1), Ok(Verdict::Recalled), "loaded before the recall");
    assert_eq!(given.verdict(2), Err(key_id(2)), "changed before it was loaded");
    assert_eq!(given.verdict(3), Ok(Verdict::Recalled), "loaded after the recall, from before it");
}

#[test]
fn a_load_that_something_dropped_begins_anew() {
    let given = following(100);
    let (ticket, _) = begin(&given, 10);
    load(&given, &ticket, &[1]);
    assert_eq!(given.core.on_unreadable(Position::new(11)), Outcome::Taken);
    assert_eq!(given.core.on_loaded(&ticket, &filled(2), 0), Load::Over);
    assert_eq!(given.core.on_load_end(&ticket), Load::Over);
    assert!(!given.core.is_whole());
    let (_, from_below) = begin(&given, 10);
    assert_eq!(from_below, Load::Over);
    let (first, _) = begin(&given, 11);
    let (second, _) = begin(&given, 11);
    assert_eq!(given.core.on_load_end(&first), Load::Over, "another one began since");
    assert_eq!(given.core.on_load_end(&second), Load::Over, "and was ended with it");
}

#[test]
fn with_more_keys_than_its_limit_it_asks_like_a_cache() {
    let given = following(2);
    let (ticket, _) = begin(&given, 10);
    load(&given, &ticket, &[1, 2, 3]);
    assert_eq!(given.core.on_load_end(&ticket), Load::Over);
    assert_eq!(given.core.held(), 2);
    assert_eq!((given.verdict(1), given.verdict(3)), (Ok(Verdict::Valid), Err(key_id(3))));
    let ticket = given.core.begin_fill(vec![key_id(3)]).unwrap();
    let arrived = given.core.on_filled(&ticket, &answer(10, vec![Some(filled(3))]), 0);
    assert_eq!((arrived, given.core.held()), (vec![Arrived::Held], 2));
}

#[test]
fn a_replica_whose_server_cannot_read_something_loads_anew() {
    let given = following(100);
    let (ticket, _) = begin(&given, 10);
    load(&given, &ticket, &[1, 2]);
    assert_eq!(given.core.on_load_end(&ticket), Load::GoesOn);
    let ask = given.core.ask_lease("g", 0);
    given.core.on_lease(&LeaseGranted { last_unread: 11, ..granted(ask.nonce, 11, 10, 0) });
    assert!(!given.core.is_whole());
    assert_eq!(given.verdict(1), Err(key_id(1)));
    let (_, from_below) = begin(&given, 10);
    assert_eq!(from_below, Load::Over);
}
