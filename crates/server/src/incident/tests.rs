//! What is concluded from the facts of an incident.

use std::collections::BTreeMap;

use domain::{KeyId, Position, Timestamp};
use projection::usage::{Bucket, KeyUsage, RefusedAs, Requests, SeenService, UnknownSpan, Why};
use serde_json::{Value, json};

use super::*;

/// A day after the beginning of time, so that hours lie before it.
const BEGAN: u64 = 86_400_000;

const fn at(ms: u64) -> Timestamp {
    Timestamp::from_millis(BEGAN + ms)
}

fn event(position: u64, ms: u64, turn: Turn) -> Happened {
    Happened {
        position: Position::new(position),
        at: Some(at(ms)),
        turn,
        shown: json!({"position": position}),
    }
}

/// The receipt of an ending at a moment that was effective after 2 ms.
fn receipt(ms: u64, enforced: Value, outstanding: Value) -> Enforcement {
    let complete = outstanding == json!([]);
    let effective_at = wire::format_rfc3339(at(ms + 2));
    let receipt = json!({
        "effective_at": effective_at, "complete": complete, "late": false, "enforced": enforced,
        "outstanding": outstanding,
    });
    serde_json::from_value(receipt).unwrap()
}

fn verifier(name: &str, by: &str, after_ms: u64) -> Value {
    json!({"kind": "guard", "name": name, "guard_id": null, "by": by, "after_ms": after_ms})
}

fn facts(events: Vec<Happened>) -> Facts {
    Facts {
        events,
        enforcements: BTreeMap::new(),
        usage: KeyUsage::default(),
        unknown: Vec::new(),
        successor: None,
        now: at(60_000),
    }
}

/// Issued, reported as leaked at 0 and so suspended, revoked a second later.
fn leaked() -> Facts {
    let mut facts = facts(vec![
        event(1, 0, Turn::Told),
        event(5, 0, Turn::Ends("leak_report")),
        event(9, 1_000, Turn::Ends("revocation")),
    ]);
    facts.events[0].at = Some(Timestamp::from_millis(0));
    let enforced = json!([verifier("one", "index", 0), verifier("mailer", "report", 7)]);
    facts.enforcements.insert(Position::new(5), receipt(0, enforced, json!([])));
    facts
}

fn unreported(from: u64, to: u64) -> UnknownSpan {
    UnknownSpan { from: at(from), to: at(to), whom: Some("mail-1:8750".into()), why: Why::Silent }
}

#[test]
fn a_key_is_exposed_from_the_report_to_the_last_refusal() {
    let facts = leaked();
    let spans = spans(&facts);
    // It was refused already when it was revoked.
    assert_eq!(spans.len(), 1);
    assert_eq!((spans[0].from.what, spans[0].until.unwrap().position), ("leak_report", Position::new(5)));
    assert_eq!(spans[0].effective, Figure::exact(2));
    assert_eq!(spans[0].enforced, Figure::exact(9));
    assert_eq!(total(&spans), Figure::exact(9));
}

#[test]
fn a_bound_that_has_passed_is_no_exact_figure() {
    let mut facts = leaked();
    let enforced = json!([verifier("one", "index", 0), verifier("mailer", "bound", 5_400)]);
    facts.enforcements.insert(Position::new(5), receipt(0, enforced, json!([])));
    let figure = total(&spans(&facts));
    assert_eq!((figure.ms, figure.exactness), (Some(5_402), Exactness::AtMost));
    // Who said so later than the bound is known to the millisecond.
    let enforced = json!([verifier("one", "bound", 3), verifier("mailer", "report", 8)]);
    facts.enforcements.insert(Position::new(5), receipt(0, enforced, json!([])));
    assert_eq!(total(&spans(&facts)), Figure::exact(10));
}

#[test]
fn what_nobody_can_tell_is_unknown_and_never_a_number() {
    let outstanding = json!([{"kind": "guard", "name": "mailer", "guard_id": "g", "refuses_within_ms": 900}]);
    let waits = receipt(0, json!([verifier("one", "index", 0)]), outstanding);
    let late = Enforcement { late: true, ..receipt(0, json!([verifier("one", "index", 0)]), json!([])) };
    let strangers = Enforcement { complete: false, ..receipt(0, json!([]), json!([])) };
    let unsaid = Enforcement { effective_at: None, ..receipt(0, json!([]), json!([])) };
    let cases = [
        (Some(waits), "accepted by mailer"),
        (Some(late), "has lost since when"),
        (Some(strangers), "not heard of"),
        (Some(unsaid), "when it was effective"),
        (None, "no receipt"),
    ];
    for (enforcement, why) in cases {
        let mut facts = leaked();
        facts.enforcements = enforcement.map(|one| (Position::new(5), one)).into_iter().collect();
        let figure = total(&spans(&facts));
        assert_eq!((figure.ms, figure.exactness), (None, Exactness::Unknown), "{why}");
        assert!(figure.why.unwrap().contains(why), "{why}");
    }
}

#[test]
fn a_reinstatement_opens_a_span_of_its_own() {
    let mut facts = facts(vec![
        event(5, 0, Turn::Ends("suspension")),
        event(6, 100, Turn::Reopens),
        event(7, 300, Turn::Ends("revocation")),
    ]);
    let refused = || json!([verifier("one", "index", 0)]);
    facts.enforcements.insert(Position::new(5), receipt(0, refused(), json!([])));
    let spans_while_open = spans(&Facts { events: facts.events[..2].to_vec(), ..facts.clone() });
    assert_eq!(spans_while_open.last().unwrap().until, None);
    assert_eq!(total(&spans_while_open).ms, None, "it may be used");
    facts.enforcements.insert(Position::new(7), receipt(300, refused(), json!([])));
    let spans = spans(&facts);
    assert_eq!((spans.len(), spans[1].from.what), (2, "reinstatement"));
    assert_eq!((spans[1].enforced.ms, total(&spans)), (Some(202), Figure::exact(204)));
}

#[test]
fn a_key_without_incident_has_a_short_story() {
    let mut facts =
        facts(vec![event(1, 0, Turn::Told), event(2, 5, Turn::Aside), event(3, 9, Turn::Reopens)]);
    (facts.usage.first_used, facts.usage.last_used) = (Some(at(20)), Some(at(40)));
    assert_eq!((facts.began(), spans(&facts).len()), (None, 0));
    assert_eq!(attempts(&facts, None), None);
    let accepted = accepted(&facts, None, &[]);
    assert_eq!((accepted.last, accepted.last_exactness, accepted.count), (Some(at(40)), Exactness::Exact, 0));
    let kinds: Vec<_> =
        timeline(&facts, accepted.last_exactness).iter().map(|line| line.what.kind()).collect();
    assert_eq!(kinds, ["event", "event", "first_use", "last_use"]);
    assert_eq!(total(&[]), Figure::exact(0));
}

/// Used before and after the report, by the hour.
fn used(mut facts: Facts, last: u64) -> Facts {
    let bucket = |start: u64, valid| Bucket {
        start: Timestamp::from_millis(start),
        requests: Requests { valid, refused: 2 },
    };
    facts.usage.last_used = Some(at(last));
    facts.usage.hours = vec![bucket(BEGAN - 3_600_000, 70), bucket(BEGAN, 4)];
    facts
}

#[test]
fn uses_after_the_report_are_counted_by_the_hour() {
    let facts = used(leaked(), 5);
    let accepted = accepted(&facts, facts.began(), &spans(&facts));
    assert_eq!((accepted.last, accepted.last_exactness), (Some(at(5)), Exactness::Exact));
    assert_eq!((accepted.count, accepted.count_exactness), (4, Exactness::ByHour));
}

#[test]
fn where_reports_are_missing_nothing_is_called_the_last_use() {
    let mut facts = used(leaked(), 5);
    facts.events[0].at = Some(Timestamp::from_millis(1));
    // Missing only after the last refusal: nothing can have been accepted there.
    facts.unknown = vec![unreported(20, 400)];
    let told = |facts: &Facts| {
        let accepted = accepted(facts, facts.began(), &spans(facts));
        (accepted.last_exactness, accepted.count_exactness)
    };
    assert_eq!(told(&facts), (Exactness::Exact, Exactness::ByHour));
    facts.unknown = vec![unreported(3, 400)];
    assert_eq!(told(&facts), (Exactness::AtLeast, Exactness::Unknown));
    facts.usage.last_used = None;
    assert_eq!(told(&facts), (Exactness::AtLeast, Exactness::AtLeast));
    let words = accepted(&facts, facts.began(), &spans(&facts)).why.unwrap();
    assert!(words.contains("mail-1:8750"), "{words}");
}

#[test]
fn who_goes_on_trying_is_named_and_what_is_not_known_is_said() {
    let mut facts = leaked();
    let refused = |verdict: &str, first, last| RefusedAs {
        verdict: verdict.into(),
        count: 3,
        first: at(first),
        last: at(last),
        service: Some("lists".into()),
        network: Some("192.0.2.0/24".into()),
    };
    facts.usage.refused = vec![refused("revoked", 2_000, 9_000), refused("scope_denied", 2_000, 9_000)];
    let seen = |service: &str, refused, last: u64| SeenService {
        service: Some(service.into()),
        requests: Requests { valid: 1, refused },
        network: None,
        last_used: None,
        last_seen: Timestamp::from_millis(last),
    };
    facts.usage.services =
        vec![seen("lists", 6, BEGAN + 9_000), seen("mailer", 0, BEGAN + 9), seen("early", 5, BEGAN - 1)];
    let told = attempts(&facts, facts.began()).unwrap();
    // A key that lacks a scope is refused that, ended or not.
    assert_eq!((told.count, told.exactness, told.verdicts.len()), (3, Exactness::Exact, 1));
    let names: Vec<_> = told.services.iter().map(|one| one.service.as_deref().unwrap()).collect();
    assert_eq!(names, ["lists"]);
    facts.unknown = vec![unreported(50_000, 60_000)];
    assert_eq!(attempts(&facts, facts.began()).unwrap().exactness, Exactness::AtLeast);
}

#[test]
fn the_timeline_is_in_order_and_says_how_well_each_time_is_known() {
    let mut facts = used(leaked(), 5);
    facts.successor =
        Some(Successor { key_id: KeyId::from_u128(3), standing: "active", first_used: Some(at(30_000)) });
    facts.unknown = vec![unreported(40_000, 50_000)];
    facts.events.push(Happened { at: None, ..event(11, 0, Turn::Told) });
    let lines = timeline(&facts, Exactness::Exact);
    let told: Vec<_> = lines.iter().map(|line| (line.what.kind(), line.at, line.exactness)).collect();
    let exact = |kind, ms| (kind, Some(at(ms)), Exactness::Exact);
    assert_eq!(
        told,
        [
            ("event", Some(Timestamp::from_millis(0)), Exactness::Exact),
            exact("event", 0),
            exact("enforced", 2),
            exact("last_use", 5),
            exact("enforced", 9),
            exact("event", 1_000),
            // Nobody here knows who enforced the revocation.
            ("enforcement_unknown", None, Exactness::Unknown),
            ("event", None, Exactness::Unknown),
            exact("successor_first_use", 30_000),
            ("unreported", Some(at(40_000)), Exactness::Unknown),
        ]
    );
}
