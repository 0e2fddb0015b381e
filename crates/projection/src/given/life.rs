//! One event of each type, and the events of a key's whole life.

use domain::{
    Event, ExpiryWarned, KeyExpiryChanged, KeyFirstUsed, KeyId, KeyImported, KeyIssued, KeyLeaked,
    KeyReinstated, KeyRelabelled, KeyRenamed, KeyRescoped, KeyRestricted, KeyRotated, KeySuspended,
    KeyTransferred, LeakResponse, Networks, OwnerErased, Policy, PolicyRemoved, PolicyRules, PolicySet,
    RevokeReason, RotationCancelled, RotationFinished, RotationRule, ScopeSet, Selector, StreamName,
    SuspendReason, TenantClosed, TenantConfigured, Timestamp,
};

use super::{
    NOW, digest, expire, grant, issue, issued, key_id, key_stream, labels, open, owner, recall, revoke,
    tenant, text,
};

pub(crate) fn import(n: u64) -> Event {
    let imported = KeyImported { digest: digest(n), grant: grant(n), issuer: Some(key_id(2)) };
    Event::KeyImported(Box::new(imported))
}

pub(crate) fn rename(name: &str) -> Event {
    Event::KeyRenamed(KeyRenamed { name: Some(text(name)) })
}

pub(crate) fn relabel(texts: &[&str]) -> Event {
    Event::KeyRelabelled(KeyRelabelled { labels: labels(texts) })
}

pub(crate) fn transfer(n: u64) -> Event {
    Event::KeyTransferred(KeyTransferred { owner: owner(n) })
}

pub(crate) fn rescope(scopes: &[&str]) -> Event {
    Event::KeyRescoped(KeyRescoped { scopes: ScopeSet::parse(scopes).unwrap() })
}

pub(crate) fn restrict(networks: &[&str]) -> Event {
    Event::KeyRestricted(KeyRestricted { networks: Networks::parse(networks).unwrap() })
}

pub(crate) fn move_expiry(expires_at: Option<Timestamp>) -> Event {
    Event::KeyExpiryChanged(KeyExpiryChanged { expires_at })
}

pub(crate) fn suspend(until: Option<Timestamp>) -> Event {
    let note = Some(text("looked into"));
    Event::KeySuspended(KeySuspended { reason: SuspendReason::Investigating, note, until })
}

pub(crate) fn reinstate() -> Event {
    Event::KeyReinstated(KeyReinstated { note: None })
}

pub(crate) fn rotate(successor: KeyId) -> Event {
    Event::KeyRotated(KeyRotated { successor, rule: RotationRule::DEFAULT })
}

/// The issue of the successor of key `predecessor`, which has the grants of key `n`.
pub(crate) fn succeed(n: u64, predecessor: KeyId) -> Event {
    Event::KeyIssued(Box::new(KeyIssued { predecessor: Some(predecessor), ..issued(n) }))
}

pub(crate) fn first_use(after_ms: u64) -> Event {
    Event::KeyFirstUsed(KeyFirstUsed { first_used_at: NOW.plus_millis(after_ms) })
}

pub(crate) fn finish(successor: KeyId) -> Event {
    Event::RotationFinished(RotationFinished { successor, forced: false })
}

pub(crate) fn cancel(successor: KeyId) -> Event {
    Event::RotationCancelled(RotationCancelled { successor })
}

pub(crate) fn leak(response: LeakResponse) -> Event {
    let url = Some(text("https://git.example/lists/blob/main/send.py"));
    Event::KeyLeaked(KeyLeaked { source: "github".parse().unwrap(), url, response })
}

pub(crate) fn warn(expires_at: Timestamp) -> Event {
    Event::ExpiryWarned(ExpiryWarned { expires_at })
}

pub(crate) fn configure(name: &str) -> Event {
    let prefix = "letters".parse().unwrap();
    let leak_response = LeakResponse::Suspend;
    Event::TenantConfigured(TenantConfigured { name: Some(text(name)), prefix, leak_response })
}

pub(crate) fn close() -> Event {
    Event::TenantClosed(TenantClosed { note: Some(text("moved away")) })
}

pub(crate) fn policy_set() -> Event {
    let rules = PolicyRules { rotate_after_ms: Some(86_400_000), ..PolicyRules::default() };
    let policy = Policy::new("old-keys".parse().unwrap(), Selector::ALL, rules).unwrap();
    Event::PolicySet(Box::new(PolicySet { policy }))
}

/// One event of each type, in the stream where it belongs.
pub(crate) fn one_of_each() -> Vec<(StreamName, Event)> {
    let (key, acme) = (key_stream("acme", 1), StreamName::Tenant(tenant("acme")));
    let of_tenant = [
        open(),
        configure("Acme Letters"),
        recall(Selector::ALL),
        policy_set(),
        Event::PolicyRemoved(PolicyRemoved { name: "old-keys".parse().unwrap() }),
        Event::OwnerErased(OwnerErased { owner: owner(7).tag, generation: 1 }),
        close(),
    ];
    let of_key = [
        issue(1),
        import(1),
        rename("Newsletter sender"),
        relabel(&["service=mailer-9"]),
        transfer(7),
        rescope(&["lists:read"]),
        restrict(&["192.0.2.0/24"]),
        move_expiry(Some(NOW.plus_millis(5))),
        suspend(None),
        reinstate(),
        rotate(key_id(2)),
        first_use(1),
        finish(key_id(2)),
        cancel(key_id(2)),
        leak(LeakResponse::Revoke),
        revoke(RevokeReason::Other),
        warn(NOW),
        expire(1),
    ];
    let of_tenant = of_tenant.into_iter().map(|event| (acme.clone(), event));
    of_tenant.chain(of_key.into_iter().map(|event| (key.clone(), event))).collect()
}
