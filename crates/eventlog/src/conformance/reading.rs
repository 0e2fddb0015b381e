//! Cases about what is read back: streams, the head, the pulse, restarts.

use futures_util::future::join_all;

use super::LogPlace;
use super::given::*;

pub(super) async fn an_empty_log_is_empty(place: &mut dyn LogPlace) {
    let log = place.open().await;
    assert_eq!(head(&*log).await, 0);
    assert_eq!(bounded("the pulse", log.pulse()).await.expect("the log answers").head, NONE);
    assert!(read(&*log, "acme.a", NONE).await.is_empty());
    assert!(read(&*log, "acme.a", at(7)).await.is_empty());
}

pub(super) async fn a_stream_is_read_after_a_position(place: &mut dyn LogPlace) {
    let log = place.open().await;
    let mut last = [NONE, NONE];
    for id in 1..=12_u64 {
        let which = usize::from(id % 3 == 0);
        let name = ["acme.a", "acme.b"][which];
        last[which] = at(appended(send(&*log, one(name, last[which], u128::from(id))).await)[0]);
    }
    for (after, expected) in
        [(0, &[3, 6, 9, 12][..]), (2, &[3, 6, 9, 12]), (3, &[6, 9, 12]), (7, &[9, 12]), (12, &[]), (99, &[])]
    {
        let events = read(&*log, "acme.b", at(after)).await;
        assert_eq!(positions(&events), expected, "after {after}");
    }
    assert!(read(&*log, "acme.c", NONE).await.is_empty());
    let events = read(&*log, "acme.b", at(8)).await;
    assert_eq!((ids(&events), &events[0].payload), (vec![9, 12], &event(9).payload));
}

pub(super) async fn another_handle_reads_what_was_acknowledged(place: &mut dyn LogPlace) {
    let handles = [place.open().await, place.open().await];
    let mut last = NONE;
    for id in 1..=20_u64 {
        let [writer, reader] = if id % 2 == 0 { [0, 1] } else { [1, 0] };
        last = at(appended(send(&*handles[writer], one("acme.a", last, u128::from(id))).await)[0]);
        let events = read(&*handles[reader], "acme.a", NONE).await;
        assert_eq!(positions(&events), (1..=id).collect::<Vec<_>>());
    }
}

pub(super) async fn the_head_is_never_below_what_was_acknowledged(place: &mut dyn LogPlace) {
    let handles = [place.open().await, place.open().await];
    let writers = (0..20_u128).map(|s| {
        let [writer, reader] =
            if s % 2 == 0 { [&handles[0], &handles[1]] } else { [&handles[1], &handles[0]] };
        async move {
            let name = format!("acme.s{s}");
            let mut last = NONE;
            for n in 0..5 {
                last = at(appended(send(&**writer, one(&name, last, s * 5 + n)).await)[0]);
                assert!(head(&**reader).await >= last.get(), "head below acknowledged {last}");
                let pulse = bounded("the pulse", reader.pulse()).await.expect("the log answers");
                assert!(pulse.head >= last, "pulse {} below acknowledged {last}", pulse.head);
            }
        }
    });
    join_all(writers).await;
    assert_eq!(head(&*handles[0]).await, 100);
}

pub(super) async fn all_handles_and_restarts_have_one_log_id(place: &mut dyn LogPlace) {
    let log_id = {
        let handles = [place.open().await, place.open().await];
        assert_eq!(handles[0].log_id(), handles[1].log_id());
        assert_eq!(handles[0].durability(), handles[1].durability());
        handles[0].log_id()
    };
    place.close().await;
    assert_eq!(place.open().await.log_id(), log_id);
}

pub(super) async fn a_restart_keeps_everything(place: &mut dyn LogPlace) {
    let before = {
        let log = place.open().await;
        appended(send(&*log, unit([write("acme.a", NONE, &[1, 2]), write("acme.b", NONE, &[3])])).await);
        everything(&*log).await
    };
    for round in 1..=3 {
        place.close().await;
        let log = place.open().await;
        let after = everything(&*log).await;
        assert_eq!(after[..3], before, "restart {round}");
        assert_eq!(read(&*log, "acme.b", NONE).await.len(), usize::try_from(round).expect("small"));
        let last = if round == 1 { at(3) } else { at(after.len() as u64) };
        let id = 100 + u128::from(round as u64);
        assert_eq!(appended(send(&*log, one("acme.b", last, id)).await), [after.len() as u64 + 1]);
    }
}
