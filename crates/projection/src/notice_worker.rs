//! Projects notices into the feed on JetStream: each exactly once and in order, however many servers do it at once.
//!
//! What is to be announced follows from the log alone, so every server would write the same notices at the same places. One
//! of them is active; the others stand by: they let an event rest for a moment, see that it was announced, and go on. Who is
//! active is decided by nobody: the feed takes only what comes right behind its last notice, and who is refused stands by.

use std::collections::{HashMap, VecDeque};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use domain::{LogId, Position, TenantId};
use eventlog::jetstream::{FeedError, FeedOutcome, Notice, NoticeFeed, StoredNotice};
use eventlog::{EventLog, Follower, ReadError, Recorded};
use thiserror::Error;
use tracing::{debug, error, info};
use wire::notice_of;

use crate::follow::{Backoff, Stop};
use crate::view::{Entry, is_announced};

/// How long a server that stands by lets an event rest before it looks whether it was announced: far longer than the active
/// one needs, and short enough that its loss is made up for well within `max_staleness`.
const REST: Duration = Duration::from_millis(100);

/// The most notices of one append, so that what an append holds in memory stays below a few megabytes.
const APPEND: usize = 1_000;

/// The most tenants whose last notice is kept at hand; beyond that the feed is asked again.
const LAST_CACHE: usize = 65_536;

/// The last position that this server knows to be announced.
const ANNOUNCED: &str = "rescind_feed_announced_position";

/// The feed as the worker needs it.
pub(crate) trait Feed: Send + Sync {
    fn last(&self) -> impl Future<Output = Result<Option<StoredNotice>, FeedError>> + Send;
    fn last_of_tenant(
        &self,
        tenant: &TenantId,
    ) -> impl Future<Output = Result<Option<StoredNotice>, FeedError>> + Send;
    fn append(
        &self,
        expected_last: u64,
        notices: Vec<Notice>,
    ) -> impl Future<Output = Result<FeedOutcome, FeedError>> + Send;
}

impl Feed for NoticeFeed {
    async fn last(&self) -> Result<Option<StoredNotice>, FeedError> {
        Self::last(self).await
    }

    async fn last_of_tenant(&self, tenant: &TenantId) -> Result<Option<StoredNotice>, FeedError> {
        Self::last_of_tenant(self, tenant).await
    }

    async fn append(&self, expected_last: u64, notices: Vec<Notice>) -> Result<FeedOutcome, FeedError> {
        Self::append(self, expected_last, notices).await
    }
}

/// Why announcing ended.
#[derive(Debug, Error)]
enum End {
    #[error("asked to stop")]
    Stopped,
    #[error("{0}")]
    Away(String),
    #[error("{0}")]
    Broken(String),
}

impl From<FeedError> for End {
    fn from(error: FeedError) -> Self {
        Self::Away(error.to_string())
    }
}

impl From<ReadError> for End {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Unavailable { .. } => Self::Away(error.to_string()),
            ReadError::AheadOfLog { .. } => {
                Self::Broken(format!("the feed has announced more than the log has: {error}"))
            }
            ReadError::Damaged { .. } => Self::Broken(error.to_string()),
        }
    }
}

/// Announces until it is asked to stop. Aborting it anywhere is safe: the feed itself says where to go on.
pub(crate) async fn run<F: Feed>(feed: F, log: Arc<dyn EventLog>, mut stop: Stop) {
    let mut backoff = Backoff::new();
    loop {
        let worker = Worker::resume(&feed, &*log, &mut stop).await;
        let end = match worker {
            Ok((mut worker, mut follower)) => worker.announce(&mut *follower, &mut stop, &mut backoff).await,
            Err(end) => end,
        };
        match end {
            End::Stopped => return,
            End::Away(reason) => {
                debug!(reason, "notices wait for the log or the feed");
                stop.pause(backoff.pause()).await;
            }
            End::Broken(reason) => {
                error!(
                    reason,
                    "notices are no longer announced on NATS: log and feed do not belong together"
                );
                return;
            }
        }
    }
}

/// Where the feed ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct FeedEnd {
    sequence: u64,
    /// The position that its last notice announces.
    position: Position,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    Active,
    StandingBy,
}

struct Worker<'a, F> {
    feed: &'a F,
    log_id: LogId,
    end: FeedEnd,
    role: Role,
    /// The last event taken from the log.
    read: Position,
    /// Made and not yet known to stand in the feed, oldest first.
    waiting: VecDeque<(Position, Notice)>,
    /// The last notice of a tenant among the events read, where there was one since the cache was emptied.
    last_of_tenant: HashMap<TenantId, Position>,
}

impl<'a, F: Feed> Worker<'a, F> {
    async fn resume(
        feed: &'a F,
        log: &dyn EventLog,
        stop: &mut Stop,
    ) -> Result<(Self, Box<dyn Follower>), End> {
        let begin = async {
            let end = end_of(feed, log.log_id()).await?;
            Ok::<_, End>((end, log.follow(end.position).await?))
        };
        let (end, follower) = tokio::select! {
            biased;
            () = stop.asked() => return Err(End::Stopped),
            begun = begin => begun?,
        };
        info!(
            log.position = end.position.get(),
            feed.sequence = end.sequence,
            "notices are announced from here on"
        );
        let worker = Self {
            feed,
            log_id: log.log_id(),
            end,
            role: Role::Active,
            read: end.position,
            waiting: VecDeque::new(),
            last_of_tenant: HashMap::new(),
        };
        Ok((worker, follower))
    }

    async fn announce(&mut self, follower: &mut dyn Follower, stop: &mut Stop, backoff: &mut Backoff) -> End {
        loop {
            let step = async {
                if self.waiting.is_empty() {
                    let events = follower.next().await?;
                    self.take_in(&events).await?;
                }
                if self.role == Role::Active || self.nobody_else_does().await? {
                    self.append().await?;
                }
                Ok(())
            };
            // Dropping a step half-way leaves notices that were made but not sent, or sent and not awaited; since we end
            // then, the next worker begins at what the feed has.
            tokio::select! {
                biased;
                () = stop.asked() => return End::Stopped,
                done = step => match done {
                    Ok(()) => backoff.reset(),
                    Err(end) => return end,
                },
            }
        }
    }

    /// Lets what waits rest, and sees whether the feed has moved by itself. Only when it stands still do we take over: an
    /// active one that is merely busy is left alone.
    async fn nobody_else_does(&mut self) -> Result<bool, End> {
        if self.waiting.is_empty() {
            return Ok(false);
        }
        let before = self.end;
        tokio::time::sleep(REST).await;
        self.look().await?;
        Ok(self.end == before)
    }

    /// Makes the notices of a run of events.
    async fn take_in(&mut self, events: &[Recorded]) -> Result<(), End> {
        for event in events {
            if event.position != self.read.next() {
                return Err(End::Broken(format!("after position {} comes {}", self.read, event.position)));
            }
            if let Some(entry) = Entry::of(event)
                && let Ok(envelope) = entry.read()
                && is_announced(&envelope)
            {
                let tenant = entry.stream.tenant();
                if let Some(previous) = self.previous(tenant, event.position).await?
                    && let Some(notice) = notice_of(&envelope, event.position, previous)
                {
                    self.waiting.push_back((event.position, outgoing(&notice, self.log_id)));
                }
                self.last_of_tenant.insert(tenant.clone(), event.position);
            }
            self.read = event.position;
        }
        Ok(())
    }

    /// The tenant's notice before the one at `position`; none if that one stands in the feed already.
    async fn previous(&mut self, tenant: &TenantId, position: Position) -> Result<Option<Position>, End> {
        if position <= self.end.position {
            return Ok(None);
        }
        if let Some(previous) = self.last_of_tenant.get(tenant) {
            return Ok(Some(*previous));
        }
        if self.last_of_tenant.len() >= LAST_CACHE && self.waiting.is_empty() {
            self.last_of_tenant.clear();
        }
        let last = self.feed.last_of_tenant(tenant).await?;
        let last = last.map_or(Ok(Position::NONE), |notice| position_of(&notice))?;
        if last < position {
            return Ok(Some(last));
        }
        // Another server is ahead of us, and has announced this one too.
        self.look().await?;
        Ok(None)
    }

    /// Sends what waits, as long as nobody else does.
    async fn append(&mut self) -> Result<(), End> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let notices: Vec<Notice> =
            self.waiting.iter().take(APPEND).map(|(_, notice)| notice.clone()).collect();
        let count = notices.len();
        match self.feed.append(self.end.sequence, notices).await? {
            FeedOutcome::Appended { last } => {
                let sent = self.waiting.drain(..count).next_back();
                let position = sent.map_or(self.end.position, |(position, _)| position);
                self.ended(FeedEnd { sequence: last, position });
                self.now_is(Role::Active);
            }
            FeedOutcome::LostRace => {
                self.look().await?;
                self.now_is(Role::StandingBy);
            }
        }
        Ok(())
    }

    fn now_is(&mut self, role: Role) {
        if self.role != role {
            self.role = role;
            let active = role == Role::Active;
            info!(active, log.position = self.end.position.get(), "who announces notices has changed");
        }
    }

    /// Reads where the feed ends, and drops what stands in it.
    async fn look(&mut self) -> Result<(), End> {
        let end = end_of(self.feed, self.log_id).await?;
        self.ended(end);
        while self.waiting.front().is_some_and(|(position, _)| *position <= end.position) {
            self.waiting.pop_front();
        }
        Ok(())
    }

    fn ended(&mut self, end: FeedEnd) {
        self.end = end;
        metrics::gauge!(ANNOUNCED).set(end.position.get() as f64);
    }
}

async fn end_of(feed: &impl Feed, log_id: LogId) -> Result<FeedEnd, End> {
    let Some(last) = feed.last().await? else {
        return Ok(FeedEnd { sequence: 0, position: Position::NONE });
    };
    let source = format!("\"source\":\"/logs/{log_id}\"");
    if !String::from_utf8_lossy(&last.payload).contains(&source) {
        return Err(End::Broken("the feed's last notice is of another log".to_owned()));
    }
    Ok(FeedEnd { sequence: last.sequence, position: position_of(&last)? })
}

fn position_of(notice: &StoredNotice) -> Result<Position, End> {
    let position = notice.id.parse().map(Position::new);
    position.map_err(|_| {
        End::Broken(format!("notice {} of the feed has no position for its id", notice.sequence))
    })
}

fn outgoing(notice: &wire::Notice, log_id: LogId) -> Notice {
    Notice {
        tenant: notice.tenant.clone(),
        kind: notice.kind.to_string(),
        key: notice.token(),
        id: notice.data.position.to_string(),
        payload: notice.to_cloud_event(log_id).into(),
    }
}

#[cfg(test)]
mod tests;
