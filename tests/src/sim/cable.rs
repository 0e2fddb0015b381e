//! One node's line to the log: it can be cut, so that nothing goes through until it is mended, and it can be slow.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::{LogId, Position};
use eventlog::{
    AppendError, Durability, EventLog, Follower, Outcome, Pulse, ReadError, Recorded, StreamId, Unit,
};
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::rng::Rng;

#[derive(Debug)]
pub(crate) struct Cable {
    log: Arc<dyn EventLog>,
    line: Arc<Line>,
}

/// Where the line is cut and mended.
#[derive(Debug)]
pub(crate) struct Line {
    is_cut: Mutex<bool>,
    /// The most milliseconds that an answer takes, and who decides how many.
    slow: Mutex<(u64, Rng)>,
    /// Wakes in the order in which they wait, as a watch channel would not: a run must repeat itself.
    changed: Notify,
}

impl Line {
    pub(crate) fn new(rng: Rng) -> Self {
        Self { is_cut: Mutex::new(false), slow: Mutex::new((0, rng)), changed: Notify::new() }
    }

    pub(crate) fn cut(&self, cut: bool) {
        *self.is_cut.lock() = cut;
        self.changed.notify_waiters();
    }

    /// From now on answers take up to so long.
    pub(crate) fn slow_down(&self, most_ms: u64) {
        self.slow.lock().0 = most_ms;
    }

    /// How long what leaves now is on its way.
    pub(crate) fn takes(&self) -> Duration {
        let mut slow = self.slow.lock();
        let most = slow.0;
        Duration::from_millis(if most == 0 { 0 } else { slow.1.below(most) })
    }

    /// When what leaves now arrives.
    pub(crate) fn arrival(&self) -> Instant {
        Instant::now() + self.takes()
    }

    pub(crate) fn whole(&self) -> Result<(), ReadError> {
        if *self.is_cut.lock() { Err(away()) } else { Ok(()) }
    }

    /// Waits until the line is cut.
    pub(crate) async fn until_cut(&self) {
        loop {
            let mut changed = pin!(self.changed.notified());
            changed.as_mut().enable();
            if self.whole().is_err() {
                return;
            }
            changed.await;
        }
    }
}

impl Cable {
    pub(crate) fn lay(log: Arc<dyn EventLog>, rng: Rng) -> (Self, Arc<Line>) {
        let line = Arc::new(Line::new(rng));
        (Self { log, line: Arc::clone(&line) }, line)
    }
}

fn away() -> ReadError {
    ReadError::Unavailable { reason: "the line is cut".to_owned() }
}

#[async_trait]
impl EventLog for Cable {
    fn log_id(&self) -> LogId {
        self.log.log_id()
    }

    fn durability(&self) -> Durability {
        self.log.durability()
    }

    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError> {
        if self.line.whole().is_err() {
            return Err(AppendError::DidNotHappen { reason: "the line is cut".to_owned() });
        }
        tokio::select! {
            biased;
            outcome = self.log.append(unit) => outcome,
            () = self.line.until_cut() => Err(AppendError::MayHaveHappened { reason: "the line was cut".to_owned() }),
        }
    }

    async fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError> {
        self.line.whole()?;
        self.log.read_stream(stream, after).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.line.whole()?;
        self.log.head().await
    }

    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        self.line.whole()?;
        let follower = self.log.follow(after).await?;
        Ok(Box::new(CableFollower { follower, line: Arc::clone(&self.line), travelling: None }))
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        self.line.whole()?;
        sleep_until(self.line.arrival()).await;
        self.line.whole()?;
        let pulse = self.log.pulse().await;
        // The answer arrives even if the line is cut meanwhile: it has left.
        sleep_until(self.line.arrival()).await;
        pulse
    }
}

struct CableFollower {
    follower: Box<dyn Follower>,
    line: Arc<Line>,
    /// Events on their way, and when they arrive. A call that is dropped leaves them here.
    travelling: Option<(Instant, Vec<Recorded>)>,
}

#[async_trait]
impl Follower for CableFollower {
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError> {
        let Self { follower, line, travelling } = self;
        let arrived = async {
            if travelling.is_none() {
                let events = follower.next().await?;
                *travelling = Some((line.arrival(), events));
            }
            if let Some((arrival, _)) = travelling {
                sleep_until(*arrival).await;
            }
            Ok(travelling.take().map_or_else(Vec::new, |(_, events)| events))
        };
        tokio::select! {
            biased;
            () = line.until_cut() => Err(away()),
            events = arrived => events,
        }
    }
}
