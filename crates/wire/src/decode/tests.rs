//! What cannot be read is named, and nothing is read as another event.

use domain::Event;

use super::*;
use crate::arbitrary::Source;
use crate::encode::encode;
use crate::proto::envelope::Payload;

fn stream() -> StreamName {
    "acme.01JDA7W5W6M4Q0T3S8V2N9X1YZ".parse().unwrap()
}

fn stored() -> proto::Envelope {
    proto::Envelope {
        min_reader: 1,
        event_id: vec![1; 16].into(),
        tenant: "acme".to_owned(),
        key_id: stream().key_id().unwrap().to_bytes().to_vec().into(),
        revision: 2,
        occurred_at_ms: 5,
        actor: Some(proto::Actor { kind: Some(proto::actor::Kind::System(proto::actor::System {})) }),
        command_id: "spring".to_owned(),
        request_tag: vec![2; 16].into(),
        cause: proto::Cause::Expiry.into(),
        trace_context: String::new(),
        payload: Some(Payload::KeyExpired(proto::KeyExpired { expires_at_ms: 4 })),
    }
}

#[track_caller]
fn check(change: impl FnOnce(&mut proto::Envelope), expected: Unreadable) {
    let mut stored = stored();
    change(&mut stored);
    assert_eq!(decode(&stream(), &stored.encode_to_vec()), Err(expected));
}

#[test]
fn what_cannot_be_read_is_named() {
    assert!(decode(&stream(), &stored().encode_to_vec()).is_ok());
    assert_eq!(decode(&stream(), b"\xff\xff\xff"), Err(Unreadable::NotAnEnvelope));
    check(|e| e.min_reader = 4, Unreadable::ReaderLevel { needed: 4 });
    check(|e| e.payload = None, Unreadable::UnknownEvent);
    check(|e| e.tenant = "other".to_owned(), Unreadable::WrongStream);
    check(|e| e.key_id.clear(), Unreadable::WrongStream);
    check(|e| e.cause = 99, field("cause"));
    check(|e| e.cause = 0, field("cause"));
    check(|e| e.actor = None, field("actor"));
    check(|e| e.event_id.truncate(15), field("event_id"));
    check(|e| e.command_id.clear(), field("command_id"));
    check(|e| e.request_tag = vec![0; 17].into(), field("request_tag"));
}

#[test]
fn an_actor_that_cannot_be_read_is_named() {
    use proto::actor::{Holder, Kind, Operator, Scanner};
    let by = |kind| move |e: &mut proto::Envelope| e.actor = Some(proto::Actor { kind: Some(kind) });
    let empty = || Some(proto::Personal { value: None });
    check(by(Kind::Operator(Operator { key_id: vec![1; 15].into(), network: None })), field("actor.key_id"));
    check(
        by(Kind::Operator(Operator { key_id: vec![1; 16].into(), network: empty() })),
        field("actor.network"),
    );
    check(by(Kind::Holder(Holder { network: empty() })), field("actor.network"));
    check(by(Kind::Scanner(Scanner { source: "git hub".to_owned() })), field("actor.source"));
}

/// What is stored of a drawn event.
fn drawn(name: &str) -> Payload {
    let bytes = encode(&Source::seeded(1).envelope(name));
    proto::Envelope::decode(bytes.as_slice()).unwrap().payload.unwrap()
}

/// Changes one field of an event at a time to what no writer of ours makes.
macro_rules! refused {
    ($($name:ident: $($change:expr => $field:literal),+;)+) => {
        $($({
            let Payload::$name(mut stored) = drawn(stringify!($name)) else {
                panic!("{} is stored as another", stringify!($name))
            };
            let change: fn(&mut proto::$name) = $change;
            change(&mut stored);
            check(|e| e.payload = Some(Payload::$name(stored)), field($field));
        })+)+
    };
}

fn no_text() -> Option<proto::Personal> {
    Some(proto::Personal { value: None })
}

fn control_characters() -> Option<proto::Personal> {
    Some(proto::Personal { value: Some(proto::personal::Value::Plain("a\nb".to_owned())) })
}

#[test]
fn a_field_of_a_tenants_event_that_no_writer_makes_is_named() {
    refused! {
        TenantOpened: |e| e.name = no_text() => "tenant_opened.name",
            |e| e.prefix.clear() => "tenant_opened.prefix";
        TenantConfigured: |e| e.name = control_characters() => "tenant_configured.name",
            |e| e.prefix = "A".to_owned() => "tenant_configured.prefix",
            |e| e.leak_response = 0 => "tenant_configured.leak_response",
            |e| e.leak_response = 3 => "tenant_configured.leak_response";
        TenantClosed: |e| e.note = no_text() => "tenant_closed.note";
        KeysRecalled: |e| e.selector = None => "keys_recalled.selector",
            |e| e.reason = 0 => "keys_recalled.reason",
            |e| e.reason = 10 => "keys_recalled.reason",
            |e| e.note = no_text() => "keys_recalled.note";
        PolicySet: |e| e.name = "Age".to_owned() => "policy_set.name",
            |e| e.selector = None => "policy_set.selector",
            |e| e.scopes_allowed.push("a b".to_owned()) => "policy_set.scopes_allowed",
            |e| e.scopes_denied.push(String::new()) => "policy_set.scopes_denied",
            |e| e.networks_allowed.push("10.0.0.1/8".to_owned()) => "policy_set.networks_allowed",
            // Rules that contradict each other, a span beyond bounds, and none at all.
            |e| (e.suspend_idle_after_ms, e.revoke_idle_after_ms) = (9_000, 8_000) => "policy_set",
            |e| e.rotate_after_ms = 1 => "policy_set",
            |e| e.warn_before_expiry_ms = vec![0] => "policy_set",
            |e| *e = proto::PolicySet {
                name: e.name.clone(), selector: e.selector.clone(), ..proto::PolicySet::default()
            } => "policy_set";
        PolicyRemoved: |e| e.name.clear() => "policy_removed.name";
        OwnerErased: |e| e.owner_tag.truncate(15) => "owner_erased.owner_tag";
    }
}

#[test]
fn a_selector_that_no_writer_makes_is_named() {
    let with = |change: fn(&mut proto::Selector), name| {
        let mut selector = proto::Selector::default();
        change(&mut selector);
        let recalled = proto::KeysRecalled { selector: Some(selector.clone()), reason: 1, note: None };
        check(|e| e.payload = Some(Payload::KeysRecalled(recalled)), field(name));
        let policy = proto::PolicySet {
            name: "age".to_owned(),
            selector: Some(selector),
            rotate_after_ms: 1_000,
            ..proto::PolicySet::default()
        };
        check(|e| e.payload = Some(Payload::PolicySet(policy)), field(name));
    };
    let plain = || Some(proto::Personal { value: Some(proto::personal::Value::Plain("x".to_owned())) });
    // A tag without a name, a name without a tag: neither must be read as any owner.
    with(|s| s.owner_tag = vec![1; 16].into(), "selector.owner");
    with(|s| s.owner_tag = vec![1; 15].into(), "selector.owner_tag");
    let named = proto::Selector { owner: plain(), ..proto::Selector::default() };
    let recalled = proto::KeysRecalled { selector: Some(named), reason: 1, note: None };
    check(|e| e.payload = Some(Payload::KeysRecalled(recalled)), field("selector.owner_tag"));
    with(|s| s.label = Some(proto::Label::default()), "selector.label");
    with(|s| s.scope = "a b".to_owned(), "selector.scope");
    with(|s| s.issuer = vec![1; 17].into(), "selector.issuer");
    with(|s| s.environment = 3, "selector.environment");
}

#[test]
fn a_field_of_a_keys_event_that_no_writer_makes_is_named() {
    refused! {
        KeyIssued: |e| e.prefix.clear() => "key_issued.prefix",
            |e| e.environment = 0 => "key_issued.environment",
            |e| e.digest.truncate(31) => "key_issued.digest",
            |e| e.name = no_text() => "key_issued.name",
            |e| e.owner_tag.clear() => "key_issued.owner_tag",
            |e| e.owner = None => "key_issued.owner",
            |e| e.scopes.push("a b".to_owned()) => "key_issued.scopes",
            |e| e.labels.push(proto::Label::default()) => "key_issued.labels",
            |e| e.networks.push("x".to_owned()) => "key_issued.networks",
            |e| e.issuer = vec![1].into() => "key_issued.issuer",
            |e| e.predecessor = vec![1].into() => "key_issued.predecessor";
        KeyImported: |e| e.environment = 9 => "key_imported.environment",
            |e| e.digest.clear() => "key_imported.digest",
            |e| e.name = no_text() => "key_imported.name",
            |e| e.owner_tag = vec![0; 17].into() => "key_imported.owner_tag",
            |e| e.owner = control_characters() => "key_imported.owner",
            |e| e.scopes.push("a:".to_owned()) => "key_imported.scopes",
            |e| e.labels = vec![proto::Label { name: "a".to_owned(), value: "b".to_owned() }; 2]
                => "key_imported.labels",
            |e| e.networks.push("10.0.0.1/8".to_owned()) => "key_imported.networks",
            |e| e.issuer = vec![1].into() => "key_imported.issuer";
        KeyRenamed: |e| e.name = no_text() => "key_renamed.name";
        KeyRelabelled: |e| e.labels.push(proto::Label::default()) => "key_relabelled.labels";
        KeyTransferred: |e| e.owner_tag.clear() => "key_transferred.owner_tag",
            |e| e.owner = None => "key_transferred.owner";
        KeyRescoped: |e| e.scopes.push("*:a".to_owned()) => "key_rescoped.scopes";
        KeyRestricted: |e| e.networks.push(String::new()) => "key_restricted.networks";
        KeySuspended: |e| e.reason = 0 => "key_suspended.reason",
            |e| e.reason = 7 => "key_suspended.reason",
            |e| e.note = no_text() => "key_suspended.note";
        KeyReinstated: |e| e.note = no_text() => "key_reinstated.note";
        KeyRotated: |e| e.successor.clear() => "key_rotated.successor",
            |e| e.rule = None => "key_rotated.rule";
        RotationFinished: |e| e.successor.clear() => "rotation_finished.successor";
        RotationCancelled: |e| e.successor.clear() => "rotation_cancelled.successor";
        KeyLeaked: |e| e.source.clear() => "key_leaked.source",
            |e| e.url = no_text() => "key_leaked.url",
            |e| e.response = 0 => "key_leaked.response";
        KeyRevoked: |e| e.reason = 0 => "key_revoked.reason",
            |e| e.note = control_characters() => "key_revoked.note";
    }
}

#[test]
fn an_event_type_of_a_later_build_is_unknown_and_not_skipped() {
    let mut bytes = proto::Envelope { payload: None, ..stored() }.encode_to_vec();
    // Field 90, length-delimited, empty: a payload type that does not exist yet.
    bytes.extend([0xd2, 0x05, 0x00]);
    assert_eq!(decode(&stream(), &bytes), Err(Unreadable::UnknownEvent));
}

#[test]
fn a_new_field_in_a_known_event_is_ignored() {
    let mut bytes = stored().encode_to_vec();
    bytes.extend([0xd2, 0x0f, 0x01, 0x00]); // field 250
    assert!(decode(&stream(), &bytes).is_ok());
}

#[test]
fn bytes_of_any_kind_are_read_or_refused() {
    // No input may panic: each event with each of its bytes replaced.
    for name in Event::NAMES {
        let envelope = Source::seeded(2).envelope(name);
        let bytes = encode(&envelope);
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                let _ = decode(&envelope.stream, &changed);
            }
        }
    }
}
