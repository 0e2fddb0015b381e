//! Answers about any moment of the log: when a position was, what a key was then, whether it passed and why, what changed.
//!
//! Nothing is kept for it but the view of times. A key at a position is made anew from two streams of the log, its own and its
//! tenant's, up to there: by the very code that the live index and the view of keys take their events in with. So an answer
//! about the past cannot differ from what was answered then, and costs what these two streams cost, however long the log is.

mod clock;
mod diff;
mod explain;
mod scratch;
mod streams;

use std::fmt;
use std::sync::Arc;

use domain::{KeyId, Position, TenantId};
use eventlog::{EventLog, ReadError};
use thiserror::Error;
use tokio::sync::watch;

use crate::shelf::{QueryError, Status};
use crate::views::keys::{KeyRow, KeyThen, Keys};
use crate::views::times::Times;

pub use diff::{KeyDiff, TenantDiff, TenantThen};
pub use explain::{Explained, Question};
#[cfg(feature = "planted")]
pub use scratch::PastBug;

use self::scratch::Planted;

/// Why there is no answer about the past.
#[derive(Clone, Debug, Error)]
pub enum PastError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// A view that leads to the answer cannot be read, or is not there yet.
    #[error(transparent)]
    View(#[from] QueryError),
    /// More keys changed in a span than one answer holds.
    #[error("more than {most} keys changed by position {reached}")]
    TooMuch {
        /// The most keys of one answer.
        most: usize,
        /// Where the keys that changed became too many.
        reached: Position,
    },
}

/// Answers about any moment of one log.
#[derive(Clone)]
pub struct Past {
    log: Arc<dyn EventLog>,
    times: Times,
    keys: Keys,
    planted: Planted,
}

impl fmt::Debug for Past {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Past").field("log", &self.log).finish_non_exhaustive()
    }
}

impl Past {
    pub(crate) fn new(log: Arc<dyn EventLog>, times: Times, keys: Keys) -> Self {
        Self { log, times, keys, planted: Planted::default() }
    }

    /// A bug for the simulation to find.
    #[cfg(feature = "planted")]
    pub fn plant(&mut self, bug: PastBug) {
        self.planted.plant(bug);
    }

    /// How far the view of times has come; until it is ready, only positions can be asked for whose time is not needed.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.times.shelf.status.subscribe()
    }

    /// Where the log ends now.
    ///
    /// # Errors
    /// [`PastError::Log`].
    pub async fn head(&self) -> Result<Position, PastError> {
        Ok(self.log.head().await?)
    }

    /// A key as it was when the log ended at a position; none if it was not there yet.
    ///
    /// # Errors
    /// [`PastError::Log`].
    pub async fn key_at(
        &self,
        tenant: &TenantId,
        key_id: KeyId,
        position: Position,
    ) -> Result<Option<KeyRow>, PastError> {
        let streams = self.streams(tenant, key_id).await?;
        self.row_of(&streams, position).await
    }

    /// The position at which a key came to be; none if there never was such a key.
    ///
    /// # Errors
    /// [`PastError::Log`].
    pub async fn beginning_of(
        &self,
        tenant: &TenantId,
        key_id: KeyId,
    ) -> Result<Option<Position>, PastError> {
        let own = self.read(&domain::StreamName::Key(tenant.clone(), key_id)).await?;
        Ok(own.first().map(|event| event.position))
    }

    async fn row_of(
        &self,
        streams: &streams::Streams,
        position: Position,
    ) -> Result<Option<KeyRow>, PastError> {
        let mut then = KeyThen::default();
        for event in streams.up_to(position, self.planted) {
            then.take(event).map_err(|source| QueryError::Failed { view: "keys", source })?;
        }
        // What tells that a successor was used stands in the successor's stream.
        if let Some(successor) = then.successor() {
            let own = self.read(&domain::StreamName::Key(streams.tenant.clone(), successor)).await?;
            own.iter().take_while(|event| event.position <= position).for_each(|event| then.hear(event));
        }
        let shown = then.show(&streams.tenant, streams.key_id);
        Ok(shown.map_err(|source| QueryError::Failed { view: "keys", source })?)
    }
}

#[cfg(test)]
mod tests;
