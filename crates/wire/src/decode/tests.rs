//! What cannot be read is named, and nothing is read as another event.

use super::*;

fn stream() -> StreamName {
    "acme.01JDA7W5W6M4Q0T3S8V2N9X1YZ".parse().unwrap()
}

fn stored() -> proto::Envelope {
    proto::Envelope {
        min_reader: 1,
        event_id: vec![1; 16],
        tenant: "acme".to_owned(),
        key_id: stream().key_id().unwrap().to_bytes().to_vec(),
        revision: 2,
        occurred_at_ms: 5,
        actor: Some(proto::Actor { kind: Some(proto::actor::Kind::System(proto::actor::System {})) }),
        command_id: "spring".to_owned(),
        request_tag: vec![2; 16],
        cause: proto::Cause::Expiry.into(),
        trace_context: String::new(),
        payload: Some(proto::envelope::Payload::KeyExpired(proto::KeyExpired { expires_at_ms: 4 })),
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
    check(|e| e.min_reader = 3, Unreadable::ReaderLevel { needed: 3 });
    check(|e| e.payload = None, Unreadable::UnknownEvent);
    check(|e| e.tenant = "other".to_owned(), Unreadable::WrongStream);
    check(|e| e.key_id.clear(), Unreadable::WrongStream);
    check(|e| e.cause = 99, field("cause"));
    check(|e| e.actor = None, field("actor"));
    check(|e| e.event_id.truncate(15), field("event_id"));
    check(|e| e.command_id.clear(), field("command_id"));
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
