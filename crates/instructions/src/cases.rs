//! What is counted: verifying, deciding, and events to bytes and back.

use std::hint::black_box;
use std::time::Duration;

use domain::{
    Actor, Cause, Envelope, Environment, Event, Grant, IssueKey, Key, KeyId, KeyIssued, Label, Labels,
    Networks, Owner, OwnerTag, Personal, PersonalText, PlainSecret, Position, Prefix, RequestTag, Revision,
    RevokeKey, RevokeReason, ScopeSet, StreamName, Tenant, TenantId, Timestamp, digest_key, format_key,
};
use verify::{KeyIndex, Moment, Verdict, VerifyRequest, new_index};

/// Keys of the index that is verified against: enough for its table to have collisions.
const KEYS: u32 = 1_000;
const NOW: Timestamp = Timestamp::from_millis(1_795_435_200_123);
const MOMENT: Moment = Moment { now: NOW, boot_ms: 7_000 };

/// One thing that is counted.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    /// Makes ready, then does it so many times.
    run: fn(u64),
}

pub(crate) const CASES: [Case; 7] = [
    Case { name: "verify-valid", run: |times| verify(times, key_id(7), Verdict::Valid) },
    Case { name: "verify-unknown", run: |times| verify(times, key_id(KEYS + 7), Verdict::Unknown) },
    Case { name: "decide-issue", run: decide_issue },
    Case { name: "decide-revoke", run: decide_revoke },
    Case { name: "encode-issued", run: encode },
    Case { name: "decode-issued", run: |times| decode(times, Event::KeyIssued(Box::new(issued(key_id(7))))) },
    Case { name: "decode-revoked", run: |times| decode(times, revoked()) },
];

/// Does one case so many times.
pub(crate) fn run(name: &str, times: &str) -> Result<(), String> {
    let case = CASES.iter().find(|case| case.name == name).ok_or_else(|| format!("{name} is no case"))?;
    (case.run)(times.parse().map_err(|_| format!("{times} is no number"))?);
    Ok(())
}

fn tenant() -> TenantId {
    "acme".parse().expect("it is a tenant id")
}

fn key_id(n: u32) -> KeyId {
    KeyId::from_u128(1_790_000_000_000 << 80 | u128::from(n.wrapping_mul(0x9e37_79b9)))
}

fn secret(key_id: KeyId) -> PlainSecret {
    let bytes = key_id.to_bytes();
    let mut at = 0;
    PlainSecret::draw(|drawn| {
        for byte in drawn {
            *byte = bytes[at % bytes.len()].wrapping_mul(31).wrapping_add(at.to_le_bytes()[0]);
            at += 1;
        }
    })
}

fn text(text: &str) -> Personal {
    Personal::Plain(PersonalText::note(text).expect("it is short"))
}

fn grant() -> Grant {
    Grant {
        environment: Environment::Live,
        name: Some(text("Spring campaign")),
        owner: Owner { tag: OwnerTag::from_bytes([7; 16]), name: text("list-sender") },
        scopes: ScopeSet::parse(["campaigns:send", "lists:*"]).expect("they are scopes"),
        labels: Labels::new(vec![Label::new("service", "mailer").expect("it is a label")])
            .expect("it is one"),
        networks: Networks::parse(["192.0.2.0/24"]).expect("it is a network"),
        expires_at: None,
    }
}

fn issued(key_id: KeyId) -> KeyIssued {
    let digest = digest_key(&Prefix::default(), Environment::Live, key_id, &secret(key_id));
    KeyIssued { prefix: Prefix::default(), digest, grant: grant(), issuer: None, predecessor: None }
}

fn revoked() -> Event {
    Event::KeyRevoked(domain::KeyRevoked {
        reason: RevokeReason::Compromised,
        note: Some(text("found in a list")),
    })
}

fn envelope(event: Event) -> Envelope {
    Envelope {
        event_id: domain::EventId::from_u128(9),
        stream: StreamName::Key(tenant(), key_id(7)),
        revision: Revision::new(1),
        occurred_at: NOW,
        actor: Actor::Operator { key_id: key_id(1), network: Some(text("192.0.2.7")) },
        command_id: "spring-campaign".parse().expect("it is a command id"),
        request_tag: RequestTag::from_bytes([3; 16]),
        cause: Cause::Command,
        trace_context: None,
        event,
    }
}

fn index() -> std::sync::Arc<KeyIndex> {
    let (index, mut writer) = new_index(Duration::from_secs(5));
    let _ = writer.open_tenant(Position::new(1), &tenant());
    for n in 0..KEYS {
        let _ = writer.issue(Position::new(u64::from(n) + 2), &tenant(), key_id(n), &issued(key_id(n)));
    }
    writer.advance(Position::new(u64::from(KEYS) + 1));
    index.prove_fresh(MOMENT.boot_ms);
    index
}

fn verify(times: u64, key_id: KeyId, expected: Verdict) {
    let index = index();
    let token = format_key(&Prefix::default(), Environment::Live, key_id, &secret(key_id));
    let scope = "campaigns:send".parse().expect("it is a scope");
    let network = "192.0.2.7".parse().expect("it is an address");
    for _ in 0..times {
        let token = black_box(token.expose());
        let request = VerifyRequest { token, tenant: None, scope: Some(&scope), network: Some(network) };
        assert_eq!(black_box(index.judge(&request, MOMENT)).verdict, expected);
    }
}

fn decide_issue(times: u64) {
    let tenant = Tenant::opened(tenant(), None, Prefix::default());
    let command = IssueKey { tenant: tenant.id.clone(), grant: grant(), issuer: None };
    let digest = issued(key_id(7)).digest;
    for _ in 0..times {
        assert!(black_box(&command).decide(&tenant, None, digest, NOW).is_ok());
    }
}

fn decide_revoke(times: u64) {
    let key = Key::granted(tenant(), key_id(7), &grant(), None);
    let command = RevokeKey {
        tenant: tenant(),
        key_id: key_id(7),
        reason: RevokeReason::Compromised,
        note: Some(text("found in a list")),
    };
    for _ in 0..times {
        assert!(black_box(&command).decide(&key, false).is_ok());
    }
}

fn encode(times: u64) {
    let envelope = envelope(Event::KeyIssued(Box::new(issued(key_id(7)))));
    for _ in 0..times {
        assert!(!black_box(wire::encode(black_box(&envelope))).is_empty());
    }
}

fn decode(times: u64, event: Event) {
    let envelope = envelope(event);
    let bytes = wire::encode(&envelope);
    for _ in 0..times {
        assert!(wire::decode(&envelope.stream, black_box(&bytes)).is_ok());
    }
}
