//! What guards reach of a node while its process runs: what it tells guards, and its feed, out of its own index and views.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use application::Ambient;
use domain::{KeyId, LogId, Position, StreamName, TenantId};
use eventlog::{EventLog, Recorded};
use parking_lot::Mutex;
use projection::{MAX_PAGE, Notices, Projection};
use server::guards::{self, Proof};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use verify::KeyIndex;
use wire::guard::{AskFill, AskLease, Filled, LeaseGranted, Registered};
use wire::{Hint, NoticeKind};

use super::ambient::SimAmbient;
use super::judge::MAX_STALENESS;

/// As long as the server waits for its index and its view of notices.
const REACH_WITHIN: Duration = Duration::from_secs(5);
const HEARTBEAT: Duration = Duration::from_secs(1);
/// Before somebody who hears nothing looks whether there is still anybody who could speak.
const LISTEN_AGAIN: Duration = Duration::from_millis(500);

/// Where a node's process can be reached, while there is one.
#[derive(Default)]
pub(crate) struct Door(Mutex<Option<Arc<Room>>>);

/// One process.
pub(crate) struct Room {
    log: Arc<dyn EventLog>,
    index: Arc<KeyIndex>,
    applied: watch::Receiver<Position>,
    notices: Notices,
    clock: Arc<SimAmbient>,
    /// Who is registered with this process.
    guards: Mutex<BTreeSet<String>>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NotTold {
    Away,
    /// The guard has to register first.
    Unknown,
}

/// What a feed says.
#[derive(Clone, Debug)]
pub(crate) enum Said {
    Hello {
        log_id: LogId,
        head: Position,
        last_notice: Position,
    },
    /// CloudEvents JSON.
    Notice(String),
    Heartbeat {
        head: Position,
        last_notice: Position,
    },
    /// Where the guard wants to go on is beyond this history.
    Reset,
}

impl Door {
    pub(crate) fn open(&self, log: Arc<dyn EventLog>, projection: &Projection, clock: Arc<SimAmbient>) {
        *self.0.lock() = Some(Arc::new(Room {
            log,
            index: Arc::clone(&projection.index),
            applied: projection.applied(),
            notices: projection.notices(),
            clock,
            guards: Mutex::default(),
        }));
    }

    pub(crate) fn shut(&self) {
        *self.0.lock() = None;
    }

    fn room(&self) -> Result<Arc<Room>, NotTold> {
        self.0.lock().clone().ok_or(NotTold::Away)
    }

    /// The process that was asked is the one that answers.
    fn still(&self, room: &Arc<Room>) -> Result<(), NotTold> {
        let is_open = self.0.lock().as_ref().is_some_and(|open| Arc::ptr_eq(open, room));
        if is_open { Ok(()) } else { Err(NotTold::Away) }
    }

    fn room_of(&self, guard_id: &str) -> Result<Arc<Room>, NotTold> {
        let room = self.room()?;
        if room.guards.lock().contains(guard_id) { Ok(room) } else { Err(NotTold::Unknown) }
    }

    /// `POST /v1/guard/register`.
    pub(crate) async fn register(&self, guard_id: &str, tenant: &TenantId) -> Result<Registered, NotTold> {
        let room = self.room()?;
        room.index.tenant(tenant).ok_or(NotTold::Away)?;
        room.guards.lock().insert(guard_id.to_owned());
        // Now that it is known: whatever it rests on must have what came before.
        let head = room.log.head().await.map_err(|_| NotTold::Away)?;
        room.reach(head).await?;
        self.still(&room)?;
        Ok(Registered {
            log_id: room.log.log_id().to_string(),
            at_least: head.get(),
            max_staleness_ms: u64::try_from(MAX_STALENESS.as_millis()).unwrap_or(u64::MAX),
            server: String::new(),
            now: None,
        })
    }

    /// `POST /v1/guard/lease`.
    pub(crate) async fn lease(&self, tenant: &TenantId, ask: &AskLease) -> Result<LeaseGranted, NotTold> {
        let room = self.room_of(&ask.guard_id)?;
        room.reach(Position::new(ask.applied)).await?;
        self.still(&room)?;
        let proof = Proof::take(&room.index).ok_or(NotTold::Away)?;
        let now = room.clock.boot_ms();
        Ok(proof.lease(&room.index, room.log.log_id(), tenant, (ask.nonce, now)))
    }

    /// `POST /v1/guard/fill`.
    pub(crate) async fn fill(&self, tenant: &TenantId, ask: &AskFill) -> Result<Filled, NotTold> {
        let room = self.room_of(&ask.guard_id)?;
        let keys: Vec<KeyId> = ask.keys.iter().filter_map(|key| key.parse().ok()).collect();
        room.reach(Position::new(ask.at_least)).await?;
        self.still(&room)?;
        Ok(guards::fill(&room.index, room.log.log_id(), tenant, &keys))
    }

    /// What servers say of keys that ended, behind the last position that is known: as soon as it stands in the log, whatever
    /// this one's index has. The first call tells from where on it listens.
    pub(crate) async fn hints(&self, tenant: &TenantId, known: &mut Option<Position>) -> Vec<Hint> {
        loop {
            if let Ok(room) = self.room() {
                let told = async {
                    let after = match *known {
                        Some(known) => known,
                        None => room.log.head().await.ok()?,
                    };
                    *known = Some(after);
                    room.log.follow(after).await.ok()?.next().await.ok()
                };
                if let Ok(Some(events)) = timeout(LISTEN_AGAIN, told).await {
                    *known = events.last().map(|event| event.position);
                    return events
                        .iter()
                        .filter_map(|event| hint(room.log.log_id(), tenant, event))
                        .collect();
                }
            }
            sleep(LISTEN_AGAIN).await;
        }
    }

    /// `GET /v1/feed`, from where the guard was.
    pub(crate) async fn feed(&self, tenant: &TenantId, resume: Option<Position>) -> Result<Feed, NotTold> {
        let room = self.room()?;
        let applied = room.applied.clone();
        let head = *applied.borrow();
        room.shows(head).await?;
        let last_notice = room.notices.last(Some(tenant)).await.map_err(|_| NotTold::Away)?;
        // The view may have gone on meanwhile.
        let head = head.max(last_notice);
        let mut said = VecDeque::from([Said::Hello { log_id: room.log.log_id(), head, last_notice }]);
        let is_beyond = resume.is_some_and(|resume| resume > head);
        said.extend(is_beyond.then_some(Said::Reset));
        let sent = resume.filter(|_| !is_beyond).unwrap_or(head);
        self.still(&room)?;
        Ok(Feed {
            room,
            tenant: tenant.clone(),
            applied,
            sent,
            last_notice,
            said,
            has_news: true,
            next_heartbeat: Instant::now() + HEARTBEAT,
        })
    }
}

/// The hint that whoever appended this event tells of it, if it ends a key of this tenant.
fn hint(log_id: LogId, tenant: &TenantId, event: &Recorded) -> Option<Hint> {
    let stream: StreamName = event.stream.as_str().parse().ok()?;
    let envelope = wire::decode(&stream, &event.payload).ok()?;
    let (key_id, position) = (stream.key_id()?, event.position);
    let ends = NoticeKind::of(&envelope) == Some(NoticeKind::Revoked) && stream.tenant() == tenant;
    ends.then(|| Hint { log_id, tenant: tenant.clone(), key_id, position, at: envelope.occurred_at })
}

impl Room {
    async fn reach(&self, position: Position) -> Result<(), NotTold> {
        let mut applied = self.applied.clone();
        let reached = timeout(REACH_WITHIN, applied.wait_for(|applied| *applied >= position)).await;
        if matches!(reached, Ok(Ok(_))) { Ok(()) } else { Err(NotTold::Away) }
    }

    async fn shows(&self, position: Position) -> Result<(), NotTold> {
        let mut status = self.notices.status();
        let shown = timeout(REACH_WITHIN, status.wait_for(|status| status.applied >= position)).await;
        if matches!(shown, Ok(Ok(_))) { Ok(()) } else { Err(NotTold::Away) }
    }
}

/// One connection's feed.
pub(crate) struct Feed {
    room: Arc<Room>,
    tenant: TenantId,
    applied: watch::Receiver<Position>,
    /// Every notice up to here was sent.
    sent: Position,
    last_notice: Position,
    said: VecDeque<Said>,
    /// The view may have more. Stays if a call is dropped.
    has_news: bool,
    next_heartbeat: Instant,
}

impl Feed {
    /// What comes next; an error when the process is gone.
    pub(crate) async fn next(&mut self, door: &Door) -> Result<Vec<Said>, NotTold> {
        while self.said.is_empty() {
            door.still(&self.room)?;
            if self.has_news {
                self.read().await?;
                continue;
            }
            tokio::select! {
                biased;
                changed = self.applied.changed() => changed.map_err(|_| NotTold::Away)?,
                () = sleep_until(self.next_heartbeat) => {}
            }
            self.has_news = true;
        }
        Ok(self.said.drain(..).collect())
    }

    /// The position first, then the notices up to it: a heartbeat says that all of them were sent.
    async fn read(&mut self) -> Result<(), NotTold> {
        let up_to = *self.applied.borrow();
        self.room.shows(up_to).await?;
        let page = self.room.notices.after(Some(&self.tenant), self.sent, MAX_PAGE).await;
        let page = page.map_err(|_| NotTold::Away)?;
        let is_last = page.len() < MAX_PAGE;
        for notice in page {
            self.sent = notice.position;
            self.last_notice = self.last_notice.max(notice.position);
            self.said.push_back(Said::Notice(notice.json));
        }
        if is_last {
            self.sent = self.sent.max(up_to);
            self.has_news = *self.applied.borrow() > up_to;
            if Instant::now() >= self.next_heartbeat {
                self.said.push_back(Said::Heartbeat { head: self.sent, last_notice: self.last_notice });
                self.next_heartbeat = Instant::now() + HEARTBEAT;
            }
        }
        Ok(())
    }
}
