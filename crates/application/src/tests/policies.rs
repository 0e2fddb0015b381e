//! Policies where keys are issued and changed: what they give, what they refuse, and that a repeat asks none of them again.

use domain::{Policy, PolicyRules, Selector, SetPolicy};

use super::*;
use crate::{Changed, Issued};

const DAY_MS: u64 = 24 * 60 * 60 * 1000;

async fn set(kit: &Kit, id: &str, rules: PolicyRules) -> Changed {
    let policy = Policy::new("house".parse().unwrap(), Selector::ALL, rules).unwrap();
    kit.application.set_policy(&request(id), SetPolicy { tenant: acme(), policy }).await.unwrap()
}

async fn issue(kit: &Kit, id: &str, change: impl FnOnce(&mut AskedGrant)) -> Result<Issued, CommandError> {
    let mut asked = asked("campaigns:send");
    change(&mut asked.grant);
    kit.application.issue_key(&request(id), asked).await
}

fn denied(outcome: &Result<Issued, CommandError>) -> Option<&'static str> {
    match outcome {
        Err(CommandError::Refused(Refusal::PolicyDenies { policy, rule })) if policy.as_str() == "house" => {
            Some(rule)
        }
        _ => None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_gets_the_lifetime_of_a_policy_and_none_that_is_longer() {
    let kit = Kit::start().await;
    let rules = PolicyRules {
        default_lifetime_ms: Some(30 * DAY_MS),
        longest_lifetime_ms: Some(60 * DAY_MS),
        ..PolicyRules::default()
    };
    set(&kit, "set", rules).await;
    let now = kit.ambient.now();
    let until = |days: u64| Some(now.plus_millis(days * DAY_MS));
    let first = issue(&kit, "plain", |_| {}).await.unwrap();
    assert_eq!(first.expires_at, until(30));
    assert_eq!(
        issue(&kit, "longest", |grant| grant.expires_at = until(60)).await.unwrap().expires_at,
        until(60)
    );
    let before = kit.head().await;
    let longer = issue(&kit, "longer", |grant| grant.expires_at = until(61)).await;
    assert_eq!((denied(&longer), kit.head().await), (Some("longest_lifetime"), before), "{longer:?}");

    // A repeat answers what stands, whatever the tenant asks for by then.
    set(&kit, "shorter", PolicyRules { longest_lifetime_ms: Some(DAY_MS), ..PolicyRules::default() }).await;
    let again = issue(&kit, "plain", |_| {}).await.unwrap();
    assert_eq!((again.changed.position, again.changed.repeated), (first.changed.position, true));
    let plain = issue(&kit, "another", |_| {}).await;
    assert_eq!(denied(&plain), Some("longest_lifetime"), "one that never expires lives too long");
}

#[tokio::test(start_paused = true)]
async fn scopes_and_networks_are_held_to_a_policy_at_issue_and_afterwards() {
    let kit = Kit::start().await;
    let key_id = kit.issue("before").await.unwrap().key_id;
    let rules = PolicyRules {
        scopes_allowed: ScopeSet::parse(["campaigns:*", "users:*"]).unwrap(),
        scopes_denied: ScopeSet::parse(["users:delete"]).unwrap(),
        networks_required: true,
        networks_allowed: Networks::parse(["192.0.2.0/24"]).unwrap(),
        ..PolicyRules::default()
    };
    set(&kit, "set", rules).await;
    let with = |scope: &str, networks: &[&str]| {
        let (scopes, networks) = (ScopeSet::parse([scope]).unwrap(), Networks::parse(networks).unwrap());
        move |grant: &mut AskedGrant| (grant.scopes, grant.networks) = (scopes, networks)
    };
    let inside = ["192.0.2.16/28"];
    for (scope, networks, rule) in [
        ("lists:read", &inside[..], "scopes_allowed"),
        ("users:*", &inside, "scopes_denied"),
        ("campaigns:send", &[], "networks_required"),
        ("campaigns:send", &["198.51.100.0/24"], "networks_allowed"),
    ] {
        let refused = issue(&kit, &format!("{scope}{networks:?}"), with(scope, networks)).await;
        assert_eq!(denied(&refused), Some(rule), "{scope} {networks:?}: {refused:?}");
    }
    issue(&kit, "fits", with("users:read", &inside)).await.unwrap();
    let wider = crate::AmendRequest {
        scopes: Some(ScopeSet::parse(["lists:read"]).unwrap()),
        widening: domain::Widening::Allowed,
        ..life::amend(key_id)
    };
    let refused = kit.application.amend_key(&request("amend"), wider).await;
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::PolicyDenies { .. }))), "{refused:?}");
}
