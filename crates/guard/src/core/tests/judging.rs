//! Verdicts on what is held: as the server gives them, and what has to be asked for.

use domain::{ImportKey, SecretDigest, Timestamp};
use verify::{Moment, Verdict};
use wire::format_rfc3339;
use wire::guard::{FilledKey, FilledTenant};

use super::given::{BOUND, Given, NOW, acme, answer, filled, guess, imported, key_id, token};
use crate::core::{Arrived, Judged};
use crate::requirement::Requirement;

#[track_caller]
fn verdict(given: &Given, token: &str, requirement: &Requirement, now: Timestamp) -> Verdict {
    match given.core.judge(token, requirement, Moment { now, boot_ms: given.boot_ms }) {
        Judged::Answer(decision) => decision.verdict,
        Judged::Ask(key_id) => panic!("{key_id} is asked for"),
    }
}

#[test]
fn each_verdict_is_given_by_what_is_held() {
    let later = NOW.plus_millis(1_000);
    let standing = |word: &str| FilledKey { standing: word.to_owned(), ..filled(1) };
    let expiring = FilledKey { expires_at: Some(format_rfc3339(later)), ..filled(1) };
    let bound = FilledKey { networks: vec!["192.0.2.0/24".to_owned()], ..filled(1) };
    let send = Requirement::of_scope("campaigns:send").unwrap();
    let read = Requirement::of_scope("lists:read").unwrap();
    let inside = send.clone().at("192.0.2.1".parse().unwrap());
    let outside = send.clone().at("198.51.100.1".parse().unwrap());
    for (key, requirement, now, expected) in [
        (filled(1), &send, NOW, Verdict::Valid),
        (filled(1), &read, NOW, Verdict::ScopeDenied),
        (bound.clone(), &inside, NOW, Verdict::Valid),
        (bound.clone(), &outside, NOW, Verdict::NetworkDenied),
        (bound, &send, NOW, Verdict::NetworkDenied),
        (standing("suspended"), &send, NOW, Verdict::Suspended),
        (standing("revoked"), &send, NOW, Verdict::Revoked),
        (standing("recalled"), &send, NOW, Verdict::Recalled),
        (standing("expired"), &send, NOW, Verdict::Expired),
        (standing("quarantined"), &send, NOW, Verdict::Quarantined),
        (standing("of a later version"), &send, NOW, Verdict::Quarantined),
        (expiring.clone(), &send, NOW, Verdict::Valid),
        (expiring, &send, later, Verdict::Expired),
    ] {
        let what = format!("{key:?}");
        let given = Given::holding(10, &[]);
        assert_eq!(given.fill(10, &[1], vec![Some(key)]), [Arrived::Held]);
        assert_eq!(verdict(&given, &token(1), requirement, now), expected, "{what}");
    }
}

#[test]
fn past_the_lease_only_refusals_are_told() {
    let given = Given::holding(10, &[1]);
    let revoked = FilledKey { standing: "revoked".to_owned(), ..filled(2) };
    given.fill(10, &[2], vec![Some(revoked)]);
    let given = given.at(BOUND + 1);
    assert_eq!(given.verdict(1), Ok(Verdict::Stale));
    assert_eq!(given.verdict(2), Ok(Verdict::Revoked));
}

#[test]
fn a_wrong_secret_is_told_what_a_wrong_id_is_told() {
    let given = Given::holding(10, &[1]);
    given.fill(10, &[2], vec![None]);
    for (text, id) in [(guess(1), 1), (token(2), 2)] {
        let digest = SecretDigest::of_token(&text);
        let derived = ImportKey::key_id(&acme(), &digest);
        assert_eq!(given.judge(&text), Err(derived), "it may be another system's key");
        let ticket = given.core.begin_fill(vec![derived]).unwrap();
        assert_eq!(given.core.on_filled(&ticket, &answer(10, vec![None]), 0), [Arrived::Absent]);
        let Judged::Answer(decision) = given.core.judge(&text, &Requirement::any(), given.moment()) else {
            panic!("{id} is known not to be a key")
        };
        assert_eq!((decision.verdict, decision.holder.is_none()), (Verdict::Unknown, true));
    }
}

#[test]
fn another_systems_key_is_found_by_its_digest() {
    let given = Given::holding(10, &[]);
    let text = "sk-campaigns-0123456789";
    let key_id = ImportKey::key_id(&acme(), &SecretDigest::of_token(text));
    assert_eq!(given.judge(text), Err(key_id));
    let ticket = given.core.begin_fill(vec![key_id]).unwrap();
    assert_eq!(given.core.on_filled(&ticket, &answer(10, vec![Some(imported(text))]), 0), [Arrived::Held]);
    assert_eq!(given.judge(text), Ok(Verdict::Valid));
    assert_eq!(given.judge(&"x".repeat(513)), Ok(Verdict::Malformed), "too long to be looked up");
    // Held as imported, a key is not opened by its own form.
    given.fill(10, &[1], vec![Some(FilledKey { imported: true, ..filled(1) })]);
    assert!(given.verdict(1).is_err());
}

#[test]
fn what_is_quarantined_is_asked_for_again_after_a_while() {
    let given = Given::holding(10, &[1]);
    let ticket = given.core.begin_fill(vec![key_id(2)]).unwrap();
    let mut said = answer(10, vec![Some(filled(2))]);
    said.tenant = FilledTenant { closed: false, quarantined: true };
    given.core.on_filled(&ticket, &said, 0);
    assert_eq!(given.verdict(1), Ok(Verdict::Quarantined));
    let given = given.at(6_000);
    assert_eq!(given.verdict(1), Err(key_id(1)));
    given.fill(10, &[1], vec![Some(filled(1))]);
    given.lease(10, 10, 0);
    assert_eq!((given.verdict(1), given.verdict(2)), (Ok(Verdict::Valid), Ok(Verdict::Valid)));
}

#[test]
fn a_fill_of_another_key_or_form_is_not_held() {
    let given = Given::holding(10, &[]);
    assert_eq!(given.fill(10, &[1], vec![Some(filled(2))]), [Arrived::Unreadable]);
    let bad = FilledKey { digest: "00".to_owned(), ..filled(1) };
    assert_eq!(given.fill(10, &[1], vec![Some(bad)]), [Arrived::Unreadable]);
    assert_eq!(given.fill(10, &[1], vec![]), [Arrived::Again]);
    assert_eq!(given.core.held(), 0);
}

#[test]
fn guesses_do_not_push_out_keys() {
    let given = Given::holding(10, &[1, 2, 3]);
    for n in 0..2_000_u128 {
        let ticket = given.core.begin_fill(vec![domain::KeyId::from_u128(1 << 100 | n)]).unwrap();
        given.core.on_filled(&ticket, &answer(10, vec![None]), 0);
    }
    for n in 1..=3 {
        assert_eq!(given.verdict(n), Ok(Verdict::Valid));
    }
}
