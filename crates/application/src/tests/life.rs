//! A key's life by what the log says: several changes are one unit, a repeat answers what stands, a server that is behind
//! does not say what it cannot know.

use domain::{
    CancelRotation, ConfigureTenant, Finish, FinishRotation, Issuer, LeakResponse, ReportLeak, Revision,
    RotationRule, Widening,
};

use super::*;
use crate::{AmendRequest, AskedSelector, Confirmed, RecallRequest, RotateRequest};

fn amend(key_id: KeyId) -> AmendRequest {
    AmendRequest {
        tenant: acme(),
        key_id,
        name: None,
        labels: None,
        owner: None,
        scopes: None,
        networks: None,
        expires_at: None,
        by: Issuer { key_id: KeyId::from_u128(1), scopes: ScopeSet::default() },
        widening: Widening::Refused,
    }
}

fn rotate(key_id: KeyId) -> RotateRequest {
    RotateRequest { tenant: acme(), key_id, rule: RotationRule::ByHand, expires_at: None, issuer: None }
}

#[tokio::test(start_paused = true)]
async fn several_changes_are_one_unit_all_or_none() {
    let kit = Kit::start().await;
    let key_id = kit.issue("issue").await.unwrap().key_id;
    let before = kit.head().await;
    let owner = Some(PersonalText::name("list import").unwrap());
    let wider = AmendRequest {
        owner: owner.clone(),
        scopes: Some(ScopeSet::parse(["lists:*"]).unwrap()),
        ..amend(key_id)
    };
    let refused = kit.application.amend_key(&request("wider"), wider).await;
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::WideningNeedsIssue))), "{refused:?}");
    assert_eq!(kit.head().await, before, "the owner did not change either");
    let narrower = AmendRequest { owner, scopes: Some(ScopeSet::default()), ..amend(key_id) };
    let changed = kit.application.amend_key(&request("narrower"), narrower.clone()).await.unwrap();
    assert_eq!((changed.position.get(), changed.revision.get()), (before + 2, 3));
    let again = kit.application.amend_key(&request("narrower"), narrower).await.unwrap();
    assert_eq!(again, crate::Changed { repeated: true, ..changed });
}

#[tokio::test(start_paused = true)]
async fn a_lost_race_is_told_with_the_revision_that_won() {
    let kit = Kit::start().await;
    let key_id = kit.issue("issue").await.unwrap().key_id;
    let to = |name: &str| AmendRequest { owner: Some(PersonalText::name(name).unwrap()), ..amend(key_id) };
    let at = |id: &str| Request { if_match: Some(Revision::new(1)), ..request(id) };
    kit.application.amend_key(&at("first"), to("list import")).await.unwrap();
    let lost = kit.application.amend_key(&at("second"), to("newsletter team")).await;
    let Err(CommandError::RevisionMismatch { actual }) = lost else { panic!("{lost:?}") };
    assert_eq!(actual.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rotation_and_its_repeat_name_the_same_position_and_one_secret() {
    let kit = Kit::start().await;
    let key_id = kit.issue("issue").await.unwrap().key_id;
    kit.meet(Trouble::AnswerLost);
    let first = kit.application.rotate_key(&request("rotate"), rotate(key_id)).await.unwrap();
    let again = kit.application.rotate_key(&request("rotate"), rotate(key_id)).await.unwrap();
    assert!(first.key.is_some() && again.key.is_none());
    assert_eq!((first.successor, first.changed.position), (again.successor, again.changed.position));
    let other = kit.application.rotate_key(&request("other"), rotate(key_id)).await;
    assert!(
        matches!(other, Err(CommandError::Refused(Refusal::AlreadyRotating { successor })) if successor == first.successor)
    );
    let cancel = CancelRotation { tenant: acme(), key_id };
    let cancelled = kit.application.cancel_rotation(&request("cancel"), cancel.clone()).await.unwrap();
    let again = kit.application.cancel_rotation(&request("cancel"), cancel).await.unwrap();
    assert_eq!(again, crate::Changed { repeated: true, ..cancelled });
    assert_eq!(cancelled.position.get(), kit.head().await, "the successor's end is the unit's end");
}

#[tokio::test(start_paused = true)]
async fn a_rotation_is_finished_once_and_by_force_only_if_its_successor_was_never_used() {
    let kit = Kit::start().await;
    let key_id = kit.issue("issue").await.unwrap().key_id;
    kit.application.rotate_key(&request("rotate"), rotate(key_id)).await.unwrap();
    let finish = |finish| FinishRotation { tenant: acme(), key_id, finish };
    let by_hand = kit.application.finish_rotation(&request("by-hand"), finish(Finish::ByHand)).await;
    assert!(matches!(by_hand, Err(CommandError::Refused(Refusal::SuccessorUnused { .. }))), "{by_hand:?}");
    kit.meet(Trouble::Lost);
    let forced = kit.application.finish_rotation(&request("forced"), finish(Finish::Forced)).await.unwrap();
    let again = kit.application.finish_rotation(&request("forced"), finish(Finish::Forced)).await.unwrap();
    assert_eq!(again, crate::Changed { repeated: true, ..forced });
}

#[tokio::test(start_paused = true)]
async fn a_repeated_report_of_a_leak_answers_what_stands() {
    let kit = Kit::start().await;
    let key_id = kit.issue("issue").await.unwrap().key_id;
    let configure = |response| ConfigureTenant {
        tenant: acme(),
        name: None,
        prefix: None,
        leak_response: Some(response),
    };
    let leak = ReportLeak { tenant: acme(), key_id, source: "scan".parse().unwrap(), url: None };
    kit.application.configure_tenant(&request("1"), configure(LeakResponse::Suspend)).await.unwrap();
    let first = kit.application.report_leak(&request("leak"), leak.clone()).await;
    kit.application.configure_tenant(&request("2"), configure(LeakResponse::Revoke)).await.unwrap();
    let again = kit.application.report_leak(&request("leak"), leak).await.unwrap();
    assert!(again.changed.repeated);
    assert_eq!(first.unwrap().response, again.response);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_behind_does_not_say_that_nothing_matches() {
    let kit = Kit::start().await;
    kit.issue("issue").await.unwrap();
    let asked = RecallRequest {
        tenant: acme(),
        selector: AskedSelector::default(),
        reason: RevokeReason::OwnerLeft,
        note: None,
        confirmed: Confirmed::IncludingNew,
        cascade: false,
    };
    let behind = kit.application.recall_keys(&request("recall"), asked).await;
    assert!(matches!(behind, Err(CommandError::Unavailable { .. })), "{behind:?}");
}
