//! How long a comparison goes after a live one that goes on: it ends by itself where the log grows as fast as it is replayed.

use tokio::time::{Duration, Instant, timeout_at};

use super::CompareError;

/// Events that may be left when the live one is pinned: while they are taken in, what changes is put aside.
const NEAR: u64 = 2_000;
/// What came meanwhile may take as long as the first replay took, and at least this: a comparison that would need longer is
/// slower than the log, or so little faster that nobody waits for it.
const CATCH_UP_AT_LEAST: Duration = Duration::from_secs(60);

/// The rounds of one comparison: each replays up to where the live one stood when the round began.
pub(super) struct Chase {
    began: Instant,
    /// Known once the first round is over.
    until: Option<Instant>,
}

impl Chase {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), until: None }
    }

    /// A round of the chase, bounded but for the first one, whose end is known when it begins.
    ///
    /// # Errors
    /// Those of the round; [`CompareError::Overtaken`] when the time is over.
    pub(super) async fn round(
        &mut self,
        replay: impl Future<Output = Result<(), CompareError>>,
    ) -> Result<(), CompareError> {
        if let Some(until) = self.until {
            return timeout_at(until, replay).await.unwrap_or(Err(CompareError::Overtaken));
        }
        replay.await?;
        let now = Instant::now();
        self.until = Some(now + (now - self.began).max(CATCH_UP_AT_LEAST));
        Ok(())
    }

    /// Whether so little is left that the live one can be pinned.
    pub(super) const fn is_near(left: u64) -> bool {
        left <= NEAR
    }
}
