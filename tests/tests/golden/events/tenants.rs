//! The golden events of a tenant.

use domain::{
    Cause, Envelope, Environment, Event, KeysRecalled, Label, LeakResponse, OwnerErased, Personal, Policy,
    PolicyRemoved, PolicyRules, PolicySet, Revision, RevokeReason, ScopeSet, Selector, TenantClosed,
    TenantConfigured, TenantOpened,
};

use super::{
    DAY_MS, Golden, OPERATOR, TENANT, by_itself, envelope, networks, operator, owner, plain, scopes, sealed,
    traced,
};

pub(super) fn golden() -> Vec<Golden> {
    [opened(), configured(), closed(), recalled(), policies(), erased()].concat()
}

fn opened() -> Vec<Golden> {
    let opened =
        |name, prefix: &str| Event::TenantOpened(TenantOpened { name, prefix: prefix.parse().unwrap() });
    let named = opened(Some(plain("Acme Newsletters, München")), "mail");
    let first = envelope("rescind._tenant", "bootstrap", opened(None, "rsk"));
    let unreadable = Envelope {
        actor: operator(Some(sealed())),
        ..envelope(TENANT, "open-acme", opened(Some(sealed()), "rsk"))
    };
    vec![
        ("TenantOpened".to_owned(), traced(envelope(TENANT, "open-acme", named))),
        ("TenantOpened-bootstrap".to_owned(), by_itself(Cause::Bootstrap, first)),
        ("TenantOpened-sealed".to_owned(), unreadable),
    ]
}

fn later(revision: u32, command_id: &str, event: Event) -> Envelope {
    Envelope { revision: Revision::new(revision), ..envelope(TENANT, command_id, event) }
}

fn configured() -> Vec<Golden> {
    let configured = |name, prefix: &str, leak_response| {
        let prefix = prefix.parse().unwrap();
        later(2, "configure-acme", Event::TenantConfigured(TenantConfigured { name, prefix, leak_response }))
    };
    let unreadable = configured(Some(sealed()), "rsk", LeakResponse::Revoke);
    let full = configured(Some(plain("Acme Newsletters, München")), "mail", LeakResponse::Suspend);
    vec![
        ("TenantConfigured".to_owned(), traced(full)),
        ("TenantConfigured-minimal".to_owned(), configured(None, "rsk", LeakResponse::Revoke)),
        ("TenantConfigured-sealed".to_owned(), Envelope { actor: operator(Some(sealed())), ..unreadable }),
    ]
}

fn closed() -> Vec<Golden> {
    let closed = |note| later(9, "close-acme", Event::TenantClosed(TenantClosed { note }));
    vec![
        ("TenantClosed".to_owned(), closed(Some(plain("Moved to another sender")))),
        ("TenantClosed-minimal".to_owned(), closed(None)),
        ("TenantClosed-sealed".to_owned(), closed(Some(sealed()))),
    ]
}

fn erased() -> Vec<Golden> {
    let erased = OwnerErased { owner: owner(sealed()).tag, generation: 2 };
    vec![("OwnerErased".to_owned(), later(6, "erase-list-sender", Event::OwnerErased(erased)))]
}

fn owned(name: Personal) -> Selector {
    Selector { owner: Some(owner(name)), ..Selector::ALL }
}

fn labelled(label: &str) -> Selector {
    Selector { label: Some(label.parse::<Label>().unwrap()), ..Selector::ALL }
}

fn scoped(scope: &str) -> Selector {
    Selector { scope: Some(scope.parse().unwrap()), ..Selector::ALL }
}

fn issued_by(key: &str) -> Selector {
    Selector { issuer: Some(key.parse().unwrap()), ..Selector::ALL }
}

fn of_environment(environment: Environment) -> Selector {
    Selector { environment: Some(environment), ..Selector::ALL }
}

fn all_parts() -> Selector {
    Selector {
        owner: owned(plain("list-sender")).owner,
        label: labelled("service=mailer").label,
        scope: scoped("campaigns:send").scope,
        issuer: issued_by(OPERATOR).issuer,
        environment: Some(Environment::Live),
    }
}

fn recalled() -> Vec<Golden> {
    let recalled = |selector, reason: RevokeReason, note| {
        let event = Event::KeysRecalled(Box::new(KeysRecalled { selector, reason, note }));
        later(3, &format!("recall-{reason}"), event)
    };
    let cascade = recalled(issued_by("01JDA7W5W6M4Q0T3S8V2N9X1YZ"), RevokeReason::Compromised, None);
    let full = recalled(all_parts(), RevokeReason::OwnerLeft, Some(plain("Left in spring")));
    let mut golden = vec![
        ("KeysRecalled".to_owned(), traced(full)),
        (
            "KeysRecalled-sealed".to_owned(),
            recalled(owned(sealed()), RevokeReason::OwnerLeft, Some(sealed())),
        ),
        ("KeysRecalled-cascade".to_owned(), by_itself(Cause::Cascade, cascade)),
    ];
    golden.extend(RevokeReason::ALL.map(|reason| {
        let selector = match reason {
            RevokeReason::Compromised => Selector::ALL,
            RevokeReason::OwnerLeft => owned(plain("list-sender")),
            RevokeReason::ServiceChanged => labelled("service=mailer"),
            RevokeReason::Unused => of_environment(Environment::Test),
            RevokeReason::Superseded => scoped("lists:*"),
            RevokeReason::Leaked => issued_by(OPERATOR),
            RevokeReason::Requested => {
                Selector { scope: scoped("lists:read").scope, ..owned(plain("list-sender")) }
            }
            RevokeReason::Policy => of_environment(Environment::Live),
            RevokeReason::Other => labelled("team=lists/eu"),
        };
        (format!("KeysRecalled-{reason}"), recalled(selector, reason, None))
    }));
    golden
}

fn policies() -> Vec<Golden> {
    let set = |name: &str, selector, rules| {
        let policy = Policy::new(name.parse().unwrap(), selector, rules).unwrap();
        later(4, &format!("set-{name}"), Event::PolicySet(Box::new(PolicySet { policy })))
    };
    let every_rule = PolicyRules {
        default_lifetime_ms: Some(90 * DAY_MS),
        longest_lifetime_ms: Some(365 * DAY_MS),
        rotate_after_ms: Some(180 * DAY_MS),
        suspend_idle_after_ms: Some(30 * DAY_MS),
        revoke_idle_after_ms: Some(60 * DAY_MS),
        warn_before_expiry_ms: vec![7 * DAY_MS, DAY_MS],
        scopes_allowed: scopes(),
        scopes_denied: ScopeSet::parse(["lists:delete"]).unwrap(),
        networks_required: true,
        networks_allowed: networks(),
    };
    let age = PolicyRules { rotate_after_ms: Some(180 * DAY_MS), ..PolicyRules::default() };
    let inside = PolicyRules { networks_required: true, ..PolicyRules::default() };
    let removed = Event::PolicyRemoved(PolicyRemoved { name: "senders".parse().unwrap() });
    vec![
        ("PolicySet".to_owned(), traced(set("senders", all_parts(), every_rule))),
        ("PolicySet-minimal".to_owned(), set("age", Selector::ALL, age)),
        ("PolicySet-sealed".to_owned(), set("networks", owned(sealed()), inside)),
        ("PolicyRemoved".to_owned(), later(5, "remove-senders", removed)),
    ]
}
