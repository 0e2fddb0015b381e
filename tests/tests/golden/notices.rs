//! The text of every notice, as consumers parse it.

use domain::{Envelope, Event, KeyId, LogId, Personal, Position, StreamName};
use serde_json::Value;
use wire::{Heard, Notice, NoticeKind, NoticeSelector};

use crate::{events, files};

/// File, event, position, position of the tenant's notice before it.
const NOTICES: [(&str, &str, u64, u64); 26] = [
    ("closed", "TenantClosed", 44, 43),
    ("expired", "KeyExpired", 43, 42),
    ("expiring", "ExpiryWarned", 44, 43),
    ("expiry_changed-never", "KeyExpiryChanged-never", 44, 43),
    ("expiry_changed", "KeyExpiryChanged", 44, 43),
    ("issued-imported", "KeyImported", 44, 43),
    ("issued-sealed", "KeyIssued-sealed", 42, 0),
    ("issued", "KeyIssued", 42, 0),
    ("recalled-all", "KeysRecalled-compromised", 44, 43),
    ("recalled-sealed", "KeysRecalled-sealed", 44, 43),
    ("recalled", "KeysRecalled", 44, 43),
    ("reinstated", "KeyReinstated", 44, 43),
    ("relabelled-to-none", "KeyRelabelled-minimal", 44, 43),
    ("relabelled", "KeyRelabelled", 44, 43),
    ("rescoped-to-nothing", "KeyRescoped-minimal", 44, 43),
    ("rescoped", "KeyRescoped", 44, 43),
    ("restricted-to-anywhere", "KeyRestricted-minimal", 44, 43),
    ("restricted", "KeyRestricted", 44, 43),
    ("revoked-leaked", "KeyLeaked", 44, 43),
    ("revoked-superseded", "RotationFinished", 44, 43),
    // Above 2^53: a consumer that reads numbers as doubles takes the position from `id`.
    ("revoked", "KeyRevoked-compromised", 9_007_199_254_740_993, 42),
    ("rotated", "KeyRotated-by_hand", 44, 43),
    ("suspended-leaked", "KeyLeaked-minimal", 44, 43),
    ("suspended", "KeySuspended", 44, 43),
    ("transferred-sealed", "KeyTransferred-sealed", 44, 43),
    ("transferred", "KeyTransferred", 44, 43),
];

fn log_id() -> LogId {
    "01JDA5R0000000000000000000".parse().unwrap()
}

#[test]
fn every_notice_is_written_as_it_always_was() {
    let files: Vec<String> = NOTICES.iter().map(|(file, ..)| format!("notices/{file}.json")).collect();
    assert_eq!(files, files::names("notices/"), "every golden notice is read by this test");
    for (file, event_name, position, previous) in NOTICES {
        let notice =
            wire::notice_of(&events::named(event_name), Position::new(position), Position::new(previous));
        let text = notice.expect("the event has a notice").to_cloud_event(log_id());
        assert_eq!(format!("{text}\n"), files::text(&format!("notices/{file}.json")), "{file}");
    }
}

#[test]
fn every_kind_of_notice_has_its_golden_text() {
    for kind in NoticeKind::ALL {
        let of_kind = |event: &str| NoticeKind::of(&events::named(event)) == Some(kind);
        assert!(NOTICES.iter().any(|(_, event, ..)| of_kind(event)), "write a golden notice of kind {kind}");
    }
}

#[test]
fn an_event_that_changes_nobodys_passing_has_no_notice() {
    const SILENT: [&str; 8] = [
        "TenantOpened",
        "TenantConfigured",
        "PolicySet",
        "PolicyRemoved",
        "OwnerErased",
        "KeyRenamed",
        "KeyFirstUsed",
        "RotationCancelled",
    ];
    for (name, envelope) in events::golden() {
        let notice = wire::notice_of(&envelope, Position::new(1), Position::NONE);
        assert_eq!(notice.is_none(), SILENT.contains(&envelope.event.name()), "{name}");
    }
}

#[test]
fn an_event_in_a_stream_where_it_means_nothing_has_no_notice() {
    for (name, envelope) in events::golden() {
        let tenant = envelope.stream.tenant().clone();
        let elsewhere = match envelope.stream {
            StreamName::Key(..) => StreamName::Tenant(tenant),
            StreamName::Tenant(_) => StreamName::Key(tenant, KeyId::from_u128(1)),
        };
        let envelope = Envelope { stream: elsewhere, ..envelope };
        assert_eq!(wire::notice_of(&envelope, Position::new(1), Position::NONE), None, "{name}");
    }
}

#[test]
fn what_a_consumer_parses_is_what_was_announced() {
    for (file, event_name, position, previous) in NOTICES {
        let notice =
            wire::notice_of(&events::named(event_name), Position::new(position), Position::new(previous));
        let heard = Heard::parse(files::text(&format!("notices/{file}.json")).as_bytes()).unwrap();
        let Heard { log_id: _, tenant, key_id, kind, data } = heard;
        let heard = kind.map(|kind| Notice { tenant, key_id, kind, data });
        assert_eq!(heard, notice, "{file}");
    }
}

#[test]
fn a_recall_is_compared_as_it_was_announced() {
    for (file, event_name, ..) in NOTICES {
        let heard = Heard::parse(files::text(&format!("notices/{file}.json")).as_bytes()).unwrap();
        if let Event::KeysRecalled(mut recalled) = events::named(event_name).event {
            // The owner's name is for people.
            if let Some(owner) = &mut recalled.selector.owner {
                owner.name = Personal::Sealed(Vec::new());
            }
            assert_eq!(heard.data.selector.unwrap().parse(), Ok(recalled.selector), "{file}");
        } else {
            assert_eq!(heard.data.selector, None, "{file}");
        }
    }
    let nothing = NoticeSelector::default();
    assert!(nothing.parse().is_err(), "to mean all keys one has to say so");
    assert!(NoticeSelector { all: Some(true), owner_tag: Some("00".repeat(16)), ..nothing }.parse().is_err());
}

#[test]
fn a_notice_of_a_later_version_is_heard_and_one_that_is_none_is_not() {
    let text = files::text(&format!("notices/{}.json", NOTICES[0].0));
    let later = text.replace("rescind.key.", "rescind.campaign.");
    assert_eq!(Heard::parse(later.as_bytes()).unwrap().kind, None);
    for (from, to) in [("/logs/", "/log/"), ("\"subject\":\"", "\"subject\":\"A/"), ("\"data\"", "\"date\"")]
    {
        assert!(Heard::parse(text.replacen(from, to, 1).as_bytes()).is_err(), "{from}");
    }
}

#[test]
fn every_notice_is_a_cloud_event() {
    for (file, ..) in NOTICES {
        let parsed: Value = serde_json::from_str(&files::text(&format!("notices/{file}.json"))).unwrap();
        assert_eq!(broken_rules(&parsed), Vec::<String>::new(), "{file}");
    }
    let broken: Value = serde_json::from_str(
        r#"{"specversion": "1", "id": "", "source": "a b", "time": "noon", "datacontenttype": "text", "Kind": "x", "data": 1}"#,
    )
    .unwrap();
    assert_eq!(broken_rules(&broken).len(), 8, "{:?}", broken_rules(&broken));
}

/// CloudEvents 1.0, sections "Context Attributes" and "Type System", and the JSON format for structured mode.
fn broken_rules(event: &Value) -> Vec<String> {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let attributes = event.as_object().into_iter().flatten();
    let mut broken: Vec<String> = attributes
        .filter(|(name, _)| !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()))
        .map(|(name, _)| format!("the name {name} is not of a-z and 0-9"))
        .collect();
    let mut rule = |holds: bool, what: &str| {
        if !holds {
            broken.push(what.to_owned());
        }
    };
    rule(text("specversion") == "1.0", "specversion is 1.0");
    rule(!text("id").is_empty(), "id is a text that is not empty");
    rule(!text("source").is_empty() && !text("source").contains(' '), "source is a URI-reference");
    rule(!text("type").is_empty(), "type is a text that is not empty");
    rule(wire::parse_rfc3339(text("time")).is_ok(), "time is RFC 3339");
    rule(text("datacontenttype").contains('/'), "datacontenttype is a media type");
    rule(event["data"].is_object(), "our data is an object");
    broken
}
