//! Cases about the same unit sent more than once.

use futures_util::future::join_all;

use super::LogPlace;
use super::given::*;
use crate::port::Outcome;

pub(super) async fn a_repeated_unit_keeps_its_positions(place: &mut dyn LogPlace) {
    let log = place.open().await;
    let other = place.open().await;
    let units = [
        one("acme.a", NONE, 1),
        unit([write("acme.b", NONE, &[2, 3])]),
        unit([write("acme.b", at(3), &[4, 5]), write("acme.a", at(1), &[6])]),
    ];
    for (unit, expected) in units.iter().zip([&[1][..], &[2, 3], &[4, 5, 6]]) {
        for handle in [&log, &log, &other] {
            assert_eq!(appended(send(&**handle, unit.clone()).await), expected);
        }
    }
    assert_eq!(ids(&everything(&*log).await), [1, 2, 3, 4, 5, 6], "nothing is written twice");
}

pub(super) async fn a_repeat_is_known_after_later_events(place: &mut dyn LogPlace) {
    let log = place.open().await;
    let both = unit([write("acme.a", NONE, &[1, 2]), write("acme.b", NONE, &[3])]);
    appended(send(&*log, both.clone()).await);
    let mut last = at(2);
    for id in 10..60 {
        last = at(appended(send(&*log, one("acme.a", last, id)).await)[0]);
    }
    assert_eq!(appended(send(&*log, both).await), [1, 2, 3]);
    assert_eq!(appended(send(&*log, one("acme.a", at(23), 30)).await), [24], "one in the middle");
    assert_eq!(head(&*log).await, 53);
}

pub(super) async fn a_repeat_is_known_after_a_restart(place: &mut dyn LogPlace) {
    let both = unit([write("acme.a", NONE, &[1]), write("acme.b", NONE, &[2])]);
    {
        let log = place.open().await;
        appended(send(&*log, both.clone()).await);
        appended(send(&*log, one("acme.b", at(2), 3)).await);
    }
    place.close().await;
    let log = place.open().await;
    assert_eq!(appended(send(&*log, both).await), [1, 2]);
    assert_eq!(appended(send(&*log, one("acme.b", at(2), 3)).await), [3]);
    assert_eq!(head(&*log).await, 3);
}

pub(super) async fn a_unit_sent_at_once_by_many_is_written_once(place: &mut dyn LogPlace) {
    let handles = [place.open().await, place.open().await];
    let both = unit([write("acme.a", NONE, &[1, 2]), write("acme.b", NONE, &[3])]);
    let outcomes = join_all((0..20).map(|n| send(&*handles[n % 2], both.clone()))).await;
    for outcome in outcomes {
        assert_eq!(appended(outcome), [1, 2, 3]);
    }
    assert_eq!(ids(&everything(&*handles[0]).await), [1, 2, 3]);
}

pub(super) async fn another_event_id_is_a_conflict(place: &mut dyn LogPlace) {
    let log = place.open().await;
    appended(send(&*log, one("acme.a", NONE, 1)).await);
    let mut twin = one("acme.a", NONE, 2);
    twin.writes[0].events[0].payload = event(1).payload;
    assert_eq!(send(&*log, twin).await, conflict("acme.a", 1), "the id tells, not the payload");
    assert_eq!(send(&*log, one("acme.b", at(1), 1)).await, conflict("acme.b", 0), "the id in another stream");
    assert_eq!(head(&*log).await, 1);
}

pub(super) async fn a_unit_that_stands_in_part_is_a_conflict(place: &mut dyn LogPlace) {
    let log = place.open().await;
    appended(send(&*log, one("acme.a", NONE, 1)).await);
    let longer = unit([write("acme.a", NONE, &[1, 2])]);
    assert_eq!(send(&*log, longer).await, conflict("acme.a", 1), "half of its events");
    let wider = unit([write("acme.a", NONE, &[1]), write("acme.b", NONE, &[2])]);
    assert_eq!(send(&*log, wider).await, conflict("acme.a", 1), "one of its streams");
    assert_eq!(ids(&everything(&*log).await), [1]);
}

pub(super) async fn rivals_that_repeat_have_one_winner(place: &mut dyn LogPlace) {
    let handles = [place.open().await, place.open().await];
    let sends = (0..20_usize).map(|n| {
        let id = 1 + n as u128 % 4;
        let log = &handles[n / 4 % 2];
        async move { (id, send(&**log, one("acme.a", NONE, id)).await) }
    });
    let outcomes = join_all(sends).await;
    let winner = everything(&*handles[1]).await;
    assert_eq!(positions(&winner), [1], "one rival stands");
    for (id, outcome) in outcomes {
        let expected = if [id] == ids(&winner)[..] {
            Outcome::Appended { positions: vec![at(1)] }
        } else {
            conflict("acme.a", 1)
        };
        assert_eq!(outcome, expected, "event {id}");
    }
}
