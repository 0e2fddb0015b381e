//! Between times and positions: what the view of times marks, and the log read on from there.

use std::ops::ControlFlow;
use std::time::Duration;

use domain::{Position, Timestamp};
use eventlog::{ReadError, Recorded};
use tokio::time::timeout;

use super::{Past, PastError};
use crate::view::Entry;

/// How long the log may take for events that are all there.
const NEXT_WITHIN: Duration = Duration::from_secs(10);

impl Past {
    /// The last position whose log time is at most `at`: where the log ended for whoever asks about that instant.
    ///
    /// # Errors
    /// [`PastError`].
    pub async fn position_at(&self, at: Timestamp) -> Result<Position, PastError> {
        self.last_before(at.plus_millis(1)).await
    }

    /// The last position whose log time is below `at`; the events from `at` on come behind it.
    ///
    /// # Errors
    /// [`PastError`].
    pub async fn last_before(&self, at: Timestamp) -> Result<Position, PastError> {
        let mark = self.times.below(at).await?;
        let head = self.log.head().await?;
        let mut found = mark.position;
        self.walk(mark.position, head, |event| {
            if happened(event) >= at {
                return ControlFlow::Break(());
            }
            found = event.position;
            ControlFlow::Continue(())
        })
        .await?;
        Ok(found)
    }

    /// The log time of a position: the highest `occurred_at` up to it. The position must not lie beyond the head.
    ///
    /// # Errors
    /// [`PastError`].
    pub async fn log_time(&self, position: Position) -> Result<Timestamp, PastError> {
        let mark = self.times.at(position).await?;
        let mut log_time = mark.log_time;
        self.walk(mark.position, position, |event| {
            log_time = log_time.max(happened(event));
            ControlFlow::Continue(())
        })
        .await?;
        Ok(log_time)
    }

    /// Shows the events behind a position up to another, in the order of the log, until it is told to stop.
    pub(super) async fn walk(
        &self,
        after: Position,
        until: Position,
        mut each: impl FnMut(&Recorded) -> ControlFlow<()>,
    ) -> Result<(), PastError> {
        if after >= until {
            return Ok(());
        }
        let mut follower = self.log.follow(after).await?;
        loop {
            let events = timeout(NEXT_WITHIN, follower.next()).await;
            let late = || ReadError::Unavailable { reason: "it did not answer in time".to_owned() };
            for event in &events.map_err(|_elapsed| late())?? {
                if event.position > until || each(event).is_break() {
                    return Ok(());
                }
                if event.position == until {
                    return Ok(());
                }
            }
        }
    }
}

/// When an event happened; of one that cannot be read nothing is known.
fn happened(event: &Recorded) -> Timestamp {
    let envelope = Entry::of(event).and_then(|entry| entry.read().ok());
    envelope.map_or(Timestamp::default(), |envelope| envelope.occurred_at)
}
