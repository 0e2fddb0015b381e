//! Cases about followers: where they start, that they leave nothing out, that they go on live.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{join, join_all};

use super::LogPlace;
use super::given::*;
use crate::port::{EventLog, ReadError, Unit};

/// Writes `units` units of [`Unit::MAX_EVENTS`] events, each in a stream of its own, many at a time.
async fn fill(log: &dyn EventLog, units: u128) {
    let each = Unit::MAX_EVENTS as u128;
    let filling = (0..units).map(|u| async move {
        let events: Vec<u128> = (u * each..(u + 1) * each).collect();
        appended(send(log, unit([write(&format!("fill.s{u}"), NONE, &events)])).await);
    });
    join_all(filling).await;
}

pub(super) async fn a_follower_starts_where_it_is_told(place: &mut dyn LogPlace) {
    let log = place.open().await;
    fill(&*log, 2).await;
    let all = everything(&*log).await;
    for after in [0, 1, 63, 64, 65, 127] {
        let events = take_until(&mut *follow(&*log, at(after)).await, at(after), 128).await;
        assert_eq!(events, all[usize::try_from(after).expect("small")..], "after {after}");
    }
}

pub(super) async fn a_follower_crosses_many_batches(place: &mut dyn LogPlace) {
    let log = place.open().await;
    fill(&*log, 100).await;
    let head = 100 * Unit::MAX_EVENTS as u64;
    let all = everything(&*log).await;
    assert_eq!(all.len() as u64, head);
    for units in all.chunks(Unit::MAX_EVENTS) {
        assert!(units.iter().all(|event| event.stream == units[0].stream), "a unit stands together");
        assert!(units.is_sorted_by_key(|event| event.id), "a unit keeps its order");
    }
    let late = take_until(&mut *follow(&*log, at(head - 10)).await, at(head - 10), head).await;
    assert_eq!(late.len(), 10);
}

pub(super) async fn a_follower_goes_on_live(place: &mut dyn LogPlace) {
    let handles = [place.open().await, place.open().await];
    appended(send(&*handles[0], one("acme.a", NONE, 1)).await);
    let mut from_start = follow(&*handles[0], NONE).await;
    let mut from_head = follow(&*handles[1], at(1)).await;
    assert_eq!(ids(&take_until(&mut *from_start, NONE, 1).await), [1]);
    for n in 2..=30_u64 {
        let writer = &handles[usize::from(n % 2 == 0)];
        appended(send(&**writer, one("acme.a", at(n - 1), u128::from(n))).await);
        for follower in [&mut from_start, &mut from_head] {
            assert_eq!(ids(&take_until(&mut **follower, at(n - 1), n).await), [u128::from(n)]);
        }
    }
}

pub(super) async fn a_follower_beyond_the_head_is_told_so(place: &mut dyn LogPlace) {
    let log = place.open().await;
    for written in 0..=1_u64 {
        for beyond in [1, 1000] {
            let after = at(written + beyond);
            let error = match bounded("a follow", log.follow(after)).await {
                Err(error) => error,
                Ok(_) => panic!("following after {after} with the head at {written} is accepted"),
            };
            let told = matches!(error, ReadError::AheadOfLog { after: a, head } if (a, head) == (after, at(written)));
            assert!(told, "following after {after} with the head at {written}: {error}");
        }
        if written == 0 {
            appended(send(&*log, one("acme.a", NONE, 1)).await);
        }
    }
}

pub(super) async fn a_dropped_wait_loses_nothing(place: &mut dyn LogPlace) {
    let log = place.open().await;
    let mut follower = follow(&*log, NONE).await;
    let mut taken = 0;
    for n in 1..=20_u64 {
        let waited = follower.next().now_or_never();
        assert!(waited.is_none(), "nothing is there to be read");
        appended(send(&*log, one("acme.a", at(n - 1), u128::from(n))).await);
        // Dropped after a moment, so that some of the calls are cut off in the middle of a read.
        let moment = Duration::from_micros(n * 40);
        if let Ok(batch) = tokio::time::timeout(moment, follower.next()).await {
            taken = batch.expect("the log can be followed").last().expect("not empty").position.get();
        }
        if taken < n {
            take_until(&mut *follower, at(taken), n).await;
        }
        taken = n;
    }
}

pub(super) async fn followers_beside_appends_see_no_hole(place: &mut dyn LogPlace) {
    const UNITS: u128 = 30;
    let handles = [place.open().await, place.open().await];
    let head = u64::try_from(UNITS).expect("small") * Unit::MAX_EVENTS as u64;
    let watching = handles.iter().map(|log| async move {
        let mut follower = follow(&**log, NONE).await;
        take_until(&mut *follower, NONE, head).await
    });
    let (_, seen) = join(fill(&*handles[0], UNITS), join_all(watching)).await;
    let all = everything(&*handles[1]).await;
    assert!(seen.iter().all(|events| *events == all), "followers see one history");
}
