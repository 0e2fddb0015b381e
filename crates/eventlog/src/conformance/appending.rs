//! Cases about what is written and where: positions, expectations, units, bounds.

use std::collections::HashMap;

use bytes::Bytes;
use domain::EventId;
use futures_util::future::join_all;

use super::LogPlace;
use super::given::*;
use crate::port::{AppendError, NewEvent, Outcome, Queue, StreamWrite, Unit};

pub(super) async fn positions_are_dense_from_one(place: &mut dyn LogPlace) {
    let log = place.open().await;
    assert_eq!(appended(send(&*log, one("acme.a", NONE, 1)).await), [1]);
    assert_eq!(appended(send(&*log, one("acme.b", NONE, 2)).await), [2]);
    assert_eq!(appended(send(&*log, one("acme.a", at(1), 3)).await), [3]);
    assert_eq!(appended(send(&*log, unit([write("acme.b", at(2), &[4, 5, 6])])).await), [4, 5, 6]);
    let events = everything(&*log).await;
    assert_eq!(ids(&events), [1, 2, 3, 4, 5, 6]);
    assert_eq!(events[2].stream, stream("acme.a"));
    assert_eq!(events[2].payload, event(3).payload);
}

pub(super) async fn a_conflict_names_the_stream_and_its_last_event(place: &mut dyn LogPlace) {
    let log = place.open().await;
    assert_eq!(send(&*log, one("acme.a", at(1), 1)).await, conflict("acme.a", 0), "the stream has no event");
    appended(send(&*log, unit([write("acme.a", NONE, &[2, 3])])).await);
    appended(send(&*log, one("acme.b", NONE, 4)).await);
    for expected in [0, 1, 3, 9, u64::MAX / 2] {
        let outcome = send(&*log, one("acme.a", at(expected), 5)).await;
        assert_eq!(outcome, conflict("acme.a", 2), "expecting {expected}");
    }
    assert_eq!(head(&*log).await, 3, "a conflict writes nothing");
}

pub(super) async fn a_unit_of_two_streams_stands_together(place: &mut dyn LogPlace) {
    let log = place.open().await;
    appended(send(&*log, one("acme.b", NONE, 1)).await);
    let rotation = unit([write("acme.a", NONE, &[2, 3]), write("acme.b", at(1), &[4])]);
    assert_eq!(appended(send(&*log, rotation).await), [2, 3, 4]);
    assert_eq!(ids(&read(&*log, "acme.a", NONE).await), [2, 3]);
    assert_eq!(ids(&read(&*log, "acme.b", NONE).await), [1, 4]);
    assert_eq!(ids(&everything(&*log).await), [1, 2, 3, 4]);
}

pub(super) async fn a_unit_with_one_stale_stream_writes_nothing(place: &mut dyn LogPlace) {
    let log = place.open().await;
    appended(send(&*log, unit([write("acme.a", NONE, &[1]), write("acme.b", NONE, &[2])])).await);
    let second_stale = unit([write("acme.a", at(1), &[3]), write("acme.b", NONE, &[4])]);
    assert_eq!(send(&*log, second_stale).await, conflict("acme.b", 2));
    let first_stale = unit([write("acme.a", at(2), &[3]), write("acme.b", at(2), &[4])]);
    assert_eq!(send(&*log, first_stale).await, conflict("acme.a", 1));
    let both_stale = unit([write("acme.b", NONE, &[3]), write("acme.a", NONE, &[4])]);
    assert_eq!(send(&*log, both_stale).await, conflict("acme.b", 2), "the first stale stream is named");
    assert_eq!(ids(&everything(&*log).await), [1, 2]);
}

pub(super) async fn two_handles_racing_on_one_stream_have_one_winner(place: &mut dyn LogPlace) {
    let handles = [place.open().await, place.open().await];
    let mut last = NONE;
    for round in 0..20_u128 {
        let rivals = (0..10_usize).map(|n| {
            let log = &handles[n % 2];
            async move { send(&**log, one("acme.a", last, round * 100 + n as u128)).await }
        });
        let outcomes = join_all(rivals).await;
        let winners: Vec<_> = outcomes.iter().filter(|o| matches!(o, Outcome::Appended { .. })).collect();
        assert_eq!(winners.len(), 1, "round {round}: {outcomes:?}");
        last = last.next();
        for outcome in outcomes.iter().filter(|o| matches!(o, Outcome::Conflict { .. })) {
            assert_eq!(*outcome, conflict("acme.a", last.get()), "a loser is told who stands there");
        }
    }
    assert_eq!(head(&*handles[0]).await, 20);
}

pub(super) async fn crossing_units_of_two_streams_have_one_winner(place: &mut dyn LogPlace) {
    let handles = [place.open().await, place.open().await];
    let mut last = [NONE, NONE];
    for round in 0..10_u128 {
        let id = round * 10;
        let forth = unit([write("acme.a", last[0], &[id]), write("acme.b", last[1], &[id + 1])]);
        let back = unit([write("acme.b", last[1], &[id + 2]), write("acme.a", last[0], &[id + 3])]);
        let outcomes = join_all([send(&*handles[0], forth), send(&*handles[1], back)]).await;
        let base = u64::try_from(round).expect("small") * 2;
        let [first, second] = [base + 1, base + 2];
        match (&outcomes[0], &outcomes[1]) {
            (Outcome::Appended { positions }, Outcome::Conflict { .. }) => {
                assert_eq!(*positions, [at(first), at(second)]);
                last = [at(first), at(second)];
            }
            (Outcome::Conflict { .. }, Outcome::Appended { positions }) => {
                assert_eq!(*positions, [at(first), at(second)]);
                last = [at(second), at(first)];
            }
            both => panic!("round {round}: one of two crossing units is appended, not {both:?}"),
        }
    }
    assert_eq!(everything(&*handles[0]).await.len(), 20);
}

pub(super) async fn concurrent_appends_keep_the_order_of_each_stream(place: &mut dyn LogPlace) {
    const STREAMS: u128 = 40;
    const EACH: u128 = 10;
    let handles = [place.open().await, place.open().await];
    let writers = (0..STREAMS).map(|s| {
        let log = &handles[usize::from(s % 2 == 1)];
        async move {
            let name = format!("acme.s{s}");
            let mut last = NONE;
            for n in 0..EACH {
                last = at(appended(send(&**log, one(&name, last, s * EACH + n)).await)[0]);
            }
        }
    });
    join_all(writers).await;
    let events = everything(&*handles[0]).await;
    assert_eq!(events.len() as u128, STREAMS * EACH);
    let mut streams: HashMap<_, Vec<_>> = HashMap::new();
    for event in &events {
        streams.entry(event.stream.clone()).or_default().push(event.clone());
    }
    for s in 0..STREAMS {
        let name = format!("acme.s{s}");
        let expected: Vec<u128> = (s * EACH..(s + 1) * EACH).collect();
        assert_eq!(ids(&streams[&stream(&name)]), expected, "order of {name}");
        assert_eq!(
            read(&*handles[1], &name, NONE).await,
            streams[&stream(&name)],
            "{name} read and followed"
        );
    }
}

pub(super) async fn a_malformed_unit_does_not_happen(place: &mut dyn LogPlace) {
    let log = place.open().await;
    appended(send(&*log, one("acme.a", NONE, 1)).await);
    let oversized =
        NewEvent { id: EventId::from_u128(9), payload: vec![7; NewEvent::MAX_PAYLOAD + 1].into() };
    let many: Vec<u128> = (100..=100 + Unit::MAX_EVENTS as u128).collect();
    let malformed = [
        ("no writes", unit([])),
        ("no events", unit([write("acme.b", NONE, &[])])),
        ("no events in one of two", unit([write("acme.b", NONE, &[2]), write("acme.c", NONE, &[])])),
        ("one stream twice", unit([write("acme.b", NONE, &[2]), write("acme.b", NONE, &[3])])),
        (
            "three streams",
            unit([write("acme.b", NONE, &[2]), write("acme.c", NONE, &[3]), write("acme.d", NONE, &[4])]),
        ),
        ("too many events", unit([write("acme.b", NONE, &many)])),
        ("an oversized event", Unit::single(stream("acme.b"), NONE, oversized, Queue::Normal)),
    ];
    for (what, unit) in malformed {
        let error = bounded(what, log.append(unit)).await.expect_err(what);
        assert!(matches!(error, AppendError::DidNotHappen { .. }), "{what}: {error}");
    }
    assert_eq!(ids(&everything(&*log).await), [1], "nothing of a malformed unit is written");
}

pub(super) async fn payloads_come_back_as_they_went(place: &mut dyn LogPlace) {
    let log = place.open().await;
    let largest: Vec<u8> = (0..NewEvent::MAX_PAYLOAD).map(|n| (n % 251) as u8).collect();
    let payloads: [Bytes; 4] =
        [Bytes::new(), vec![0].into(), b"\0\r\n\xff\xfe".to_vec().into(), largest.into()];
    let mut last = NONE;
    for (payload, id) in payloads.iter().zip(1..) {
        let event = NewEvent { id: EventId::from_u128(id), payload: payload.clone() };
        for queue in [Queue::Urgent, Queue::Normal, Queue::Background] {
            let unit = Unit::single(stream("acme.a"), last, event.clone(), queue);
            assert_eq!(appended(send(&*log, unit).await), [last.next().get()], "a repeat in whatever queue");
        }
        last = last.next();
    }
    for events in [read(&*log, "acme.a", NONE).await, everything(&*log).await] {
        let back: Vec<Bytes> = events.into_iter().map(|event| event.payload).collect();
        assert!(back == payloads, "a payload changed on its way");
    }
}

pub(super) async fn streams_with_like_names_are_apart(place: &mut dyn LogPlace) {
    let log = place.open().await;
    let long = format!("{}.{}", "t".repeat(63), "K".repeat(36));
    let names =
        ["a.b", "a.B", "a.bb", "aa.b", "a.b_", "a.b-", "a._tenant", "a-._tenant", "0.0", long.as_str()];
    for (name, id) in names.iter().zip(1..) {
        let position = u64::try_from(id).expect("small");
        assert_eq!(appended(send(&*log, one(name, NONE, id)).await), [position], "{name}");
    }
    for (name, id) in names.iter().zip(1_u128..) {
        let events = read(&*log, name, NONE).await;
        assert_eq!(ids(&events), [id], "{name}");
        assert_eq!(events[0].stream, stream(name));
    }
    let together = Unit {
        writes: vec![
            StreamWrite { stream: stream("a.b"), expected: at(1), events: vec![event(100)] },
            StreamWrite { stream: stream("a.B"), expected: at(2), events: vec![event(101)] },
        ],
        queue: Queue::Urgent,
    };
    let next = names.len() as u64;
    assert_eq!(appended(send(&*log, together).await), [next + 1, next + 2]);
}
