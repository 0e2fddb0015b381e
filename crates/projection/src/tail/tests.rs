//! Tests of the tail: at hand the log is not read, behind it and beyond it the log is, and nothing is skipped or repeated.

use std::sync::atomic::{AtomicU64, Ordering};

use super::*;
use crate::given::{Log, PATIENCE, recorded, tenant};

/// A log that counts who follows it.
#[derive(Debug)]
struct Counting {
    log: Arc<dyn EventLog>,
    follows: AtomicU64,
}

#[async_trait]
impl EventLog for Counting {
    fn log_id(&self) -> LogId {
        self.log.log_id()
    }

    fn durability(&self) -> Durability {
        self.log.durability()
    }

    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError> {
        self.log.append(unit).await
    }

    async fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError> {
        self.log.read_stream(stream, after).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.log.head().await
    }

    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        self.follows.fetch_add(1, Ordering::SeqCst);
        self.log.follow(after).await
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        self.log.pulse().await
    }
}

struct Scene {
    /// Of 1 + 20 events.
    log: Arc<Counting>,
    tail: Tail,
    tailed: Arc<dyn EventLog>,
}

const HEAD: u64 = 21;

impl Scene {
    /// The index stands there.
    async fn at(applied: u64) -> Self {
        let log = Log::new().with_keys(1..HEAD).await.port();
        let log = Arc::new(Counting { log, follows: AtomicU64::new(0) });
        let tail = Tail::new(Position::new(applied));
        let tailed = tail.of(Arc::clone(&log) as Arc<dyn EventLog>);
        Self { log, tail, tailed }
    }

    /// The index takes in everything from there up to here, in one run.
    async fn index_takes_in(&self, after: u64, applied: u64) {
        let events = self.log.log.follow(Position::new(after)).await.unwrap().next().await.unwrap();
        self.tail.keep(events, Position::new(applied));
        self.tail.pass();
    }

    fn follows(&self) -> u64 {
        self.log.follows.load(Ordering::SeqCst)
    }
}

/// Whether nothing comes now.
async fn is_silent(follower: &mut dyn Follower) -> bool {
    tokio::select! {
        biased;
        _ = follower.next() => false,
        () = std::future::ready(()) => true,
    }
}

/// What comes next, up to and with a position: dense from `after`.
async fn hears(follower: &mut dyn Follower, after: u64, up_to: u64) {
    let mut last = after;
    while last < up_to {
        let events = tokio::time::timeout(PATIENCE, follower.next()).await.expect("it comes").unwrap();
        assert!(!events.is_empty());
        for event in events {
            assert_eq!(event.position.get(), last + 1);
            last += 1;
        }
    }
    assert_eq!(last, up_to);
}

#[tokio::test]
async fn what_the_index_takes_in_is_heard_without_reading_the_log() {
    let scene = Scene::at(5).await;
    let mut follower = scene.tailed.follow(Position::new(5)).await.unwrap();
    assert!(is_silent(&mut *follower).await, "the log has more, the index has not");
    scene.index_takes_in(5, 9).await;
    hears(&mut *follower, 5, 9).await;
    assert!(is_silent(&mut *follower).await);
    // A run may begin with what the one before had.
    scene.index_takes_in(7, 15).await;
    scene.index_takes_in(14, 16).await;
    scene.index_takes_in(3, 12).await;
    hears(&mut *follower, 9, 16).await;
    assert_eq!(scene.follows(), 0);
}

#[tokio::test]
async fn who_is_further_behind_follows_the_log_until_it_has_caught_up() {
    let scene = Scene::at(9).await;
    let mut follower = scene.tailed.follow(Position::new(2)).await.unwrap();
    hears(&mut *follower, 2, HEAD).await;
    assert_eq!(scene.follows(), 1);
    scene.index_takes_in(9, HEAD).await;
    assert!(is_silent(&mut *follower).await);
    assert_eq!(scene.follows(), 1, "it waits for the index, not for the log");
}

#[tokio::test]
async fn who_is_ahead_of_the_index_is_as_who_follows_the_log() {
    let scene = Scene::at(0).await;
    let mut follower = scene.tailed.follow(Position::new(HEAD)).await.unwrap();
    assert_eq!(scene.follows(), 1);
    assert!(is_silent(&mut *follower).await);
    scene.index_takes_in(0, 7).await;
    assert!(is_silent(&mut *follower).await, "nothing is heard twice");
    let beyond = scene.tailed.follow(Position::new(HEAD + 1)).await;
    assert!(matches!(beyond, Err(ReadError::AheadOfLog { .. })), "another log is found out");
}

#[tokio::test]
async fn once_the_index_is_followed_no_more_everybody_follows_the_log() {
    let scene = Scene::at(5).await;
    let mut follower = scene.tailed.follow(Position::new(5)).await.unwrap();
    let waiting = async {
        tokio::task::yield_now().await;
        scene.tail.end();
    };
    let (events, ()) = tokio::join!(follower.next(), waiting);
    assert_eq!(events.unwrap()[0].position, Position::new(6));
    assert_eq!(scene.follows(), 1);
}

#[test]
fn what_lies_behind_a_hole_is_not_kept_and_the_oldest_go() {
    let tail = Tail::new(Position::NONE);
    let stream = domain::StreamName::Tenant(tenant("acme"));
    let event = |position, bytes| recorded(position, &stream, vec![0; bytes]);
    tail.keep(vec![event(1, 9), event(2, 9), event(4, 9)], Position::new(2));
    let Behind::Events(events) = tail.ring.lock().behind(Position::NONE) else { panic!("it is at hand") };
    assert_eq!(events.len(), 2);
    for position in 3..100 {
        tail.keep(vec![event(position, 100_000)], Position::new(position));
        assert!(tail.ring.lock().bytes <= AT_HAND_BYTES);
    }
    assert!(matches!(tail.ring.lock().behind(Position::new(2)), Behind::Gone));
    assert!(matches!(tail.ring.lock().behind(Position::new(90)), Behind::Events(_)));
    tail.keep(vec![event(100, AT_HAND_BYTES)], Position::new(100));
    assert!(
        matches!(tail.ring.lock().behind(Position::new(99)), Behind::Gone),
        "larger than there is room for"
    );
    assert!(matches!(tail.ring.lock().behind(Position::new(100)), Behind::Nothing));
}
