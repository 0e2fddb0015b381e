//! Tests of the store of a view: rebuilt or followed, crashed or not, the same rows come out.

use domain::{Event, RevokeReason, StreamName};

use super::*;
use crate::given::{LOG, envelope, expire, issue, key_stream, open, recorded, revoke, tenant};
use crate::tree::{MemoryDisk, Pair};
use crate::views::history::HistoryView;
use crate::views::keys::KeysView;
use crate::views::notices::NoticesView;
use crate::views::tenants::TenantsView;

const HEAD: Position = Position::new(u64::MAX);

/// A log of two tenants: keys come, some end, one expires and is revoked later, one event cannot be read.
fn history(events: u64) -> Vec<Recorded> {
    let (acme, zeta) = (StreamName::Tenant(tenant("acme")), StreamName::Tenant(tenant("zeta")));
    let mut log: Vec<(StreamName, u32, Event)> = vec![(acme, 1, open()), (zeta, 1, open())];
    for n in 1..events {
        let of = |n: u64| key_stream(if n.is_multiple_of(5) { "zeta" } else { "acme" }, u128::from(n));
        log.push((of(n), 1, issue(n)));
        if n.is_multiple_of(3) {
            log.push((of(n), 2, expire(n)));
        }
        if n.is_multiple_of(6) {
            log.push((
                of(n / 2),
                if (n / 2).is_multiple_of(3) { 3 } else { 2 },
                revoke(RevokeReason::Unused),
            ));
        }
    }
    let bytes = |stream: &StreamName, revision, event: Event, n: usize| {
        if n % 17 == 16 { b"\xff".to_vec() } else { wire::encode(&envelope(stream, revision, event)) }
    };
    (1..)
        .zip(log)
        .map(|(n, (stream, revision, event))| {
            let payload = bytes(&stream, revision, event, usize::try_from(n).unwrap());
            recorded(n, &stream, payload)
        })
        .collect()
}

fn follow<V: View>(disk: &MemoryDisk, log: &[Recorded], run: usize) {
    let tree = disk.open();
    let mut store = ViewStore::<V>::new(LOG, bookmark::<V>(&tree, LOG, HEAD).unwrap());
    for events in log.chunks(run) {
        store.apply(&tree, events).unwrap();
    }
}

fn rebuilt<V: View>(log: &[Recorded]) -> Vec<Pair> {
    let disk = MemoryDisk::default();
    follow::<V>(&disk, log, log.len());
    disk.dump()
}

/// Cuts the power after each batch that a run through the log applies, goes on, and compares. How many cuts ended in
/// other rows than those of a rebuild.
fn wrong_after_a_cut<V: View>(log: &[Recorded], run: usize, planted: bool) -> usize {
    let wanted = rebuilt::<V>(log);
    let disk = || {
        let disk = MemoryDisk::default();
        if planted {
            disk.plant_torn_bookmark();
        }
        disk
    };
    let whole = disk();
    follow::<V>(&whole, log, run);
    let cuts = 0..=whole.unflushed();
    cuts.filter(|&batches| {
        let disk = disk();
        follow::<V>(&disk, log, run);
        disk.crash_keeping(batches);
        follow::<V>(&disk, log, log.len());
        disk.dump() != wanted
    })
    .count()
}

#[test]
fn a_rebuild_gives_the_rows_that_following_gave() {
    fn check<V: View>(log: &[Recorded]) {
        let wanted = rebuilt::<V>(log);
        assert!(wanted.len() > 2);
        for run in [1, 7, 1_500] {
            let disk = MemoryDisk::default();
            follow::<V>(&disk, log, run);
            assert!(disk.dump() == wanted, "{} in runs of {run}", V::NAME);
        }
    }
    let log = history(2_000);
    check::<KeysView>(&log);
    check::<HistoryView>(&log);
    check::<TenantsView>(&log);
    check::<NoticesView>(&log);
}

#[test]
fn bookmark_and_data_move_together_whenever_the_power_goes() {
    let log = history(40);
    for run in [1, 3] {
        assert_eq!(wrong_after_a_cut::<KeysView>(&log, run, false), 0);
        assert_eq!(wrong_after_a_cut::<HistoryView>(&log, run, false), 0);
        assert_eq!(wrong_after_a_cut::<TenantsView>(&log, run, false), 0);
        assert_eq!(wrong_after_a_cut::<NoticesView>(&log, run, false), 0);
    }
}

#[test]
fn a_bookmark_in_a_batch_of_its_own_is_found_out() {
    let log = history(40);
    assert!(wrong_after_a_cut::<KeysView>(&log, 3, true) > 10);
    assert!(wrong_after_a_cut::<NoticesView>(&log, 3, true) > 10);
}

#[test]
fn what_was_applied_is_skipped_and_a_hole_is_an_error() {
    let log = history(40);
    let disk = MemoryDisk::default();
    follow::<KeysView>(&disk, &log[..30], 10);
    let before = disk.dump();
    let tree = disk.open();
    let mut store = ViewStore::<KeysView>::new(LOG, bookmark::<KeysView>(&tree, LOG, HEAD).unwrap());
    store.apply(&tree, &log[10..30]).unwrap();
    assert_eq!(disk.dump(), before);
    let hole = store.apply(&tree, &log[31..]);
    assert_eq!(hole, Err(ApplyError::Hole { expected: Position::new(31), found: Position::new(32) }));
    assert_eq!(disk.dump(), before);
    store.apply(&tree, &log[25..]).unwrap();
    assert_eq!(disk.dump(), rebuilt::<KeysView>(&log));
}

#[test]
fn a_tree_of_something_else_is_not_taken_for_the_view() {
    let meta = |meta: &Meta| {
        let disk = MemoryDisk::default();
        disk.open().apply(vec![(META.to_vec(), Some(encode_row(meta)))]).unwrap();
        bookmark::<KeysView>(&disk.open(), LOG, Position::new(9))
    };
    let good = || Meta { schema: 1, log_id: LOG.to_bytes(), reader: wire::READER_LEVEL, position: 9 };
    assert_eq!(meta(&good()), Ok(Position::new(9)));
    assert_eq!(meta(&Meta { schema: 2, ..good() }), Err(Unfit::Schema { found: 2, wanted: 1 }));
    let other = LogId::from_u128(78);
    assert_eq!(
        meta(&Meta { log_id: other.to_bytes(), ..good() }),
        Err(Unfit::OtherLog { found: other, wanted: LOG })
    );
    let older = wire::READER_LEVEL - 1;
    assert_eq!(
        meta(&Meta { reader: older, ..good() }),
        Err(Unfit::OtherReader { found: older, wanted: wire::READER_LEVEL })
    );
    assert_eq!(
        meta(&Meta { position: 10, ..good() }),
        Err(Unfit::AheadOfLog { bookmark: Position::new(10), head: Position::new(9) })
    );
    let disk = MemoryDisk::default();
    disk.open().apply(vec![(b"r".to_vec(), Some(Vec::new()))]).unwrap();
    assert_eq!(bookmark::<KeysView>(&disk.open(), LOG, HEAD), Err(Unfit::NoMeta));
}
