//! The units that wait for the next commit: three bounded queues, the urgent one first.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use domain::Position;
use tokio::sync::oneshot;

use crate::port::{AppendError, StreamId, Unit};

/// The most units that wait in one queue: some 50 ms of work, so that who is told "full" was not made to wait first.
const MAX_WAITING: usize = 4096;
/// The most bytes of payload that wait in one queue, so that large events cannot fill the memory before units are counted.
const MAX_WAITING_BYTES: usize = 32 * 1024 * 1024;
/// The most events of one commit: beyond about a thousand its one sync costs little per event, and who waits waits longer.
const MAX_COMMIT_EVENTS: usize = 1024;
/// The most bytes of payload of one commit: it stays below the database's write buffer.
const MAX_COMMIT_BYTES: usize = 4 * 1024 * 1024;

/// A unit and whoever waits for its outcome.
pub(super) struct Waiting {
    pub(super) unit: Unit,
    pub(super) bytes: usize,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What the writer found.
pub(super) enum Answer {
    Appended(Vec<Position>),
    /// The expectation failed: the unit goes back to its caller, who looks whether it stands already.
    Stale {
        unit: Unit,
        stream: StreamId,
        actual: Position,
    },
    Failed(AppendError),
}

/// Shared by the callers, who push, and the one writer, who takes.
pub(super) struct Queue {
    lanes: Mutex<Lanes>,
    changed: Condvar,
}

#[derive(Default)]
struct Lanes {
    /// In the order of [`crate::port::Queue`].
    waiting: [Lane; 3],
    gate: Gate,
}

#[derive(Default)]
struct Lane {
    units: VecDeque<Waiting>,
    bytes: usize,
}

/// Whether units are let in.
#[derive(Default)]
enum Gate {
    #[default]
    Open,
    /// The log cannot be written now, for this reason.
    Shut(String),
    /// The last handle is gone.
    Closed,
}

impl Queue {
    pub(super) fn new() -> Self {
        Self { lanes: Mutex::default(), changed: Condvar::new() }
    }

    /// Puts a unit in its queue, or says at once that it will not be written.
    pub(super) fn push(&self, waiting: Waiting) -> Result<(), AppendError> {
        let mut lanes = self.lanes();
        let reason = match &lanes.gate {
            Gate::Open => None,
            Gate::Shut(reason) => Some(reason.clone()),
            Gate::Closed => Some("the log was closed".into()),
        };
        if let Some(reason) = reason {
            return Err(AppendError::DidNotHappen { reason });
        }
        let lane = &mut lanes.waiting[waiting.unit.queue as usize];
        if lane.units.len() >= MAX_WAITING || lane.bytes + waiting.bytes > MAX_WAITING_BYTES {
            let reason = format!("{} units wait to be written already", lane.units.len());
            return Err(AppendError::DidNotHappen { reason });
        }
        lane.bytes += waiting.bytes;
        lane.units.push_back(waiting);
        drop(lanes);
        self.changed.notify_one();
        Ok(())
    }

    /// What goes into the next commit: waits until there is something, answers `None` once the log is closed.
    pub(super) fn take(&self) -> Option<Vec<Waiting>> {
        let mut lanes = self.lanes();
        loop {
            if matches!(lanes.gate, Gate::Closed) {
                return None;
            }
            let batch = lanes.batch();
            if !batch.is_empty() {
                return Some(batch);
            }
            lanes = self.changed.wait(lanes).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Lets nothing in until [`admit`](Self::admit), and answers whoever waits.
    pub(super) fn shut(&self, reason: &str) {
        let mut lanes = self.lanes();
        if !matches!(lanes.gate, Gate::Closed) {
            lanes.gate = Gate::Shut(reason.to_owned());
        }
        let waiting = std::mem::take(&mut lanes.waiting);
        drop(lanes);
        for waiting in waiting.into_iter().flat_map(|lane| lane.units) {
            let failed = AppendError::DidNotHappen { reason: reason.to_owned() };
            // Who no longer listens has left the outcome open by itself.
            let _ = waiting.answer.send(Answer::Failed(failed));
        }
    }

    /// Lets units in again.
    pub(super) fn admit(&self) {
        let mut lanes = self.lanes();
        if matches!(lanes.gate, Gate::Shut(_)) {
            lanes.gate = Gate::Open;
        }
    }

    /// For good: units that wait are dropped unwritten, nobody is left who could hear of them.
    pub(super) fn close(&self) {
        let mut lanes = self.lanes();
        lanes.gate = Gate::Closed;
        lanes.waiting = Default::default();
        drop(lanes);
        self.changed.notify_all();
    }

    /// Waits, at most so long (for ever: `None`), for the log to be closed; whether it is.
    pub(super) fn closed_within(&self, wait: Option<Duration>) -> bool {
        let open = |lanes: &mut Lanes| !matches!(lanes.gate, Gate::Closed);
        let lanes = self.lanes();
        let lanes = match wait {
            Some(wait) => {
                self.changed.wait_timeout_while(lanes, wait, open).unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.changed.wait_while(lanes, open).unwrap_or_else(PoisonError::into_inner),
        };
        matches!(lanes.gate, Gate::Closed)
    }

    /// Whole at every moment the lock is free.
    fn lanes(&self) -> MutexGuard<'_, Lanes> {
        self.lanes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lanes {
    /// As many waiting units as one commit takes, the urgent ones first; at least one if any waits.
    fn batch(&mut self) -> Vec<Waiting> {
        let mut batch = Vec::new();
        let (mut events, mut bytes) = (0, 0);
        for lane in &mut self.waiting {
            while let Some(next) = lane.units.front() {
                events += next.unit.event_count();
                bytes += next.bytes;
                if !batch.is_empty() && (events > MAX_COMMIT_EVENTS || bytes > MAX_COMMIT_BYTES) {
                    return batch;
                }
                lane.bytes -= next.bytes;
                batch.extend(lane.units.pop_front());
            }
        }
        batch
    }
}
