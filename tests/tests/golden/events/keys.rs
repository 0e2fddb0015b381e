//! The golden events of a key's beginning and end.

use domain::{
    Actor, Cause, Envelope, Environment, Event, ExpiryWarned, Grant, KeyExpired, KeyImported, KeyIssued,
    KeyLeaked, KeyRevoked, Labels, LeakResponse, Networks, Personal, Revision, RevokeReason, ScopeSet,
};

use super::{
    EXPIRES_AT, Golden, KEY, OPERATOR, OTHER, by_itself, digest, envelope, labels, networks, operator, owner,
    plain, scopes, sealed, source, traced,
};

pub(super) fn golden() -> Vec<Golden> {
    let mut golden = [issued(), imported(), leaked(), revoked_otherwise(), expiry()].concat();
    golden.extend(RevokeReason::ALL.map(revoked));
    golden
}

fn full() -> Grant {
    Grant {
        environment: Environment::Live,
        name: Some(plain("Spring campaign")),
        owner: owner(plain("list-sender")),
        scopes: scopes(),
        labels: labels(),
        networks: networks(),
        expires_at: Some(EXPIRES_AT),
    }
}

fn minimal() -> Grant {
    Grant {
        environment: Environment::Test,
        name: None,
        owner: owner(plain("operator")),
        scopes: ScopeSet::default(),
        labels: Labels::default(),
        networks: Networks::default(),
        expires_at: None,
    }
}

fn unreadable(owner_name: Personal) -> Grant {
    Grant {
        environment: Environment::Live,
        name: Some(sealed()),
        owner: owner(owner_name),
        scopes: ScopeSet::parse(["campaigns:send"]).unwrap(),
        ..minimal()
    }
}

fn issued() -> Vec<Golden> {
    let issued =
        |stream: &str, id: &str, prefix: &str, grant, issuer: Option<&str>, predecessor: Option<&str>| {
            let key = |text: &str| text.parse().unwrap();
            let issued = KeyIssued {
                prefix: prefix.parse().unwrap(),
                digest: digest(),
                grant,
                issuer: issuer.map(key),
                predecessor: predecessor.map(key),
            };
            envelope(stream, id, Event::KeyIssued(Box::new(issued)))
        };
    let by = Some(OPERATOR);
    let first = issued("rescind.01JDA7W5W6M4Q0T3S8V2N9X1YZ", "bootstrap", "rsk", minimal(), None, None);
    let sealed_grant = unreadable(Personal::Sealed(Vec::new()));
    let successor = Grant { name: None, owner: owner(plain("list-sender")), ..sealed_grant.clone() };
    let sealed_key = issued(KEY, "spring-campaign", "mail", sealed_grant, by, None);
    vec![
        ("KeyIssued".to_owned(), traced(issued(KEY, "spring-campaign", "rsk", full(), by, None))),
        ("KeyIssued-minimal".to_owned(), by_itself(Cause::Bootstrap, first)),
        ("KeyIssued-sealed".to_owned(), Envelope { actor: operator(Some(sealed())), ..sealed_key }),
        ("KeyIssued-successor".to_owned(), issued(KEY, "rotate-spring", "rsk", successor, by, Some(OTHER))),
    ]
}

fn imported() -> Vec<Golden> {
    let imported = |grant, issuer: Option<&str>| {
        let issuer = issuer.map(|text| text.parse().unwrap());
        let imported = KeyImported { digest: digest(), grant, issuer };
        envelope(KEY, "import-spring", Event::KeyImported(Box::new(imported)))
    };
    vec![
        ("KeyImported".to_owned(), traced(imported(full(), Some(OPERATOR)))),
        ("KeyImported-minimal".to_owned(), imported(minimal(), None)),
        ("KeyImported-sealed".to_owned(), imported(unreadable(sealed()), Some(OPERATOR))),
    ]
}

fn second(command_id: &str, event: Event) -> Envelope {
    Envelope { revision: Revision::new(2), ..envelope(KEY, command_id, event) }
}

fn leaked() -> Vec<Golden> {
    let leaked = |from: &str, url, response| {
        let event = Event::KeyLeaked(KeyLeaked { source: source(from), url, response });
        Envelope { cause: Cause::Leak, ..second("leak-spring", event) }
    };
    let url = plain("https://example.com/campaigns/blob/main/send.py");
    let full = leaked("github", Some(url), LeakResponse::Revoke);
    let unreadable = leaked("self", Some(sealed()), LeakResponse::Revoke);
    vec![
        ("KeyLeaked".to_owned(), Envelope { actor: Actor::Scanner { source: source("github") }, ..full }),
        ("KeyLeaked-minimal".to_owned(), leaked("scan", None, LeakResponse::Suspend)),
        ("KeyLeaked-sealed".to_owned(), Envelope { actor: Actor::Holder { network: None }, ..unreadable }),
    ]
}

fn revoked(reason: RevokeReason) -> Golden {
    let note = match reason {
        RevokeReason::Compromised => Some(plain("Seen in a public repository")),
        RevokeReason::OwnerLeft => Some(sealed()),
        RevokeReason::Other => Some(plain("x")),
        _ => None,
    };
    let event = Event::KeyRevoked(KeyRevoked { reason, note });
    (format!("KeyRevoked-{reason}"), second(&format!("revoke-{reason}"), event))
}

/// By others than operators: of the first level as events, but not as a whole.
fn revoked_otherwise() -> Vec<Golden> {
    let revoked =
        |command_id: &str, reason, note| second(command_id, Event::KeyRevoked(KeyRevoked { reason, note }));
    let burnt = |reason, note, network| Envelope {
        actor: Actor::Holder { network: Some(network) },
        ..revoked("burn-spring", reason, note)
    };
    let rotation = revoked("cancel-spring", RevokeReason::Superseded, None);
    vec![
        ("KeyRevoked-by-holder".to_owned(), burnt(RevokeReason::Requested, None, plain("192.0.2.7"))),
        ("KeyRevoked-by-holder-sealed".to_owned(), burnt(RevokeReason::Leaked, Some(sealed()), sealed())),
        (
            "KeyRevoked-by-policy".to_owned(),
            by_itself(Cause::Policy, revoked("idle-spring", RevokeReason::Unused, None)),
        ),
        ("KeyRevoked-by-rotation".to_owned(), Envelope { cause: Cause::Rotation, ..rotation }),
    ]
}

fn expiry() -> Vec<Golden> {
    let third = |command_id, event| Envelope { revision: Revision::new(3), ..second(command_id, event) };
    let warned = third("warn-spring", Event::ExpiryWarned(ExpiryWarned { expires_at: EXPIRES_AT }));
    let expired = third("expire-spring", Event::KeyExpired(KeyExpired { expires_at: EXPIRES_AT }));
    vec![
        ("ExpiryWarned".to_owned(), by_itself(Cause::Policy, warned)),
        ("KeyExpired".to_owned(), by_itself(Cause::Expiry, expired)),
    ]
}
