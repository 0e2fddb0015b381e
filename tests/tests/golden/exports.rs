//! What auditors read of every event: the `data` of its export.

use domain::{Event, Position};
use serde_json::{Value, json};

use crate::events;

const TAG: &str = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff";
const OPERATOR: &str = "01JDA6Z0000000000000000001";
const OTHER: &str = "01JDA8000000000000000000ZZ";
const EXPIRES_AT: &str = "2027-05-24T12:00:00.000Z";
const DAY_MS: u64 = 86_400_000;

fn expected() -> Vec<(&'static str, Value)> {
    [of_tenants(), of_beginning_and_end(), of_changes(), of_rotations()].concat()
}

fn every_part() -> Value {
    json!({
        "owner": "list-sender", "owner_tag": TAG, "label": "service=mailer", "scope": "campaigns:send",
        "issuer": OPERATOR, "environment": "live",
    })
}

fn of_tenants() -> Vec<(&'static str, Value)> {
    let sealed = json!({"sealed": true});
    let name = "Acme Newsletters, München";
    vec![
        ("TenantOpened", json!({"name": name, "prefix": "mail"})),
        ("TenantConfigured", json!({"name": name, "prefix": "mail", "leak_response": "suspend"})),
        ("TenantConfigured-minimal", json!({"prefix": "rsk", "leak_response": "revoke"})),
        ("TenantClosed", json!({"note": "Moved to another sender"})),
        ("KeysRecalled", json!({"selector": every_part(), "reason": "owner_left", "note": "Left in spring"})),
        ("KeysRecalled-compromised", json!({"selector": {"all": true}, "reason": "compromised"})),
        (
            "KeysRecalled-sealed",
            json!({"selector": {"owner": sealed, "owner_tag": TAG}, "reason": "owner_left", "note": sealed}),
        ),
        (
            "PolicySet",
            json!({"name": "senders", "selector": every_part(), "rules": {
                "default_lifetime_ms": 90 * DAY_MS, "longest_lifetime_ms": 365 * DAY_MS,
                "rotate_after_ms": 180 * DAY_MS, "suspend_idle_after_ms": 30 * DAY_MS,
                "revoke_idle_after_ms": 60 * DAY_MS, "warn_before_expiry_ms": [DAY_MS, 7 * DAY_MS],
                "scopes_allowed": ["campaigns:send", "lists:*"], "scopes_denied": ["lists:delete"],
                "networks_required": true, "networks_allowed": ["192.0.2.0/24", "2001:db8::/32"],
            }}),
        ),
        (
            "PolicySet-minimal",
            json!({"name": "age", "selector": {"all": true}, "rules": {"rotate_after_ms": 180 * DAY_MS}}),
        ),
        ("PolicyRemoved", json!({"name": "senders"})),
        ("OwnerErased", json!({"owner_tag": TAG, "generation": 2})),
    ]
}

/// With what comes with a key.
fn granted(mut data: Value) -> Value {
    let grant = json!({
        "name": "Spring campaign", "owner": "list-sender", "owner_tag": TAG, "environment": "live",
        "scopes": ["campaigns:send", "lists:*"], "labels": {"service": "mailer", "team": "lists/eu"},
        "networks": ["192.0.2.0/24", "2001:db8::/32"], "expires_at": EXPIRES_AT, "issued_by": OPERATOR,
    });
    let members = grant.as_object().cloned().unwrap_or_default();
    members.into_iter().for_each(|(name, value)| data[name] = value);
    data
}

fn of_beginning_and_end() -> Vec<(&'static str, Value)> {
    let successor = json!({
        "prefix": "rsk", "owner": "list-sender", "owner_tag": TAG, "environment": "live",
        "scopes": ["campaigns:send"], "labels": {}, "networks": [], "issued_by": OPERATOR,
        "predecessor": OTHER,
    });
    let url = "https://example.com/campaigns/blob/main/send.py";
    vec![
        ("KeyIssued", granted(json!({"prefix": "rsk"}))),
        ("KeyIssued-successor", successor),
        ("KeyImported", granted(json!({}))),
        ("KeyLeaked", json!({"source": "github", "url": url, "response": "revoke"})),
        ("KeyLeaked-minimal", json!({"source": "scan", "response": "suspend"})),
        ("KeyRevoked-compromised", json!({"reason": "compromised", "note": "Seen in a public repository"})),
        ("ExpiryWarned", json!({"expires_at": EXPIRES_AT})),
        ("KeyExpired", json!({"expires_at": EXPIRES_AT})),
    ]
}

fn of_changes() -> Vec<(&'static str, Value)> {
    let until = "2026-11-30T00:53:20.000Z";
    vec![
        ("KeyRenamed", json!({"name": "Autumn campaign"})),
        ("KeyRenamed-minimal", json!({})),
        ("KeyRelabelled", json!({"labels": {"service": "mailer", "team": "lists/eu"}})),
        ("KeyTransferred", json!({"owner": "list-sender", "owner_tag": TAG})),
        ("KeyTransferred-sealed", json!({"owner": {"sealed": true}, "owner_tag": TAG})),
        ("KeyRescoped", json!({"scopes": ["campaigns:send", "lists:*"]})),
        ("KeyRestricted", json!({"networks": ["192.0.2.0/24", "2001:db8::/32"]})),
        ("KeyExpiryChanged", json!({"expires_at": EXPIRES_AT})),
        ("KeyExpiryChanged-never", json!({})),
        ("KeySuspended", json!({"reason": "investigating", "note": "Asked the list owner", "until": until})),
        ("KeyReinstated", json!({"note": "It was the list owner"})),
    ]
}

fn of_rotations() -> Vec<(&'static str, Value)> {
    let at = json!({"kind": "at", "at": "2026-11-30T00:53:20.000Z"});
    let on_evidence = json!({"kind": "on_evidence", "quiet_ms": DAY_MS, "look_back_ms": 30 * DAY_MS});
    vec![
        ("KeyRotated-at", json!({"successor": OTHER, "rule": at})),
        ("KeyRotated-on_evidence", json!({"successor": OTHER, "rule": on_evidence})),
        ("KeyRotated-by_hand", json!({"successor": OTHER, "rule": {"kind": "by_hand"}})),
        ("KeyFirstUsed", json!({"first_used_at": "2026-11-23T12:00:00.123Z"})),
        ("RotationFinished", json!({"successor": OTHER, "forced": false})),
        ("RotationFinished-forced", json!({"successor": OTHER, "forced": true})),
        ("RotationCancelled", json!({"successor": OTHER})),
    ]
}

#[test]
fn every_field_of_every_event_is_exported() {
    let expected = expected();
    for (name, data) in &expected {
        let exported = wire::export(&events::named(name), Position::new(7));
        assert_eq!(exported["data"], *data, "{name}");
        let mut line = Vec::new();
        wire::export_into(&events::named(name), Position::new(7), &mut line);
        assert_eq!(String::from_utf8_lossy(&line), exported.to_string(), "{name}");
    }
    for event in Event::NAMES {
        let told = expected.iter().any(|(name, _)| name.split('-').next() == Some(event));
        assert!(told, "write down what is exported of {event}");
    }
}

#[test]
fn who_asked_and_why_is_exported() {
    let of = |name: &str| wire::export(&events::named(name), Position::new(7));
    assert_eq!(
        of("KeyRevoked-by-holder"),
        json!({
            "position": 7, "event_id": "01JDA7W5W7ABCDEFGHJKMNPQRS", "type": "KeyRevoked", "tenant": "acme",
            "key_id": "01JDA7W5W6M4Q0T3S8V2N9X1YZ", "revision": 2, "occurred_at": "2026-11-23T12:00:00.123Z",
            "actor": {"kind": "holder", "network": "192.0.2.7"}, "command_id": "burn-spring",
            "cause": "command", "data": {"reason": "requested"},
        })
    );
    assert_eq!(of("KeyRevoked-by-holder-sealed")["actor"]["network"], json!({"sealed": true}));
    assert_eq!(of("KeyLeaked")["actor"], json!({"kind": "scanner", "source": "github"}));
    assert_eq!(of("KeyLeaked-sealed")["actor"], json!({"kind": "holder"}));
    let operator = json!({"kind": "operator", "key_id": OPERATOR, "network": "192.0.2.7"});
    assert_eq!(of("KeysRecalled")["actor"], operator);
    assert_eq!(of("KeysRecalled").get("key_id"), None);
    assert_eq!(
        of("KeysRecalled")["trace_context"],
        "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    );
    assert_eq!(of("KeysRecalled-cascade")["cause"], "cascade");
    assert_eq!(of("KeysRecalled-cascade")["actor"], json!({"kind": "system"}));
}
