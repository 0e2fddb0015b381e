//! A follower of the log in a file: replays in batches, then waits for the next commit.

use std::sync::Arc;

use async_trait::async_trait;
use domain::Position;
use tokio::sync::watch;

use super::{Committed, Shared};
use crate::port::{Follower, ReadError, Recorded};

/// The most events of one batch: about 1 ms of reading.
const BATCH: usize = 4096;
/// The most payload of one batch, give or take one event.
const BATCH_BYTES: usize = 4 * 1024 * 1024;
/// Up to so many new events are read where the follower runs: the commit has just left them in the cache, and handing them
/// to another thread takes longer than reading them.
const LIVE: u64 = 64;

pub(super) struct EmbeddedFollower {
    pub(super) shared: Arc<Shared>,
    pub(super) committed: watch::Receiver<Committed>,
    pub(super) after: Position,
}

#[async_trait]
impl Follower for EmbeddedFollower {
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError> {
        let after = self.after;
        let due = |committed: &Committed| committed.head > after || committed.closed;
        let head = match self.committed.wait_for(due).await {
            Ok(committed) if !committed.closed => committed.head,
            _ => return Err(self.shared.store.unavailable("the log was closed")),
        };
        let shared = self.shared.clone();
        let read = move || shared.store.read_after(after, head, BATCH, BATCH_BYTES);
        let batch = if head.get() - after.get() <= LIVE {
            read()?
        } else {
            let read = tokio::task::spawn_blocking(read).await;
            read.map_err(|error| self.shared.store.unavailable(error))??
        };
        // Only after the last wait: a call dropped before has moved nothing.
        self.after = Position::new(after.get() + batch.len() as u64);
        Ok(batch)
    }
}
