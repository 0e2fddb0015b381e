//! Views that are what the log says are found to be, under load too; one that was changed by hand is named with the event.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::{LeakResponse, Position, RevokeReason, Selector, StreamName};

use super::*;
use crate::Projection;
use crate::given::life::{
    configure, first_use, leak, move_expiry, relabel, rename, rescope, rotate, succeed, suspend, transfer,
};
use crate::given::{
    Log, NOW, PATIENCE, caught_up, issue, key_id, key_stream, of_owner, recall, revoke, tenant, wait,
};
use crate::stores::{DiskStores, MemoryStores};
use crate::tree::Tree;

/// As fast as it goes.
const FAST: u32 = u32::MAX;

async fn lives(log: &Log) {
    let key = |n| key_stream("acme", n);
    for (stream, event) in [
        (key(1), rename("Newsletter")),
        (key(2), relabel(&["service=mailer-9"])),
        (key(3), transfer(7)),
        (key(4), rescope(&["lists:read"])),
        (key(5), suspend(None)),
        (key(6), rotate(key_id(60))),
        (key(60), succeed(6, key_id(6))),
        (key(60), first_use(5)),
        (key(7), move_expiry(Some(NOW.plus_millis(9)))),
        (key(8), leak(LeakResponse::Suspend)),
        (StreamName::Tenant(tenant("acme")), configure("Acme")),
        (StreamName::Tenant(tenant("acme")), recall(of_owner(1))),
        (key(9), revoke(RevokeReason::Compromised)),
    ] {
        log.append(&stream, event).await;
    }
    log.append_bytes(&key_stream("acme", 10), b"no event".to_vec()).await;
}

/// Begins one as soon as the one before has removed what it made aside, which it does behind its end.
async fn begin(projection: &Projection) -> Comparison {
    let begun = async {
        loop {
            match projection.compare(FAST) {
                Ok(comparison) => return comparison,
                Err(Busy) => tokio::task::yield_now().await,
            }
        }
    };
    tokio::time::timeout(PATIENCE, begun).await.expect("the one before is over in time")
}

async fn run(projection: &Projection, name: &'static str) -> Compared {
    let mut comparison = begin(projection).await;
    tokio::time::timeout(PATIENCE, comparison.run(name, |_| {})).await.expect("it ends").unwrap()
}

/// All of them, which have to be equal.
async fn all_equal(projection: &Projection) {
    let names = begin(projection).await.names();
    assert_eq!(names, ["index", "keys", "history", "tenants", "notices", "times"]);
    for name in names {
        let compared = run(projection, name).await;
        assert_eq!(compared.difference, None, "{name}");
        assert_eq!(compared.live, compared.replayed, "{name}");
        assert!(compared.live.rows > 0 && compared.position > Position::NONE, "{name}");
    }
}

#[tokio::test]
async fn what_follows_the_log_is_equal_to_what_the_log_makes() {
    let log = Log::new().with_keys(1..=20).await;
    lives(&log).await;
    let stores = MemoryStores::new();
    let projection = log.projection(&stores).await;
    all_equal(&projection).await;
    projection.stop().await;
    // From its snapshot, whose numbers of values are others.
    let projection = log.projection(&stores).await;
    log.append(&key_stream("acme", 11), revoke(RevokeReason::Other)).await;
    caught_up(&projection, log.log_head().await).await;
    all_equal(&projection).await;
}

#[tokio::test]
async fn a_row_that_missed_an_event_is_named_with_that_event() {
    let log = Log::new().with_keys(1..=20).await;
    let stores = MemoryStores::new();
    let projection = log.projection(&stores).await;
    let before = stores.disk("keys").dump();
    let missed = log.append(&key_stream("acme", 3), revoke(RevokeReason::Compromised)).await;
    log.append(&key_stream("acme", 4), rename("Later")).await;
    caught_up(&projection, log.log_head().await).await;
    // The row of the key as it was before, through the tree and not by the view.
    let id = key_id(3).to_bytes();
    let changed = |(name, value): &(Vec<u8>, Vec<u8>)| name.ends_with(&id) && !value.is_empty();
    let (name, old) = before.into_iter().find(changed).unwrap();
    stores.disk("keys").open().apply(vec![(name, Some(old))]).unwrap();
    let compared = run(&projection, "keys").await;
    assert_ne!(compared.live.digest, compared.replayed.digest);
    let difference = compared.difference.unwrap();
    assert_eq!((difference.changed, difference.missing, difference.surplus), (1, 0, 0));
    let parting = Parting {
        position: missed,
        event: Some("KeyRevoked"),
        tenant: Some(tenant("acme")),
        key_id: Some(key_id(3)),
        how: How::NotShown,
    };
    assert_eq!(difference.parting, Some(parting));
    assert_eq!(run(&projection, "history").await.difference, None, "only that view is meant");
}

#[tokio::test]
async fn rows_that_were_altered_lost_or_made_by_hand_are_told_apart_in_every_view() {
    for view in ["keys", "history", "tenants", "notices"] {
        let log = Log::new().with_keys(1..=5).await;
        let stores = MemoryStores::new();
        let projection = log.projection(&stores).await;
        let tree = stores.disk(view).open();
        let own = |(name, value): &(Vec<u8>, Vec<u8>)| name != crate::view::META && !value.is_empty();
        let (name, value) = stores.disk(view).dump().into_iter().rfind(own).unwrap();
        let differs = async || run(&projection, view).await.difference.unwrap();

        let mut altered = value.clone();
        *altered.last_mut().unwrap() ^= 1;
        tree.apply(vec![(name.clone(), Some(altered))]).unwrap();
        let found = differs().await;
        assert_eq!((found.changed, found.missing, found.surplus), (1, 0, 0), "{view}");
        let parting = found.parting.unwrap();
        assert_eq!((parting.how, parting.tenant), (How::Altered, Some(tenant("acme"))), "{view}");

        tree.apply(vec![(name.clone(), None)]).unwrap();
        let found = differs().await;
        assert_eq!((found.changed, found.missing, found.surplus), (0, 1, 0), "{view}");
        assert_eq!(found.parting.unwrap().how, How::NotShown, "{view}");

        tree.apply(vec![(name, Some(value)), (b"~by hand".to_vec(), Some(vec![1]))]).unwrap();
        let found = differs().await;
        assert_eq!((found.changed, found.missing, found.surplus), (0, 0, 1), "{view}");
        assert_eq!(found.parting, None, "no event wrote it");
        tree.apply(vec![(b"~by hand".to_vec(), None)]).unwrap();
        assert_eq!(run(&projection, view).await.difference, None, "{view}");
    }
}

/// The index from the snapshot of a history in which one event is another one.
#[tokio::test]
async fn an_index_that_is_not_of_this_log_is_named_with_the_event() {
    let other = Log::new().with_keys(1..=20).await;
    let position = other.append(&key_stream("acme", 3), rename("Still valid")).await;
    other.append(&key_stream("acme", 4), rename("Later")).await;
    let stores = MemoryStores::new();
    other.projection(&stores).await.stop().await;
    let log = Log::new().with_keys(1..=20).await;
    assert_eq!(log.append(&key_stream("acme", 3), revoke(RevokeReason::Compromised)).await, position);
    log.append(&key_stream("acme", 4), rename("Later")).await;
    let mine = MemoryStores::new();
    mine.set_snapshot(stores.snapshot());
    let projection = log.projection(&mine).await;
    let compared = run(&projection, "index").await;
    let difference = compared.difference.unwrap();
    // The key, and its tenant: a revocation has a notice and a new name has none.
    assert_eq!((difference.changed, difference.missing, difference.surplus), (2, 0, 0));
    let parting = difference.parting.unwrap();
    assert_eq!(
        (parting.position, parting.key_id, parting.event),
        (position, Some(key_id(3)), Some("KeyRevoked"))
    );
    assert_eq!(run(&projection, "keys").await.difference, None);
}

/// Events come all the time, and a recall that takes many batches; the views lie on disk.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_holds_while_the_log_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new().with_keys(1..=600).await;
    let projection = log.start(Arc::new(DiskStores::open(dir.path()).unwrap())).await;
    caught_up(&projection, log.log_head().await).await;
    let over = Arc::new(AtomicBool::new(false));
    let (writing, stop) = (log.clone(), Arc::clone(&over));
    let shown = projection.keys().status();
    let write = tokio::spawn(async move {
        let mut n = 1_000;
        while !stop.load(Ordering::Relaxed) {
            n += 1;
            writing.append(&key_stream("acme", n), issue(u64::try_from(n).unwrap())).await;
            let mut last = writing.append(&key_stream("acme", n), rename("Busy")).await;
            if n % 50 == 0 {
                last = writing.append(&StreamName::Tenant(tenant("acme")), recall(Selector::ALL)).await;
            }
            // As fast as the view follows, and no faster.
            wait(shown.clone(), last).await;
        }
    });
    for _ in 0..2 {
        all_equal(&projection).await;
    }
    over.store(true, Ordering::Relaxed);
    write.await.unwrap();
}

/// For each event that is replayed the log gets two more. The clock is the test's own: what takes minutes is over at once.
#[tokio::test(start_paused = true)]
async fn one_that_is_slower_than_the_log_ends_by_itself() {
    const PER_SECOND: u32 = 100;
    for name in ["index", "keys"] {
        let log = Log::new().with_keys(1..=1_500).await;
        let projection = log.projection(&MemoryStores::new()).await;
        caught_up(&projection, log.log_head().await).await;
        let (replayed, mut replaying) = tokio::sync::watch::channel(0_u64);
        let (writing, shown) = (log.clone(), projection.keys().status());
        let write = tokio::spawn(async move {
            let mut n = 10_000;
            let mut written = 0;
            while replaying.changed().await.is_ok() {
                let enough = 2 * *replaying.borrow_and_update();
                let mut last = Position::NONE;
                for _ in written..enough {
                    n += 1;
                    last = writing.append(&key_stream("acme", n), issue(u64::try_from(n).unwrap())).await;
                }
                written = written.max(enough);
                wait(shown.clone(), last).await;
            }
        });
        let mut comparison = projection.compare(PER_SECOND).unwrap();
        let began = tokio::time::Instant::now();
        let told = |step: Step| {
            let _ = replayed.send(step.done);
        };
        // A day of that clock: it never ends by itself otherwise.
        let ended =
            tokio::time::timeout(tokio::time::Duration::from_secs(86_400), comparison.run(name, told));
        let ended = ended.await.expect("it ends by itself");
        assert!(matches!(ended, Err(CompareError::Overtaken)), "{name}: {ended:?}");
        let took = began.elapsed().as_secs();
        assert!((60..120).contains(&took), "{name}: the first replay, and a minute: {took} s");
        assert!(ended.unwrap_err().to_string().contains("higher speed (--rate)"), "it says what to do");
        drop((replayed, comparison));
        write.await.unwrap();
        projection.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_at_a_time_and_nothing_is_left_when_it_is_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let scratch = dir.path().join("scratch");
    let log = Log::new().with_keys(1..=300).await;
    // What a crash left is gone with the next start.
    std::fs::create_dir_all(scratch.join("keys")).unwrap();
    let projection = log.start(Arc::new(DiskStores::open(dir.path()).unwrap())).await;
    assert!(!scratch.exists());
    caught_up(&projection, log.log_head().await).await;

    // So slow that it is given up on the way.
    let mut slow = projection.compare(1).unwrap();
    assert!(matches!(projection.compare(FAST), Err(Busy)));
    let begun = tokio::sync::Notify::new();
    tokio::select! {
        ended = slow.run("keys", |_| begun.notify_one()) => panic!("{ended:?}"),
        () = begun.notified() => assert!(scratch.is_dir()),
    }
    drop(slow);
    let free = async {
        loop {
            if let Ok(next) = projection.compare(FAST) {
                return next;
            }
            tokio::task::yield_now().await;
        }
    };
    let mut next = tokio::time::timeout(PATIENCE, free).await.expect("the next may begin");
    assert!(!scratch.exists(), "the next begins only when all is removed");
    // Each view has the folder for itself, though the one before leaves it to another thread.
    for name in next.names().repeat(3) {
        assert_eq!(next.run(name, |_| {}).await.unwrap().difference, None, "{name}");
    }
}
