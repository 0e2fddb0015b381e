//! How fast a comparison may go: so many events a second, so that whoever is served does not notice it.

use tokio::time::{Duration, Instant, sleep_until};

/// Reading a row of a tree costs about so much less than taking in an event, which writes several.
const ROWS_AN_EVENT: u64 = 8;

/// Counts what was done and rests where that was too much.
pub(super) struct Pace {
    per_second: u32,
    since: Instant,
    done: u64,
}

impl Pace {
    pub(super) fn new(per_second: u32) -> Self {
        Self { per_second: per_second.max(1), since: Instant::now(), done: 0 }
    }

    /// So many events were taken in.
    pub(super) async fn events(&mut self, count: u64) {
        self.done += count;
        let due = self.since + Duration::from_secs_f64(self.done as f64 / f64::from(self.per_second));
        let now = Instant::now();
        if due > now {
            sleep_until(due).await;
        } else {
            // Time that was not used is not made up for: a pause of the disk is no reason to go faster afterwards.
            (self.since, self.done) = (now, 0);
            // Others get their turn all the same.
            tokio::task::yield_now().await;
        }
    }

    /// So many rows were read.
    pub(super) async fn rows(&mut self, count: u64) {
        self.events(count.div_ceil(ROWS_AN_EVENT)).await;
    }
}
