//! The log from its first event, in runs that end where the comparison wants them to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use domain::Position;
use eventlog::{EventLog, Follower, ReadError, Recorded};
use tokio::time::timeout;

use super::CompareError;

/// Events of a run at most: those of a few batches, so that a rest in between is short.
const RUN: usize = 1_000;

/// How long the log may take for its next events: they are all there, so longer than this means that it is away.
const NEXT_WITHIN: Duration = Duration::from_secs(10);

/// A reader of the log, and how far it has come.
pub(super) struct Replay {
    follower: Box<dyn Follower>,
    waiting: VecDeque<Recorded>,
    pub(super) at: Position,
}

impl Replay {
    pub(super) async fn begin(log: &Arc<dyn EventLog>) -> Result<Self, CompareError> {
        Self::after(log, Position::NONE).await
    }

    /// From behind a position.
    pub(super) async fn after(log: &Arc<dyn EventLog>, at: Position) -> Result<Self, CompareError> {
        Ok(Self { follower: log.follow(at).await?, waiting: VecDeque::new(), at })
    }

    /// The next run up to a position; none if it has come so far.
    pub(super) async fn next(&mut self, to: Position) -> Result<Option<Vec<Recorded>>, CompareError> {
        if self.at >= to {
            return Ok(None);
        }
        if self.waiting.is_empty() {
            let next = timeout(NEXT_WITHIN, self.follower.next()).await;
            let away = |_| ReadError::Unavailable { reason: "it did not answer in time".to_owned() };
            self.waiting.extend(next.map_err(away)??);
        }
        let wanted = self.waiting.iter().take(RUN).take_while(|event| event.position <= to).count();
        let run: Vec<Recorded> = self.waiting.drain(..wanted).collect();
        match run.last() {
            Some(last) => self.at = last.position,
            // Past a hole there is nothing up to there: whoever takes the events in would have said so.
            None => return Err(self.hole()),
        }
        Ok(Some(run))
    }

    fn hole(&self) -> CompareError {
        let found = self.waiting.front().map_or(Position::NONE, |event| event.position);
        CompareError::Hole { expected: self.at.next(), found }
    }
}
