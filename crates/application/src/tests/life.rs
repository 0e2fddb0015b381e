//! A key's life by what the log says: several changes are one unit, a repeat answers what stands, a server that is behind
//! does not say what it cannot know.

use domain::{
    CancelRotation, ConfigureTenant, EndSuspension, Finish, FinishRotation, Issuer, LeakResponse,
    ReinstateKey, ReportLeak, Revision, RotationRule, Standing, SuspendKey, SuspendReason, Widening,
};

use super::*;
use crate::{AmendRequest, AskedSelector, Confirmed, RotateRequest};

pub(super) fn amend(key_id: KeyId) -> AmendRequest {
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

pub(super) fn rotate(key_id: KeyId) -> RotateRequest {
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
    let asked = recalls::recall(acme(), AskedSelector::default(), Confirmed::IncludingNew);
    let behind = kit.application.recall_keys(&request("recall"), asked).await;
    assert!(matches!(behind, Err(CommandError::Unavailable { .. })), "{behind:?}");
}

#[tokio::test(start_paused = true)]
async fn every_server_ends_a_suspension_under_one_command_id() {
    let kit = Kit::start().await;
    let key_id = kit.issue("issue").await.unwrap().key_id;
    let now = kit.ambient.now();
    let suspend = |id: &str, until| {
        let command =
            SuspendKey { tenant: acme(), key_id, reason: SuspendReason::Investigating, note: None, until };
        let request = request(id);
        let application = kit.application.clone();
        async move { application.suspend_key(&request, command).await }
    };
    let end = |until| kit.application.end_suspension(EndSuspension { tenant: acme(), key_id }, until);
    let (first, second) = (now.plus_millis(1_000), now.plus_millis(2_000));
    let suspended = suspend("suspend", Some(first)).await.unwrap();
    assert_eq!(
        suspend("suspend", Some(first)).await.unwrap(),
        crate::Changed { repeated: true, ..suspended }
    );
    assert!(matches!(end(first).await, Err(CommandError::Refused(Refusal::SuspensionNotOver))));
    kit.ambient.now.store(1_000, Ordering::Relaxed);
    let ended = end(first).await.unwrap();
    assert_eq!(end(first).await.unwrap(), crate::Changed { repeated: true, ..ended });

    // Suspended anew: a server that is behind has the old end in mind, and ends nothing.
    suspend("anew", Some(second)).await.unwrap();
    assert_eq!(end(first).await.unwrap().position, ended.position);
    assert!(matches!(end(second).await, Err(CommandError::Refused(Refusal::SuspensionNotOver))));
    let reinstate = ReinstateKey { tenant: acme(), key_id, note: None };
    let by_hand = kit.application.reinstate_key(&request("by-hand"), reinstate.clone()).await.unwrap();
    let again = kit.application.reinstate_key(&request("by-hand"), reinstate).await.unwrap();
    assert_eq!(again, crate::Changed { repeated: true, ..by_hand });
    kit.ambient.now.store(2_000, Ordering::Relaxed);
    assert!(matches!(end(second).await, Err(CommandError::Refused(Refusal::NotSuspended))));
    assert_eq!(kit.head().await, by_hand.position.get());
}

/// Begins a rotation and recalls the predecessor before it is appended.
async fn overtaken(kit: &Arc<Kit>) -> (KeyId, tokio::task::JoinHandle<Result<crate::Rotated, CommandError>>) {
    let key_id = kit.issue("issue").await.unwrap().key_id;
    let (reached, go) = kit.hold_next_append();
    let rotating = {
        let kit = Arc::clone(kit);
        tokio::spawn(async move { kit.application.rotate_key(&request("rotate"), rotate(key_id)).await })
    };
    reached.await.unwrap();
    let asked = recalls::recall(acme(), AskedSelector::default(), Confirmed::IncludingNew);
    kit.application.recall_keys(&request("recall"), asked).await.unwrap();
    go.send(()).unwrap();
    (key_id, rotating)
}

#[track_caller]
fn is_overtaken(outcome: Result<crate::Rotated, CommandError>) -> (KeyId, Position) {
    match outcome {
        Err(CommandError::RotationOvertaken { successor, position }) => (successor, position),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_rotation_that_a_recall_overtakes_says_what_stands() {
    let kit = Arc::new(Kit::following().await);
    let (key_id, rotating) = overtaken(&kit).await;
    let (successor, position) = is_overtaken(rotating.await.unwrap());
    let head = kit.head().await;
    assert_eq!(head, position.get() + 1, "recall, rotation, and the successor's end");
    kit.index_reaches_the_head().await;
    for (key_id, standing) in [(key_id, Standing::Recalled), (successor, Standing::Revoked)] {
        assert_eq!(kit.index.key(&acme(), key_id).unwrap().key.standing, standing);
    }
    let again = kit.application.rotate_key(&request("rotate"), rotate(key_id)).await;
    assert_eq!((is_overtaken(again), kit.head().await), ((successor, position), head));
    let refused = kit.application.rotate_key(&request("another"), rotate(key_id)).await;
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::AlreadyRecalled))), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn a_successor_that_a_crash_left_behind_goes_when_the_rotation_is_asked_again() {
    let kit = Arc::new(Kit::following().await);
    // The next append but two, after recall and rotation, is the successor's end.
    let (key_id, rotating) = overtaken(&kit).await;
    let (reached, _never) = kit.hold_next_append();
    reached.await.unwrap();
    rotating.abort();
    kit.index_reaches_the_head().await;
    let successor = domain::IssueKey::key_id(&acme(), &"rotate".parse().unwrap());
    assert_eq!(kit.index.key(&acme(), successor).unwrap().key.standing, Standing::Active);
    let again = kit.application.rotate_key(&request("rotate"), rotate(key_id)).await;
    assert_eq!(is_overtaken(again).0, successor);
    kit.index_reaches_the_head().await;
    assert_eq!(kit.index.key(&acme(), successor).unwrap().key.standing, Standing::Revoked);
}

#[tokio::test(start_paused = true)]
async fn a_recall_after_a_rotation_is_none_of_its_matter() {
    let kit = Kit::following().await;
    let issuer = |id| Some(Issuer { key_id: KeyId::from_u128(id), scopes: ScopeSet::default() });
    let issued = IssueRequest { issuer: issuer(1), ..asked("campaigns:send") };
    let key_id = kit.application.issue_key(&request("issue"), issued).await.unwrap().key_id;
    let rotate = || RotateRequest { issuer: issuer(2), ..rotate(key_id) };
    let first = kit.application.rotate_key(&request("rotate"), rotate()).await.unwrap();
    let asked = recalls::recall(
        acme(),
        AskedSelector { issuer: Some(KeyId::from_u128(1)), ..AskedSelector::default() },
        Confirmed::IncludingNew,
    );
    kit.application.recall_keys(&request("recall"), asked).await.unwrap();
    let again = kit.application.rotate_key(&request("rotate"), rotate()).await.unwrap();
    assert_eq!((again.successor, again.changed.repeated), (first.successor, true));
    kit.index_reaches_the_head().await;
    for (key_id, standing) in [(key_id, Standing::Recalled), (first.successor, Standing::Active)] {
        assert_eq!(kit.index.key(&acme(), key_id).unwrap().key.standing, standing);
    }
}
