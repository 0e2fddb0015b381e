//! Whether a refusal was true: at some moment between the begin of its attempt and its end.

use domain::{KeyId, Position, Refusal, Standing, StreamName, Timestamp};

use super::asked::{Body, Change, Setting, Verb};
use super::model::Attempt;
use super::truth::{Truth, Version};

#[expect(clippy::too_many_lines, reason = "one match with a line or two for each refusal")]
pub(crate) fn is_true(refusal: &Refusal, attempt: &Attempt, truth: &Truth, now: Timestamp) -> bool {
    let body = &attempt.body;
    let stream = body.stream();
    let tenant = truth.tenants.get(stream.tenant());
    let facts = match &stream {
        StreamName::Key(tenant, key_id) => truth.keys.get(&(tenant.clone(), *key_id)),
        StreamName::Tenant(_) => None,
    };
    let versions = facts.map_or(&[][..], |facts| facts.since(attempt.began_at));
    // Who has not heard of a recall goes by what the key's own stream says.
    let recalled = facts.filter(|facts| facts.recalled.is_some());
    let said: Vec<_> = recalled.iter().flat_map(|facts| &facts.said).map(|(_, said)| *said).collect();
    let was = |standing: Standing| {
        versions.iter().any(|version| version.key.standing == standing) || said.contains(&standing)
    };
    let successor = |wanted| {
        versions.iter().filter_map(|version| version.life.rotation.as_ref()).any(|it| it.successor == wanted)
    };
    let change = body.change();
    match refusal {
        Refusal::TenantAlreadyOpen => matches!(body.verb, Verb::Open { .. }) && tenant.is_some(),
        Refusal::TenantClosed => tenant.is_some_and(|tenant| tenant.closed.is_some()),
        Refusal::ExpiryInPast { expires_at } => makes_or_moves(body) && *expires_at <= now,
        Refusal::AlreadyRevoked => was(Standing::Revoked),
        Refusal::AlreadyRecalled => was(Standing::Recalled),
        Refusal::AlreadyExpired => {
            let rotates = matches!(change, Some(Change::Rotate(_)));
            was(Standing::Expired) || (rotates && versions.iter().any(|version| version.key.is_past(now)))
        }
        Refusal::NotYetExpired => {
            // The decision was made a moment ago; the clock may have passed the expiry since.
            let Some(Change::Expire(at)) = change else { return false };
            body.asked_at < *at || versions.iter().any(|version| version.key.expires_at != Some(*at))
        }
        Refusal::AlreadySuspended => was(Standing::Suspended),
        Refusal::NotSuspended => versions.iter().any(|version| version.key.standing != Standing::Suspended),
        Refusal::SuspensionInPast { until } => matches!(change, Some(Change::Suspend(..))) && *until <= now,
        Refusal::SuspensionNotOver => matches!(change, Some(Change::EndSuspension(_))),
        Refusal::KeySuspended => matches!(change, Some(Change::Rotate(_))) && was(Standing::Suspended),
        Refusal::AlreadyRotating { successor: heir } => successor(*heir),
        Refusal::NotRotating => versions.iter().any(|version| version.life.rotation.is_none()),
        Refusal::NotASuccessor => versions.iter().any(|version| version.life.predecessor.is_none()),
        Refusal::AlreadyAdopted => versions.iter().any(|version| version.life.first_used_at.is_some()),
        Refusal::SuccessorUnused { successor: heir } => {
            let unused = |version: &Version| version.life.first_used_at.is_none();
            successor(*heir) && heir_was(*heir, attempt, truth, unused)
        }
        Refusal::SuccessorEnded { successor: heir } => {
            let unusable =
                |version: &Version| version.key.standing != Standing::Active || version.key.is_past(now);
            successor(*heir) && heir_was(*heir, attempt, truth, unusable)
        }
        Refusal::RotationNotDue => matches!(change, Some(Change::Finish(_))),
        Refusal::RotationInPast { at } => matches!(change, Some(Change::Rotate(_))) && *at <= now,
        Refusal::WarningNotDue => matches!(change, Some(Change::Warn(..))),
        Refusal::Unchanged => matches!(
            &body.verb,
            Verb::OnKey(_, _, Change::Amend(_))
                | Verb::OnTenant(_, Setting::Leaks(_) | Setting::SetPolicy(_))
        ),
        Refusal::PolicyDenies { .. } => tenant.is_some_and(|tenant| tenant.had_policies),
        Refusal::NoSuchPolicy { .. } => {
            matches!(&body.verb, Verb::OnTenant(_, Setting::RemovePolicy(_)))
        }
        Refusal::NothingMatches => nothing_matched(attempt, truth),
        Refusal::KeyAlreadyIssued => !versions.is_empty(),
        Refusal::ScopeNotHeld { .. }
        | Refusal::WideningNeedsIssue
        | Refusal::KeyQuarantined
        | Refusal::TooManyPolicies
        | Refusal::OwnerHasLiveKeys { .. }
        | Refusal::NoSuchOwner
        | Refusal::AlreadyErased
        | Refusal::NotForOperators
        | Refusal::LastOperator => false,
    }
}

/// Whether a rotation's successor was so at some moment.
fn heir_was(heir: KeyId, attempt: &Attempt, truth: &Truth, so: impl Fn(&Version) -> bool) -> bool {
    let id = (attempt.body.stream().tenant().clone(), heir);
    truth.keys.get(&id).is_some_and(|facts| facts.since(attempt.began_at).iter().any(so))
}

fn makes_or_moves(body: &Body) -> bool {
    matches!(
        &body.verb,
        Verb::Issue(_) | Verb::Import(..) | Verb::OnKey(_, _, Change::Amend(_) | Change::Rotate(_))
    )
}

/// Whether there was a moment at which a recall, or one that it took along, would have hit no key.
fn nothing_matched(attempt: &Attempt, truth: &Truth) -> bool {
    let Some(Setting::Recall(recall)) = attempt.body.setting() else { return false };
    let stream = attempt.body.stream();
    let Some(facts) = truth.tenants.get(stream.tenant()) else { return false };
    // Another recall on its way counts from its append on, whatever the rows show by then.
    if recall.cascade || facts.recalls.iter().any(|(position, _)| *position > attempt.began_at) {
        return true;
    }
    let matches = |version: &Version| {
        let (key, grant) = (&version.key, &version.life.grant);
        !key.has_ended()
            && recall.owner.as_ref().is_none_or(|owner| grant.owner.name.plain() == Some(owner.as_str()))
            && recall.label.as_ref().is_none_or(|label| key.labels.iter().any(|held| held == label))
            && recall.scope.as_ref().is_none_or(|scope| key.scopes.covers(scope))
            && recall.issuer.is_none_or(|issuer| key.issuer == Some(issuer))
            && recall.environment.is_none_or(|environment| key.environment == environment)
    };
    let of_tenant: Vec<_> = truth
        .keys
        .iter()
        .filter(|((tenant, _), _)| tenant == stream.tenant())
        .map(|(_, facts)| facts)
        .collect();
    (attempt.began_at.get()..=truth.head().get()).any(|position| {
        let position = Position::new(position);
        !of_tenant.iter().any(|facts| facts.at(position).is_some_and(matches))
    })
}
