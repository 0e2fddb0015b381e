//! One node's line to the log, which can be cut: nothing goes through until it is mended.

use std::pin::pin;
use std::sync::Arc;

use async_trait::async_trait;
use domain::{LogId, Position};
use eventlog::{
    AppendError, Durability, EventLog, Follower, Outcome, Pulse, ReadError, Recorded, StreamId, Unit,
};
use parking_lot::Mutex;
use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Cable {
    log: Arc<dyn EventLog>,
    line: Arc<Line>,
}

/// Where the line is cut and mended.
#[derive(Debug, Default)]
pub(crate) struct Line {
    is_cut: Mutex<bool>,
    /// Wakes in the order in which they wait, as a watch channel would not: a run must repeat itself.
    changed: Notify,
}

impl Line {
    pub(crate) fn cut(&self, cut: bool) {
        *self.is_cut.lock() = cut;
        self.changed.notify_waiters();
    }

    fn whole(&self) -> Result<(), ReadError> {
        if *self.is_cut.lock() { Err(away()) } else { Ok(()) }
    }

    /// Waits until the line is cut.
    async fn until_cut(&self) {
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
    pub(crate) fn lay(log: Arc<dyn EventLog>) -> (Self, Arc<Line>) {
        let line = Arc::new(Line::default());
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
        Ok(Box::new(CableFollower { follower, line: Arc::clone(&self.line) }))
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        self.line.whole()?;
        let pulse = self.log.pulse().await?;
        // What was cut meanwhile proves nothing.
        self.line.whole()?;
        Ok(pulse)
    }
}

struct CableFollower {
    follower: Box<dyn Follower>,
    line: Arc<Line>,
}

#[async_trait]
impl Follower for CableFollower {
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError> {
        tokio::select! {
            biased;
            () = self.line.until_cut() => Err(away()),
            events = self.follower.next() => events,
        }
    }
}
