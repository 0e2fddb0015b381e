//! Tests of the store of a view: rebuilt or followed, crashed or not, the same rows come out.

use domain::{Event, RevokeReason, Selector, StreamName};

use super::*;
use crate::given::life::{
    configure, finish, first_use, one_of_each, relabel, rotate, succeed, suspend, transfer,
};
use crate::given::{
    LOG, NOW, envelope, expire, issue, key_id, key_stream, of_owner, open, recall, recorded, revoke, tenant,
};
use crate::tree::{MemoryDisk, Pair};
use crate::views::history::HistoryView;
use crate::views::keys::KeysView;
use crate::views::notices::NoticesView;
use crate::views::tenants::TenantsView;

const HEAD: Position = Position::new(u64::MAX);

/// A log of two tenants: keys come, change, are suspended, rotated and recalled, some end, one expires and is revoked later;
/// now and then an event cannot be read.
fn history(keys: u64) -> Vec<Recorded> {
    let mut log = Vec::new();
    let mut revisions = std::collections::HashMap::new();
    let mut say = |stream: &StreamName, event: Event| {
        let revision = revisions.entry(stream.clone()).and_modify(|revision| *revision += 1).or_insert(1);
        let position = log.len() as u64 + 1;
        let envelope = envelope(stream, *revision, event);
        let payload = if position % 17 == 16 { b"\xff".to_vec() } else { wire::encode(&envelope) };
        log.push(recorded(position, stream, payload));
    };
    let (acme, zeta) = (StreamName::Tenant(tenant("acme")), StreamName::Tenant(tenant("zeta")));
    say(&acme, open());
    say(&zeta, open());
    for n in 1..keys {
        let of = |n: u64| key_stream(if n.is_multiple_of(5) { "zeta" } else { "acme" }, u128::from(n));
        say(&of(n), issue(n));
        match n % 8 {
            1 => say(&of(n), transfer(n % 3)),
            2 => say(&of(n), relabel(&["service=mailer-1", "team=lists"])),
            3 => say(&of(n), suspend(Some(NOW.plus_millis(n)))),
            4 => {
                let successor = key_stream(of(n).tenant().as_str(), u128::from(n) << 64);
                say(&of(n), rotate(key_id(u128::from(n) << 64)));
                say(&successor, succeed(n, key_id(u128::from(n))));
                say(&successor, first_use(n));
                if n.is_multiple_of(12) {
                    say(&of(n), finish(key_id(u128::from(n) << 64)));
                }
            }
            _ if n.is_multiple_of(3) => say(&of(n), expire(n)),
            _ => {}
        }
        if n.is_multiple_of(6) {
            say(&of(n / 2), revoke(RevokeReason::Unused));
        }
        match n % 50 {
            20 => say(&acme, recall(of_owner(n % 10 + 1))),
            35 => say(&zeta, configure("Zeta Letters")),
            40 => say(&zeta, recall(Selector { label: "team=lists".parse().ok(), ..Selector::ALL })),
            _ => {}
        }
    }
    say(&acme, recall(Selector { environment: "live".parse().ok(), ..Selector::ALL }));
    log
}

fn follow<V: View>(disk: &MemoryDisk, log: &[Recorded], run: usize) {
    let tree = disk.open();
    let mut store = ViewStore::<V>::new(LOG, bookmark::<V>(&tree, LOG, HEAD).unwrap());
    for events in log.chunks(run) {
        store.apply(&tree, events, || true).unwrap();
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
    store.apply(&tree, &log[10..30], || true).unwrap();
    assert_eq!(disk.dump(), before);
    let hole = store.apply(&tree, &log[31..], || true);
    assert_eq!(hole, Err(ApplyError::Hole { expected: Position::new(31), found: Position::new(32) }));
    assert_eq!(disk.dump(), before);
    store.apply(&tree, &log[25..], || true).unwrap();
    assert_eq!(disk.dump(), rebuilt::<KeysView>(&log));
}

#[test]
fn a_tree_of_something_else_is_not_taken_for_the_view() {
    let meta = |meta: &Meta| {
        let disk = MemoryDisk::default();
        disk.open().apply(vec![(META.to_vec(), Some(encode_row(meta)))]).unwrap();
        bookmark::<KeysView>(&disk.open(), LOG, Position::new(9))
    };
    let schema = KeysView::SCHEMA;
    let good = || Meta { schema, log_id: LOG.to_bytes(), reader: wire::READER_LEVEL, position: 9 };
    assert_eq!(meta(&good()), Ok(Position::new(9)));
    assert_eq!(
        meta(&Meta { schema: schema + 1, ..good() }),
        Err(Unfit::Schema { found: schema + 1, wanted: schema })
    );
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

#[test]
fn what_is_announced_is_what_has_a_notice() {
    let each = one_of_each();
    let mut names: Vec<&str> = each.iter().map(|(_, event)| event.name()).collect();
    names.sort_unstable();
    let mut all = Event::NAMES.to_vec();
    all.sort_unstable();
    assert_eq!(names, all, "one of each");
    let (key, acme) = (key_stream("acme", 1), StreamName::Tenant(tenant("acme")));
    for (stream, event) in each {
        let astray = if stream == key { acme.clone() } else { key.clone() };
        for stream in [stream, astray] {
            let envelope = envelope(&stream, 1, event.clone());
            let notice = wire::notice_of(&envelope, Position::new(2), Position::new(1));
            assert_eq!(is_announced(&envelope), notice.is_some(), "{} in {stream}", event.name());
        }
    }
}
