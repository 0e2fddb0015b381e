//! The stored bytes of every event: written as they were, and read back to the same event.

mod changes;
mod keys;
mod rotations;
mod tenants;

use std::fs;
use std::path::Path;

use domain::{
    Actor, Cause, Envelope, Event, Label, Labels, LeakSource, Networks, Owner, OwnerTag, Personal,
    PersonalText, RequestTag, Revision, ScopeSet, SecretDigest, StreamName, Timestamp,
};

use crate::files;

/// When all of it happens: 2026-11-23T12:00:00.123Z.
const AT: Timestamp = Timestamp::from_millis(1_795_435_200_123);
/// 2027-05-24T12:00:00Z.
const EXPIRES_AT: Timestamp = Timestamp::from_millis(1_811_160_000_000);
const OPERATOR: &str = "01JDA6Z0000000000000000001";
const KEY: &str = "acme.01JDA7W5W6M4Q0T3S8V2N9X1YZ";
const TENANT: &str = "acme._tenant";
/// The other key of a rotation.
const OTHER: &str = "01JDA8000000000000000000ZZ";
/// 2026-11-30T00:53:20Z.
const UNTIL: Timestamp = Timestamp::from_millis(1_796_000_000_000);
const DAY_MS: u64 = 24 * 60 * 60 * 1000;
const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// A golden event: its file below `tests/golden/v1` and what its bytes mean.
pub(crate) type Golden = (String, Envelope);

/// Every golden event.
pub(crate) fn golden() -> Vec<Golden> {
    [tenants::golden(), keys::golden(), changes::golden(), rotations::golden()].concat()
}

/// The event of one file.
pub(crate) fn named(name: &str) -> Envelope {
    let found = golden().into_iter().find(|(event, _)| event == name);
    found.unwrap_or_else(|| panic!("no golden event {name}")).1
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

/// With all that an envelope can have.
fn traced(envelope: Envelope) -> Envelope {
    Envelope { actor: operator(Some(plain("192.0.2.7"))), trace_context: Some(TRACE.into()), ..envelope }
}

/// By the service itself, for this reason.
fn by_itself(cause: Cause, envelope: Envelope) -> Envelope {
    Envelope { actor: Actor::System, cause, ..envelope }
}

fn operator(network: Option<Personal>) -> Actor {
    Actor::Operator { key_id: OPERATOR.parse().unwrap(), network }
}

fn source(text: &str) -> LeakSource {
    text.parse().unwrap()
}

fn plain(text: &str) -> Personal {
    Personal::Plain(PersonalText::note(text).unwrap())
}

/// Bytes that are no UTF-8.
fn sealed() -> Personal {
    Personal::Sealed(vec![0xff, 0x00, 0x80, 0xc3, 0x28])
}

fn owner(name: Personal) -> Owner {
    Owner { tag: OwnerTag::from_bytes(std::array::from_fn(|at| 0xf0 + u8::try_from(at).unwrap())), name }
}

fn digest() -> SecretDigest {
    SecretDigest::from_bytes(std::array::from_fn(|at| 0x20 + u8::try_from(at).unwrap()))
}

fn scopes() -> ScopeSet {
    ScopeSet::parse(["campaigns:send", "lists:*"]).unwrap()
}

fn labels() -> Labels {
    Labels::new(vec![Label::new("team", "lists/eu").unwrap(), Label::new("service", "mailer").unwrap()])
        .unwrap()
}

fn networks() -> Networks {
    Networks::parse(["2001:db8::/32", "192.0.2.0/24"]).unwrap()
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
    let messages = payloads.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("//"));
    let messages: Vec<&str> = messages.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(messages.len() >= 24, "{messages:?}");
    let golden = golden();
    for message in &messages {
        let meant = golden.iter().any(|(_, envelope)| envelope.event.name() == *message);
        assert!(meant, "write tests/golden/v1/{message}.hex and add it to golden()");
    }
    for event in Event::NAMES {
        assert!(messages.contains(event), "{event} is not in the format of stored events");
    }
    let mut named: Vec<String> = golden.iter().map(|(name, _)| format!("v1/{name}.hex")).collect();
    named.sort();
    assert_eq!(named, files::names("v1/"), "every file of tests/golden/v1 is read by these tests");
    for cause in Cause::ALL {
        assert!(golden.iter().any(|(_, envelope)| envelope.cause == cause), "no golden event with {cause:?}");
    }
}

#[test]
fn what_an_older_reader_knows_it_goes_on_reading() {
    for (name, envelope) in golden() {
        let first = files::text(&format!("v1/{name}.hex")).lines().next().unwrap_or_default().to_owned();
        let known = ["TenantOpened", "KeyIssued", "KeyExpired"].contains(&envelope.event.name())
            || (name.starts_with("KeyRevoked-") && !name.starts_with("KeyRevoked-by-"));
        let level = match envelope.event.name() {
            "OwnerErased" => "0803 ",
            _ if known => "0801 ",
            _ => "0802 ",
        };
        assert!(first.starts_with(level), "{name}: {first}");
    }
}
