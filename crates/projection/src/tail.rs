//! The log as it is followed behind the index: what that has just taken in is at hand, so the log is read once for all.
//!
//! The index answers keys and wakes the feeds; views and the announcer of notices are woken only once it has handed an event
//! on. So they take neither cores nor reads from whoever waits for a revocation. Who is further behind than what is at hand
//! follows the log by itself until it has caught up, and so does everybody once the index is followed no more.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use domain::{LogId, Position};
use eventlog::{
    AppendError, Durability, EventLog, Follower, Outcome, Pulse, ReadError, Recorded, StreamId, Unit,
};
use parking_lot::Mutex;
use tokio::sync::watch;

/// What is kept at hand, in bytes: some thousand events, far more than a view is behind that keeps up.
const AT_HAND_BYTES: usize = 2 << 20;
/// What an event takes beside its payload.
const EVENT_BYTES: usize = 128;
/// The most events that are handed out at once, as by the log itself.
const BATCH: usize = 4_096;

/// What the index has taken in last. A clone is the same.
#[derive(Clone)]
pub(crate) struct Tail {
    ring: Arc<Mutex<Ring>>,
    passed: watch::Sender<Passed>,
}

/// Changed by the index worker alone.
struct Ring {
    /// Runs as they came, oldest first; a run may begin with what the one before has.
    runs: VecDeque<Vec<Recorded>>,
    bytes: usize,
    /// The index has taken in everything up to here.
    end: Position,
}

/// What followers wait for.
#[derive(Clone, Copy, Debug)]
struct Passed {
    position: Position,
    /// The index is followed no more.
    over: bool,
}

/// What there is behind a position.
enum Behind {
    Events(Vec<Recorded>),
    Nothing,
    /// It is at hand no more.
    Gone,
}

impl fmt::Debug for Tail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tail").field("passed", &*self.passed.borrow()).finish_non_exhaustive()
    }
}

impl Tail {
    /// Nothing is at hand, and the index stands there.
    pub(crate) fn new(applied: Position) -> Self {
        let ring = Ring { runs: VecDeque::new(), bytes: 0, end: applied };
        let passed = Passed { position: applied, over: false };
        Self { ring: Arc::new(Mutex::new(ring)), passed: watch::Sender::new(passed) }
    }

    /// Keeps a run that the index has taken in up to `applied`; what is beyond was behind a hole.
    pub(crate) fn keep(&self, events: Vec<Recorded>, applied: Position) {
        self.ring.lock().keep(events, applied);
    }

    /// Wakes who follows.
    pub(crate) fn pass(&self) {
        let position = self.ring.lock().end;
        self.passed.send_modify(|passed| passed.position = position);
    }

    /// From now on everybody follows the log by itself.
    pub(crate) fn end(&self) {
        self.passed.send_modify(|passed| passed.over = true);
    }

    /// The log, followed behind this.
    pub(crate) fn of(&self, log: Arc<dyn EventLog>) -> Arc<dyn EventLog> {
        Arc::new(Tailed { log, tail: self.clone() })
    }
}

impl Ring {
    fn keep(&mut self, mut events: Vec<Recorded>, applied: Position) {
        events.truncate(events.partition_point(|event| event.position <= applied));
        if events.last().is_none_or(|last| last.position <= self.end) {
            return;
        }
        self.bytes += weight(&events);
        self.runs.push_back(events);
        self.end = applied;
        while self.bytes > AT_HAND_BYTES
            && let Some(oldest) = self.runs.pop_front()
        {
            self.bytes -= weight(&oldest);
        }
    }

    fn behind(&self, after: Position) -> Behind {
        if after >= self.end {
            return Behind::Nothing;
        }
        let oldest = self.runs.front().and_then(|run| run.first());
        if oldest.is_none_or(|oldest| oldest.position > after.next()) {
            return Behind::Gone;
        }
        let mut events: Vec<Recorded> = Vec::new();
        for run in &self.runs {
            let last = events.last().map_or(after, |event| event.position);
            let known = run.partition_point(|event| event.position <= last);
            events.extend(run[known..].iter().take(BATCH - events.len()).cloned());
        }
        Behind::Events(events)
    }
}

fn weight(events: &[Recorded]) -> usize {
    events.iter().map(|event| event.payload.len() + EVENT_BYTES).sum()
}

/// A log that is followed behind the index, and otherwise as it is.
#[derive(Debug)]
struct Tailed {
    log: Arc<dyn EventLog>,
    tail: Tail,
}

#[async_trait]
impl EventLog for Tailed {
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

    /// Only the log itself knows whether it has ever come to a position that the index has not.
    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        let passed = self.tail.passed.subscribe();
        let is_known = passed.borrow().position >= after;
        let own = if is_known { None } else { Some(self.log.follow(after).await?) };
        let (log, tail) = (Arc::clone(&self.log), self.tail.clone());
        Ok(Box::new(TailFollower { log, tail, passed, after, own }))
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        self.log.pulse().await
    }
}

struct TailFollower {
    log: Arc<dyn EventLog>,
    tail: Tail,
    passed: watch::Receiver<Passed>,
    /// The last position handed out.
    after: Position,
    /// A follower of the log, for what is not at hand.
    own: Option<Box<dyn Follower>>,
}

impl TailFollower {
    fn hand_out(&mut self, events: Vec<Recorded>) -> Vec<Recorded> {
        self.after = events.last().map_or(self.after, |event| event.position);
        events
    }
}

#[async_trait]
impl Follower for TailFollower {
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError> {
        loop {
            let Passed { position, over } = *self.passed.borrow_and_update();
            let behind = match over {
                false => self.tail.ring.lock().behind(self.after),
                true => Behind::Gone,
            };
            match behind {
                Behind::Events(events) => {
                    self.own = None;
                    return Ok(self.hand_out(events));
                }
                // Caught up with the index, and no further: whatever comes next comes by it.
                Behind::Nothing if self.own.is_none() || position >= self.after => {
                    self.own = None;
                    // An error means that the index is gone and nobody said so: then we are being dropped as well.
                    let _ = self.passed.changed().await;
                }
                Behind::Nothing | Behind::Gone => match &mut self.own {
                    Some(own) => {
                        let events = own.next().await?;
                        return Ok(self.hand_out(events));
                    }
                    None => self.own = Some(self.log.follow(self.after).await?),
                },
            }
        }
    }
}

#[cfg(test)]
mod tests;
