//! What the index worker does with recalls, snapshots and the events of a whole life.

use domain::{LeakResponse, Selector, Standing};
use verify::new_index;

use super::*;
use crate::given::life::{close, configure, import, leak, reinstate, relabel, rotate, suspend, transfer};
use crate::given::{
    LOG, Log, MAX_STALENESS, caught_up, envelope, issue, key_id, key_stream, of_owner, open, recall,
    recorded, tenant, wait,
};
use crate::stores::MemoryStores;

fn worker(log: &Log, stores: &MemoryStores) -> IndexWorker {
    let (_, writer) = new_index(MAX_STALENESS);
    IndexWorker::new(
        log.port(),
        Arc::new(stores.clone()),
        Told::new(Position::NONE),
        writer,
        mpsc::channel(1).1,
    )
}

fn rows() -> Rows {
    let (_, writer) = new_index(MAX_STALENESS);
    Rows::new(writer, Position::NONE)
}

/// A log's events from position 1, each at the next revision of its stream.
fn events(of: impl IntoIterator<Item = (StreamName, Event)>) -> Vec<Recorded> {
    let mut revisions: HashMap<String, u32> = HashMap::new();
    let recorded = |(position, (stream, event)): (u64, (StreamName, Event))| {
        let revision = revisions.entry(stream.to_string()).or_default();
        *revision += 1;
        recorded(position, &stream, wire::encode(&envelope(&stream, *revision, event)))
    };
    (1..).zip(of).map(recorded).collect()
}

fn acme() -> StreamName {
    StreamName::Tenant(tenant("acme"))
}

fn standing(rows: &Rows, n: u128) -> Standing {
    rows.writer.index().key(&tenant("acme"), key_id(n)).unwrap().key.standing
}

#[test]
fn every_event_of_a_life_finds_its_way_into_the_rows() {
    let key = |n| key_stream("acme", n);
    let mut rows = rows();
    let events = events([
        (acme(), open()),
        (key(1), issue(1)),
        (key(2), import(2)),
        (key(3), issue(3)),
        (acme(), configure("acme")),
        (key(1), suspend(None)),
        (key(2), relabel(&["service=lists"])),
        (key(3), rotate(key_id(4))),
        (key(1), reinstate()),
        (key(2), leak(LeakResponse::Suspend)),
        (key(3), transfer(9)),
        (acme(), recall(of_owner(9))),
    ]);
    assert_eq!(rows.take_in(&events, None), Ok(()));
    assert_eq!(
        [1, 2, 3].map(|n| standing(&rows, n)),
        [Standing::Active, Standing::Suspended, Standing::Recalled]
    );
    let index = rows.writer.index();
    let state = index.tenant(&tenant("acme")).unwrap();
    assert_eq!(
        (state.revision.get(), state.last, state.last_notice),
        (3, Position::new(12), Position::new(12))
    );
    assert!(!state.closed && !state.quarantined);
    let closed = recorded(13, &acme(), wire::encode(&envelope(&acme(), 4, close())));
    assert_eq!(rows.take_in(&[closed], None), Ok(()));
    assert!(rows.writer.index().tenant(&tenant("acme")).unwrap().closed);
}

#[test]
fn recalls_never_pile_up_while_events_keep_coming() {
    let mut rows = rows();
    let recalls = (0..200).map(|n| (acme(), recall(of_owner(n % 5))));
    let events = events([(acme(), open()), (key_stream("acme", 1), issue(1))].into_iter().chain(recalls));
    assert_eq!(rows.take_in(&events, None), Ok(()));
    assert!(rows.writer.pending_recalls() < MAX_PENDING_RECALLS);
    assert_eq!(standing(&rows, 1), Standing::Recalled);
}

#[tokio::test(start_paused = true)]
async fn recalls_are_settled_once_nothing_waits() {
    let log = Log::new().with_keys(1..=20).await;
    let stores = MemoryStores::new();
    let mut worker = worker(&log, &stores);
    log.append(&acme(), recall(Selector::ALL)).await;
    let mut status = worker.told.status.subscribe();
    let (stop, stopped) = Stop::new();
    let asking = async {
        let reached = |status: &Status| status.stage == Stage::Ready && status.applied == Position::new(22);
        let _ = status.wait_for(reached).await.unwrap();
        // The worker lets others go first once, and is at its next wait before this is heard: it is on this thread.
        for _ in 0..2 {
            yield_now().await;
        }
        stop.send_replace(true);
    };
    let (mut stopped, mut backoff) = (stopped, Backoff::new());
    let (end, ()) = tokio::join!(worker.follow(&mut stopped, &mut backoff), asking);
    assert!(matches!(end, End::Stopped));
    let rows = worker.rows.as_ref().unwrap();
    assert_eq!((rows.writer.pending_recalls(), standing(rows, 3)), (0, Standing::Recalled));
}

#[tokio::test(start_paused = true)]
async fn a_saved_index_says_what_was_recalled_and_the_writer_stays() {
    let log = Log::new().with_keys(1..=20).await;
    let stores = MemoryStores::new();
    let mut worker = worker(&log, &stores);
    let events = log.log.follow(Position::NONE).await.unwrap().next().await.unwrap();
    worker.take_in(events).unwrap_or_else(|_| panic!("the log has no holes"));
    let position = log.append(&acme(), recall(Selector::ALL)).await;
    let events = log.log.follow(Position::new(21)).await.unwrap().next().await.unwrap();
    worker.take_in(events).unwrap_or_else(|_| panic!("the log has no holes"));
    worker.save().await;
    worker.save().await;
    assert!(worker.rows.is_some(), "nothing new to save is no reason to stop");
    let (index, _writer) = crate::snapshot::load(&stores, LOG, Some(position), MAX_STALENESS);
    assert_eq!(index.applied(), position);
    for n in 1..=20 {
        assert_eq!(index.key(&tenant("acme"), key_id(n)).unwrap().key.standing, Standing::Recalled);
    }
}

#[tokio::test(start_paused = true)]
async fn a_recall_is_told_live_like_any_notice() {
    let log = Log::new().with_keys(1..=2).await;
    let projection = log.projection(&MemoryStores::new()).await;
    let mut live = projection.live_notices();
    let position = log.append(&acme(), recall(of_owner(1))).await;
    wait(projection.index_status(), position).await;
    assert_eq!(live.recv().await.unwrap().position, position);
    caught_up(&projection, position).await;
    projection.stop().await;
}
