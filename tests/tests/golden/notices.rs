//! The text of every notice, as consumers parse it.

use domain::{Envelope, LogId, Position};
use serde_json::Value;

use crate::{events, files};

/// File, event, position, position of the tenant's notice before it.
const NOTICES: [(&str, &str, u64, u64); 4] = [
    ("expired", "KeyExpired", 43, 42),
    ("issued-sealed", "KeyIssued-sealed", 42, 0),
    ("issued", "KeyIssued", 42, 0),
    // Above 2^53: a consumer that reads numbers as doubles takes the position from `id`.
    ("revoked", "KeyRevoked-compromised", 9_007_199_254_740_993, 42),
];

fn log_id() -> LogId {
    "01JDA5R0000000000000000000".parse().unwrap()
}

fn event(name: &str) -> Envelope {
    let found = events::golden().into_iter().find(|(event, _)| event == name);
    found.unwrap_or_else(|| panic!("no golden event {name}")).1
}

#[test]
fn every_notice_is_written_as_it_always_was() {
    let files: Vec<String> = NOTICES.iter().map(|(file, ..)| format!("notices/{file}.json")).collect();
    assert_eq!(files, files::names("notices/"), "every golden notice is read by this test");
    for (file, event_name, position, previous) in NOTICES {
        let notice = wire::notice_of(&event(event_name), Position::new(position), Position::new(previous));
        let text = notice.expect("the event has a notice").to_cloud_event(log_id());
        assert_eq!(format!("{text}\n"), files::text(&format!("notices/{file}.json")), "{file}");
    }
}

#[test]
fn an_event_that_changes_nobodys_passing_has_no_notice() {
    for (name, envelope) in events::golden() {
        let notice = wire::notice_of(&envelope, Position::new(1), Position::NONE);
        assert_eq!(notice.is_none(), name.starts_with("TenantOpened"), "{name}");
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
