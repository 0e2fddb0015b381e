//! Tests of the notice worker: one server, two that race, one that dies, and a feed that fails in both halves.

use std::sync::atomic::{AtomicU64, Ordering};

use domain::{RevokeReason, StreamName};
use parking_lot::Mutex;
use tokio::task::{AbortHandle, JoinSet};

use super::*;
use crate::given::{LOG, Log, PATIENCE, issue, key_stream, open, revoke, tenant};
use crate::stores::MemoryStores;

/// A feed in memory that keeps the real one's promises. A clone is another server's end of it.
#[derive(Clone, Debug, Default)]
struct MemoryFeed {
    stored: Arc<Mutex<Vec<StoredNotice>>>,
    /// This many appends fail: the even ones without a trace, the odd ones after half of it was stored.
    failing: Arc<AtomicU64>,
    appends: Arc<AtomicU64>,
    lost: Arc<AtomicU64>,
}

impl Feed for MemoryFeed {
    async fn last(&self) -> Result<Option<StoredNotice>, FeedError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(self.stored.lock().last().cloned())
    }

    async fn last_of_tenant(&self, tenant: &TenantId) -> Result<Option<StoredNotice>, FeedError> {
        let of = |notice: &&StoredNotice| notice.subject.starts_with(tenant.as_str());
        Ok(self.stored.lock().iter().rev().find(of).cloned())
    }

    async fn append(&self, expected_last: u64, notices: Vec<Notice>) -> Result<FeedOutcome, FeedError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        self.appends.fetch_add(1, Ordering::SeqCst);
        let mut stored = self.stored.lock();
        if stored.len() as u64 != expected_last {
            self.lost.fetch_add(1, Ordering::SeqCst);
            return Ok(FeedOutcome::LostRace);
        }
        let failing =
            self.failing.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| left.checked_sub(1)).ok();
        let keep = match failing {
            Some(left) if left % 2 == 0 => 0,
            Some(_) => notices.len().div_ceil(2),
            None => notices.len(),
        };
        for notice in notices.into_iter().take(keep) {
            let sequence = stored.len() as u64 + 1;
            let subject = format!("{}.{}.{}", notice.tenant, notice.kind, notice.key);
            stored.push(StoredNotice { sequence, subject, id: notice.id, payload: notice.payload });
        }
        match failing {
            Some(_) => Err(FeedError { reason: "no answer".to_owned() }),
            None => Ok(FeedOutcome::Appended { last: stored.len() as u64 }),
        }
    }
}

/// Servers that announce one log on one feed.
struct Servers {
    feed: MemoryFeed,
    log: Log,
    workers: JoinSet<()>,
    stop: tokio::sync::watch::Sender<bool>,
    stopped: Stop,
}

impl Servers {
    async fn new() -> Self {
        let (stop, stopped) = Stop::new();
        let log = Log::new();
        for name in ["acme", "zeta"] {
            log.append(&StreamName::Tenant(tenant(name)), open()).await;
        }
        Self { feed: MemoryFeed::default(), log, workers: JoinSet::new(), stop, stopped }
    }

    fn start(&mut self) -> AbortHandle {
        self.workers.spawn(run(self.feed.clone(), self.log.port(), self.stopped.clone()))
    }

    /// Issues keys, of which every third is revoked at once and some event cannot be read.
    async fn busy(&self, keys: std::ops::Range<u64>) {
        for n in keys {
            let stream = key_stream(if n % 4 == 0 { "zeta" } else { "acme" }, u128::from(n) + 1);
            self.log.append(&stream, issue(n)).await;
            if n % 3 == 0 {
                self.log.append_bytes(&stream, b"\xff".to_vec()).await;
                self.log.append(&stream, revoke(RevokeReason::Policy)).await;
            }
            if n % 7 == 0 {
                tokio::time::sleep(Duration::from_millis(n % 5)).await;
            }
        }
    }

    /// Waits until the feed says exactly what the view of notices says.
    async fn all_is_announced(&self) {
        let projection = self.log.projection(&MemoryStores::new()).await;
        let mut wanted = Vec::new();
        loop {
            let after = wanted.last().map_or(Position::NONE, |notice: &crate::StoredNotice| notice.position);
            let page = projection.notices().after(None, after, 200).await.unwrap();
            if page.is_empty() {
                break;
            }
            wanted.extend(page);
        }
        let there = async {
            while self.feed.stored.lock().len() < wanted.len() {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(PATIENCE, there).await.expect("all is announced in time");
        let stored = self.feed.stored.lock();
        assert_eq!(stored.len(), wanted.len());
        for (stored, wanted) in stored.iter().zip(&wanted) {
            assert_eq!(stored.id, wanted.position.to_string());
            assert_eq!(stored.payload, wanted.json, "each says the tenant's notice before it");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn one_server_announces_everything_once_and_in_order() {
    let mut servers = Servers::new().await;
    servers.busy(0..50).await;
    servers.start();
    servers.busy(50..100).await;
    servers.all_is_announced().await;
    servers.stop.send_replace(true);
    tokio::time::timeout(PATIENCE, servers.workers.join_next()).await.expect("it stops");
}

#[tokio::test(start_paused = true)]
async fn servers_that_race_announce_everything_once_and_in_order() {
    let mut servers = Servers::new().await;
    servers.busy(0..50).await;
    for _ in 0..3 {
        servers.start();
    }
    servers.busy(50..600).await;
    servers.all_is_announced().await;
    let (appends, lost) =
        (servers.feed.appends.load(Ordering::SeqCst), servers.feed.lost.load(Ordering::SeqCst));
    assert!(lost >= 2, "they did race");
    assert!(lost * 10 < appends, "who stands by does not go on racing: {lost} of {appends} lost");
}

#[tokio::test(start_paused = true)]
async fn another_takes_over_when_the_active_one_dies() {
    let mut servers = Servers::new().await;
    let mut running = VecDeque::from([servers.start(), servers.start()]);
    for round in 0..6 {
        servers.busy(round * 20..round * 20 + 20).await;
        // Whichever was active: both die in turn, at some moment of their work.
        running.pop_front().unwrap().abort();
        servers.busy(200 + round * 20..200 + round * 20 + 20).await;
        servers.all_is_announced().await;
        running.push_back(servers.start());
    }
}

#[tokio::test(start_paused = true)]
async fn a_feed_that_fails_in_both_halves_is_neither_doubled_nor_skipped() {
    let mut servers = Servers::new().await;
    servers.start();
    servers.start();
    for round in 0..10 {
        servers.feed.failing.store(round % 4, Ordering::SeqCst);
        servers.busy(round * 30..round * 30 + 30).await;
    }
    servers.all_is_announced().await;
}

#[tokio::test(start_paused = true)]
async fn a_feed_of_another_log_is_left_alone() {
    let mut servers = Servers::new().await;
    servers.busy(0..5).await;
    let other = format!("{{\"source\":\"/logs/{}\"}}", LogId::from_u128(LOG.to_u128() + 1));
    let alien =
        StoredNotice { sequence: 1, subject: String::new(), id: "1".to_owned(), payload: other.into() };
    servers.feed.stored.lock().push(alien.clone());
    servers.start();
    tokio::time::timeout(PATIENCE, servers.workers.join_next()).await.expect("it ends by itself");
    assert_eq!(*servers.feed.stored.lock(), [alien]);
}
