//! The stored bytes of every event: written as they were, and read back to the same event.

use std::fs;
use std::path::Path;

use domain::{
    Actor, Cause, Envelope, Environment, Event, KeyExpired, KeyIssued, KeyRevoked, Label, Labels, Networks,
    Owner, OwnerTag, Personal, PersonalText, RequestTag, Revision, RevokeReason, ScopeSet, SecretDigest,
    StreamName, TenantOpened, Timestamp,
};

use crate::files;

/// When all of it happens: 2026-11-23T12:00:00.123Z.
const AT: Timestamp = Timestamp::from_millis(1_795_435_200_123);
/// 2027-05-24T12:00:00Z.
const EXPIRES_AT: Timestamp = Timestamp::from_millis(1_811_160_000_000);
const OPERATOR: &str = "01JDA6Z0000000000000000001";
const KEY: &str = "acme.01JDA7W5W6M4Q0T3S8V2N9X1YZ";
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Every golden event: its file below `tests/golden/v1` and what its bytes mean.
pub(crate) fn golden() -> Vec<(String, Envelope)> {
    let mut golden = tenants_opened();
    golden.extend(keys_issued());
    golden.extend(RevokeReason::ALL.map(key_revoked));
    let expired = Event::KeyExpired(KeyExpired { expires_at: EXPIRES_AT });
    golden.push((
        "KeyExpired".to_owned(),
        Envelope {
            revision: Revision::new(3),
            actor: Actor::System,
            cause: Cause::Expiry,
            ..envelope(KEY, "expire-spring", expired)
        },
    ));
    golden
}

/// What most of them share: an operator's command, without network and trace.
fn envelope(stream: &str, command_id: &str, event: Event) -> Envelope {
    Envelope {
        event_id: "01JDA7W5W7ABCDEFGHJKMNPQRS".parse().unwrap(),
        stream: stream.parse().unwrap(),
        revision: Revision::new(1),
        occurred_at: AT,
        actor: operator(None),
        command_id: command_id.parse().unwrap(),
        request_tag: RequestTag::from_bytes(std::array::from_fn(|at| u8::try_from(at).unwrap())),
        cause: Cause::Command,
        trace_context: None,
        event,
    }
}

fn operator(network: Option<Personal>) -> Actor {
    Actor::Operator { key_id: OPERATOR.parse().unwrap(), network }
}

fn plain(text: &str) -> Personal {
    Personal::Plain(PersonalText::note(text).unwrap())
}

/// Bytes that are no UTF-8.
fn sealed() -> Personal {
    Personal::Sealed(vec![0xff, 0x00, 0x80, 0xc3, 0x28])
}

fn tenants_opened() -> Vec<(String, Envelope)> {
    let opened =
        |name, prefix: &str| Event::TenantOpened(TenantOpened { name, prefix: prefix.parse().unwrap() });
    let named = Envelope {
        actor: operator(Some(plain("192.0.2.7"))),
        trace_context: Some(TRACE.into()),
        ..envelope("acme._tenant", "open-acme", opened(Some(plain("Acme Newsletters, München")), "mail"))
    };
    let first = Envelope {
        actor: Actor::System,
        cause: Cause::Bootstrap,
        ..envelope("rescind._tenant", "bootstrap", opened(None, "rsk"))
    };
    let unreadable = Envelope {
        actor: operator(Some(sealed())),
        ..envelope("acme._tenant", "open-acme", opened(Some(sealed()), "rsk"))
    };
    vec![
        ("TenantOpened".to_owned(), named),
        ("TenantOpened-bootstrap".to_owned(), first),
        ("TenantOpened-sealed".to_owned(), unreadable),
    ]
}

fn keys_issued() -> Vec<(String, Envelope)> {
    let full = KeyIssued {
        prefix: "rsk".parse().unwrap(),
        environment: Environment::Live,
        digest: SecretDigest::from_bytes(std::array::from_fn(|at| 0x20 + u8::try_from(at).unwrap())),
        name: Some(plain("Spring campaign")),
        owner: owner(plain("list-sender")),
        scopes: ScopeSet::parse(["campaigns:send", "lists:*"]).unwrap(),
        labels: Labels::new(vec![
            Label::new("team", "lists/eu").unwrap(),
            Label::new("service", "mailer").unwrap(),
        ])
        .unwrap(),
        networks: Networks::parse(["2001:db8::/32", "192.0.2.0/24"]).unwrap(),
        expires_at: Some(EXPIRES_AT),
        issuer: Some(OPERATOR.parse().unwrap()),
    };
    let minimal = KeyIssued {
        environment: Environment::Test,
        name: None,
        owner: owner(plain("operator")),
        scopes: ScopeSet::default(),
        labels: Labels::default(),
        networks: Networks::default(),
        expires_at: None,
        issuer: None,
        ..full.clone()
    };
    let unreadable = KeyIssued {
        prefix: "mail".parse().unwrap(),
        environment: Environment::Live,
        name: Some(sealed()),
        owner: owner(Personal::Sealed(Vec::new())),
        scopes: ScopeSet::parse(["campaigns:send"]).unwrap(),
        issuer: full.issuer,
        ..minimal.clone()
    };
    let issued =
        |stream: &str, id: &str, issued: KeyIssued| envelope(stream, id, Event::KeyIssued(Box::new(issued)));
    let first = issued("rescind.01JDA7W5W6M4Q0T3S8V2N9X1YZ", "bootstrap", minimal);
    vec![
        (
            "KeyIssued".to_owned(),
            Envelope {
                actor: operator(Some(plain("192.0.2.7"))),
                trace_context: Some(TRACE.into()),
                ..issued(KEY, "spring-campaign", full)
            },
        ),
        ("KeyIssued-minimal".to_owned(), Envelope { actor: Actor::System, cause: Cause::Bootstrap, ..first }),
        (
            "KeyIssued-sealed".to_owned(),
            Envelope { actor: operator(Some(sealed())), ..issued(KEY, "spring-campaign", unreadable) },
        ),
    ]
}

fn owner(name: Personal) -> Owner {
    Owner { tag: OwnerTag::from_bytes(std::array::from_fn(|at| 0xf0 + u8::try_from(at).unwrap())), name }
}

fn key_revoked(reason: RevokeReason) -> (String, Envelope) {
    let note = match reason {
        RevokeReason::Compromised => Some(plain("Seen in a public repository")),
        RevokeReason::OwnerLeft => Some(sealed()),
        RevokeReason::Other => Some(plain("x")),
        _ => None,
    };
    let event = Event::KeyRevoked(KeyRevoked { reason, note });
    let envelope =
        Envelope { revision: Revision::new(2), ..envelope(KEY, &format!("revoke-{reason}"), event) };
    (format!("KeyRevoked-{reason}"), envelope)
}

#[test]
fn every_event_is_written_as_it_always_was() {
    for (name, envelope) in golden() {
        let golden = files::bytes(&format!("v1/{name}.hex"));
        assert_eq!(files::hex(&wire::encode(&envelope)), files::hex(&golden), "{name} is written otherwise");
    }
}

#[test]
fn every_stored_event_is_read_as_it_was_meant() {
    for (name, envelope) in golden() {
        let golden = files::bytes(&format!("v1/{name}.hex"));
        assert_eq!(
            wire::decode(&envelope.stream, &golden).as_ref(),
            Ok(&envelope),
            "{name} is read otherwise"
        );
    }
}

#[test]
fn an_event_cut_off_anywhere_is_never_read_as_another() {
    for (name, envelope) in golden() {
        let golden = files::bytes(&format!("v1/{name}.hex"));
        for end in 0..golden.len() {
            let read = wire::decode(&envelope.stream, &golden[..end]);
            assert!(read.is_err(), "{name} cut to {end} bytes is read as {read:?}");
        }
    }
}

#[test]
fn an_event_is_read_in_no_stream_but_its_own() {
    let other: StreamName = "other.01JDA7W5W6M4Q0T3S8V2N9X1YZ".parse().unwrap();
    for (name, _) in golden() {
        let golden = files::bytes(&format!("v1/{name}.hex"));
        assert_eq!(wire::decode(&other, &golden), Err(wire::Unreadable::WrongStream), "{name}");
    }
}

#[test]
fn every_event_of_the_format_has_its_golden_bytes() {
    let proto = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/rescind/v1/event.proto");
    let proto = fs::read_to_string(proto).expect("the format of stored events is there");
    let payloads = proto.split_once("oneof payload {").expect("the envelope has a payload").1;
    let payloads = payloads.split_once('}').expect("the payload ends").0;
    let messages: Vec<&str> = payloads.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(messages.len() >= 4, "{messages:?}");
    let golden = golden();
    for message in messages {
        let meant = golden.iter().any(|(_, envelope)| envelope.event.name() == message);
        assert!(meant, "write tests/golden/v1/{message}.hex and add it to golden()");
    }
    let mut named: Vec<String> = golden.iter().map(|(name, _)| format!("v1/{name}.hex")).collect();
    named.sort();
    assert_eq!(named, files::names("v1/"), "every file of tests/golden/v1 is read by these tests");
    for cause in [Cause::Bootstrap, Cause::Command, Cause::Expiry] {
        assert!(golden.iter().any(|(_, envelope)| envelope.cause == cause), "no golden event with {cause:?}");
    }
}
