//! Restarts: gentle, by crash, with a saved index that is good, damaged, or of something else.

use std::sync::Arc;

use domain::{LogId, Position, RevokeReason, Standing};
use eventlog::MemoryLog;
use verify::{SnapshotHeader, new_index};

use crate::Projection;
use crate::given::{LOG, Log, MAX_STALENESS, caught_up, key_id, key_stream, revoke, tenant};
use crate::stores::{MemoryStores, Stores};

const VIEWS: [&str; 5] = ["keys", "history", "tenants", "notices", "times"];

fn dump(stores: &MemoryStores) -> Vec<Vec<(Vec<u8>, Vec<u8>)>> {
    VIEWS.map(|view| stores.disk(view).dump()).into()
}

/// What the index says of keys 1 to 30.
fn index_says(projection: &Projection) -> Vec<Option<verify::KeyState>> {
    (1..=30).map(|n| projection.index.key(&tenant("acme"), key_id(n))).collect()
}

#[tokio::test(start_paused = true)]
async fn deleting_everything_and_starting_again_gives_the_same_answers() {
    let log = Log::new().with_keys(1..=30).await;
    let stores = MemoryStores::new();
    let mut projection = log.projection(&stores).await;
    for n in (1..=30).step_by(4) {
        log.append(&key_stream("acme", n), revoke(RevokeReason::Superseded)).await;
        if n % 3 == 0 {
            projection.stop().await;
            projection = log.projection(&stores).await;
        }
    }
    caught_up(&projection, log.log_head().await).await;
    let (followed, said) = (dump(&stores), index_says(&projection));
    projection.stop().await;
    let anew = MemoryStores::new();
    let projection = log.projection(&anew).await;
    assert!(dump(&anew) == followed);
    assert_eq!(index_says(&projection), said);
}

#[tokio::test(start_paused = true)]
async fn a_crash_at_any_moment_loses_nothing_that_the_log_has() {
    let log = Log::new().with_keys(1..=10).await;
    let stores = MemoryStores::new();
    for n in 1..=10 {
        let projection = log.projection(&stores).await;
        log.append(&key_stream("acme", n), revoke(RevokeReason::Leaked)).await;
        // Some of the workers have heard of it by now, others have not.
        for _ in 0..n {
            tokio::task::yield_now().await;
        }
        drop(projection);
        stores.crash_keeping(usize::try_from(n % 3).unwrap());
    }
    let projection = log.projection(&stores).await;
    let anew = MemoryStores::new();
    let rebuilt = log.projection(&anew).await;
    assert!(dump(&stores) == dump(&anew));
    assert_eq!(index_says(&projection), index_says(&rebuilt));
    let key = projection.keys().one(&tenant("acme"), key_id(10)).await.unwrap().unwrap();
    assert_eq!(key.standing, Standing::Revoked);
}

#[tokio::test(start_paused = true)]
async fn the_index_goes_on_from_where_it_was_saved() {
    let log = Log::new().with_keys(1..=20).await;
    let stores = MemoryStores::new();
    log.projection(&stores).await.stop().await;
    let head = log.append(&key_stream("acme", 5), revoke(RevokeReason::Unused)).await;
    let projection = log.start(Arc::new(stores.clone())).await;
    assert_eq!(projection.index.applied(), Position::new(21), "read from the snapshot, nothing followed yet");
    assert_eq!(*projection.applied().borrow(), Position::new(21));
    caught_up(&projection, head).await;
    let said = index_says(&projection);
    let rebuilt = log.projection(&MemoryStores::new()).await;
    assert_eq!(said, index_says(&rebuilt));
}

/// Starts on a snapshot and answers where the index began and what it says in the end.
async fn started_with(log: &Log, snapshot: Vec<u8>) -> (Position, Vec<Option<verify::KeyState>>) {
    let stores = MemoryStores::new();
    stores.set_snapshot(Some(snapshot));
    let projection = log.start(Arc::new(stores)).await;
    let began = projection.index.applied();
    caught_up(&projection, log.log_head().await).await;
    (began, index_says(&projection))
}

fn empty_snapshot(log_id: LogId, position: u64, reader: u32) -> Vec<u8> {
    let (_, mut writer) = new_index(MAX_STALENESS);
    let position = Position::new(position);
    writer.advance(position);
    let mut bytes = Vec::new();
    writer.write_snapshot(&SnapshotHeader { log_id, position, reader }, &mut bytes).unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn a_saved_index_that_is_no_good_is_not_used() {
    let log = Log::new().with_keys(1..=20).await;
    let stores = MemoryStores::new();
    let projection = log.projection(&stores).await;
    let said = index_says(&projection);
    projection.stop().await;
    let good = stores.snapshot().unwrap();
    assert_eq!(started_with(&log, good.clone()).await, (Position::new(21), said.clone()));
    let mut bit = good.clone();
    let middle = bit.len() / 2;
    bit[middle] ^= 1;
    let reader = wire::READER_LEVEL;
    let bad = [
        ("empty", Vec::new()),
        ("cut off", good[..good.len() - 1].to_vec()),
        ("one bit", bit),
        ("another log", empty_snapshot(LogId::from_u128(78), 21, reader)),
        ("beyond the head", empty_snapshot(LOG, 22, reader)),
        ("a reader of less", empty_snapshot(LOG, 21, reader - 1)),
        ("a reader of more", empty_snapshot(LOG, 21, reader + 1)),
    ];
    for (what, bytes) in bad {
        assert_eq!(started_with(&log, bytes).await, (Position::NONE, said.clone()), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn views_of_a_log_that_is_gone_are_rebuilt() {
    let stores = MemoryStores::new();
    Log::new().with_keys(1..=20).await.projection(&stores).await.stop().await;
    // The same log id but a shorter history: restored from an older backup.
    let shorter = Log::new().with_keys(40..=45).await;
    let projection = shorter.projection(&stores).await;
    let anew = MemoryStores::new();
    let rebuilt = shorter.projection(&anew).await;
    assert!(dump(&stores) == dump(&anew));
    assert_eq!(index_says(&projection), index_says(&rebuilt));
    projection.stop().await;
    // Another log altogether, and a longer one.
    let other = Log { log: MemoryLog::create(LogId::from_u128(78)) }.with_keys(50..=90).await;
    let projection = other.projection(&stores).await;
    assert!(projection.keys().one(&tenant("acme"), key_id(45)).await.unwrap().is_none());
    assert!(projection.keys().one(&tenant("acme"), key_id(90)).await.unwrap().is_some());
    assert!(projection.index.key(&tenant("acme"), key_id(45)).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_quiet_service_is_flushed_soon() {
    let log = Log::new().with_keys(1..=5).await;
    let stores = MemoryStores::new();
    let projection = log.projection(&stores).await;
    assert!(VIEWS.iter().any(|view| stores.disk(view).unflushed() > 0));
    tokio::time::sleep(crate::view_worker::FLUSH_AFTER * 2).await;
    assert!(VIEWS.iter().all(|view| stores.disk(view).unflushed() == 0));
    drop(projection);
    stores.crash();
    assert!(stores.open_tree("keys").unwrap().scan(b"r", None, 10).unwrap().len() == 5);
}
