//! Cases about a history that is copied in: until it is finished it is no log, and then it is the same one.

use std::sync::Arc;

use bytes::Bytes;
use domain::LogId;

use super::CopyPlace;
use super::given::*;
use crate::copying::{CopyError, LogCopy};
use crate::memory::MemoryLog;
use crate::port::{EventLog, Outcome, Recorded, Unit};

/// The log that is copied, under another name than the place would begin one.
const OF: LogId = LogId::from_u128(99);

/// Units as commands make them: one event, several of one stream, two streams at once.
async fn units(source: &MemoryLog) -> Vec<(Unit, Vec<u64>)> {
    let mut written: Vec<(Unit, Vec<u64>)> = Vec::new();
    for unit in [
        unit([write("acme._tenant", NONE, &[1])]),
        unit([write("acme.a", NONE, &[2, 3, 4])]),
        unit([write("acme.b", NONE, &[5])]),
        unit([write("acme.a", at(4), &[6]), write("acme.c", NONE, &[7])]),
        unit([write("acme._tenant", at(1), &[8])]),
        unit([write("acme.c", at(7), &[9, 10]), write("acme.b", at(5), &[11, 12])]),
    ] {
        let positions = appended(send(source, unit.clone()).await);
        written.push((unit, positions));
    }
    written
}

/// More than any adapter writes at once, with streams that come again and again, and a few large events.
async fn many(source: &MemoryLog) {
    let mut last = [NONE; 700];
    for id in 0..2_600_usize {
        let stream = if id < 1_500 { id % 700 } else { id % 3 };
        let name = format!("acme.k{stream}");
        let mut unit = one(&name, last[stream], id as u128 + 1);
        if id % 500 == 0 {
            unit.writes[0].events[0].payload = Bytes::from(vec![7; 60_000]);
        }
        last[stream] = at(appended(send(source, unit).await)[0]);
    }
}

async fn copy_of(place: &mut dyn CopyPlace, events: &[Recorded]) -> Box<dyn LogCopy> {
    let until = events.last().map_or(NONE, |event| event.position);
    bounded("opening a copy", place.copy(OF, until)).await.expect("the place takes a copy")
}

async fn write_all(copy: &mut dyn LogCopy, events: &[Recorded]) {
    bounded("a write", copy.write(events)).await.expect("the copy can be written");
}

async fn finish(mut copy: Box<dyn LogCopy>) {
    bounded("the end", copy.finish()).await.expect("the copy can be finished");
}

async fn opened(place: &mut dyn CopyPlace) -> Arc<dyn EventLog> {
    bounded("opening", place.open_log()).await.expect("what is finished is a log")
}

/// What a copy holds, read through itself.
async fn held(copy: &mut dyn LogCopy) -> Vec<Recorded> {
    let mut events: Vec<Recorded> = Vec::new();
    while (events.len() as u64) < copy.head().get() {
        let after = at(events.len() as u64);
        let next = bounded("a read", copy.read_after(after)).await.expect("the copy can be read");
        assert!(!next.is_empty(), "a read answers at least one event");
        events.extend(next);
    }
    events
}

pub(super) async fn a_copy_is_the_same_history(place: &mut dyn CopyPlace) {
    let source = MemoryLog::create(OF);
    many(&source).await;
    let events = everything(&source).await;
    let mut copy = copy_of(place, &events).await;
    write_all(&mut *copy, &events).await;
    assert_eq!(copy.head().get(), events.len() as u64);
    assert!(held(&mut *copy).await == events, "the copy holds something else");
    finish(copy).await;
    place.close().await;
    let log = opened(place).await;
    assert_eq!(log.log_id(), OF);
    assert!(everything(&*log).await == events, "the log holds something else");
    let stream = read(&*log, "acme.k0", NONE).await;
    assert_eq!(stream, read(&source, "acme.k0", NONE).await);
}

pub(super) async fn units_are_known_and_expectations_hold_after_a_copy(place: &mut dyn CopyPlace) {
    let source = MemoryLog::create(OF);
    let units = units(&source).await;
    let events = everything(&source).await;
    let mut copy = copy_of(place, &events).await;
    write_all(&mut *copy, &events).await;
    finish(copy).await;
    place.close().await;
    let log = opened(place).await;
    for (unit, positions) in units {
        assert_eq!(appended(send(&*log, unit).await), positions, "a repeat is answered as on the source");
    }
    for rival in [one("acme.a", at(4), 50), one("acme.b", NONE, 51)] {
        let outcome = send(&source, rival.clone()).await;
        assert!(matches!(outcome, Outcome::Conflict { .. }));
        assert_eq!(send(&*log, rival).await, outcome);
    }
    let more = unit([write("acme.a", at(6), &[60]), write("acme.new", NONE, &[61])]);
    assert_eq!(appended(send(&*log, more).await), [13, 14], "it goes on where the source ended");
}

pub(super) async fn an_unfinished_copy_is_no_log_and_goes_on(place: &mut dyn CopyPlace) {
    let source = MemoryLog::create(OF);
    units(&source).await;
    let events = everything(&source).await;
    // In the middle of a unit, too.
    for cut in [0, 3, 6] {
        let mut copy = copy_of(place, &events).await;
        let there = usize::try_from(copy.head().get()).expect("a few events");
        write_all(&mut *copy, &events[there..cut]).await;
        drop(copy);
        place.close().await;
        let error = bounded("opening", place.open_log()).await.expect_err("half a history is no log");
        assert!(error.contains("not finished"), "{error}");
        place.close().await;
    }
    let mut copy = copy_of(place, &events).await;
    assert_eq!(copy.head(), at(6), "what was written is there");
    write_all(&mut *copy, &events[6..]).await;
    finish(copy).await;
    place.close().await;
    assert_eq!(everything(&*opened(place).await).await, events);
}

pub(super) async fn a_finished_copy_takes_what_the_source_has_since(place: &mut dyn CopyPlace) {
    let source = MemoryLog::create(OF);
    units(&source).await;
    let before = everything(&source).await;
    let mut copy = copy_of(place, &before).await;
    write_all(&mut *copy, &before).await;
    bounded("the end", copy.finish()).await.expect("the copy can be finished");
    finish(copy).await;
    place.close().await;
    assert_eq!(appended(send(&source, one("acme.b", at(12), 70)).await), [13]);
    let events = everything(&source).await;
    let mut copy = copy_of(place, &events).await;
    write_all(&mut *copy, &events[12..]).await;
    drop(copy);
    place.close().await;
    assert!(bounded("opening", place.open_log()).await.is_err(), "it is being copied into again");
    place.close().await;
    finish(copy_of(place, &events).await).await;
    place.close().await;
    assert_eq!(everything(&*opened(place).await).await, events);
}

pub(super) async fn what_does_not_follow_is_refused(place: &mut dyn CopyPlace) {
    let source = MemoryLog::create(OF);
    units(&source).await;
    let events = everything(&source).await;
    let mut copy = copy_of(place, &events).await;
    write_all(&mut *copy, &events[..2]).await;
    let hole = [events[2].clone(), events[4].clone()];
    for wrong in [&events[..1], &events[1..3], &events[3..], &hole[..]] {
        let error = bounded("a write", copy.write(wrong)).await.expect_err("it must be refused");
        assert!(matches!(error, CopyError::NotNext { .. }), "{error}");
        assert_eq!(copy.head(), at(2), "nothing of it was written");
    }
    write_all(&mut *copy, &events[2..]).await;
    finish(copy).await;
    place.close().await;
    assert_eq!(everything(&*opened(place).await).await, events);
}

pub(super) async fn another_history_is_refused(place: &mut dyn CopyPlace) {
    let source = MemoryLog::create(OF);
    units(&source).await;
    let events = everything(&source).await;
    let mut copy = copy_of(place, &events).await;
    write_all(&mut *copy, &events).await;
    finish(copy).await;
    place.close().await;
    let other = LogId::from_u128(98);
    let refused = bounded("opening a copy", place.copy(other, at(12))).await;
    let refused = refused.expect_err("it must be refused");
    assert!(matches!(refused, CopyError::OtherLog { found: OF, .. }), "{refused}");
    place.close().await;
    assert_eq!(everything(&*opened(place).await).await, events, "and nothing of it was changed");
}
