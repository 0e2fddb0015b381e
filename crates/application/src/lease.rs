//! A server's lease: how it keeps proving that its index has heard everything, and what its clock is worth.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::Position;
use eventlog::{EventLog, Pulse};
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{debug, warn};
use verify::KeyIndex;

use crate::ambient::Ambient;

/// How often a lease is asked for: well within the default bound of 5 s, and one small write a second on NATS.
const ASK_EVERY: Duration = Duration::from_secs(1);
/// The longest wait for the index to reach the head that a lease was granted at. A lease older than this is worth little.
const APPLY_WITHIN: Duration = Duration::from_secs(5);
/// The most by which this server's clock may differ from the log's: the drift that bounded staleness allows.
const MAX_SKEW_MS: i64 = 500;

/// What the lease's keeper has found out, for those who answer and decide.
#[derive(Debug, Default)]
pub struct LeaseState {
    skew_ms: AtomicI64,
}

impl LeaseState {
    /// By how much this server's clock was ahead of the log's at the last pulse, in milliseconds; 0 if the log has no clock
    /// of its own.
    #[must_use]
    pub fn skew_ms(&self) -> i64 {
        self.skew_ms.load(Ordering::Relaxed)
    }

    /// The skew, if it is too much to date events by.
    #[must_use]
    pub fn excessive_skew_ms(&self) -> Option<i64> {
        Some(self.skew_ms()).filter(|skew| skew.abs() > MAX_SKEW_MS)
    }
}

/// Keeps the index fresh in the eyes of those who judge it.
pub struct Lease {
    /// The log that grants it.
    pub log: Arc<dyn EventLog>,
    /// The index that it makes fresh.
    pub index: Arc<KeyIndex>,
    /// How far the index has come.
    pub applied: watch::Receiver<Position>,
    /// The clock that it is measured with.
    pub ambient: Arc<dyn Ambient>,
    /// Where findings go.
    pub state: Arc<LeaseState>,
}

impl Lease {
    /// Asks again and again, until dropped. While the log does not answer, nothing happens: the index goes stale by itself.
    pub async fn keep(mut self) {
        let mut ticks = interval(ASK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            self.ask_once().await;
        }
    }

    /// Asks once: the clock is read, the log proves itself and tells its head, the index reaches that head; only then is
    /// the index fresh as of the moment before the asking.
    pub async fn ask_once(&mut self) {
        self.ask_as_of(self.ambient.boot_ms()).await;
    }

    /// As [`ask_once`](Self::ask_once), for a caller that did something of its own between reading the clock and asking.
    pub async fn ask_as_of(&mut self, asked: u64) {
        let pulse = match self.log.pulse().await {
            Ok(pulse) => pulse,
            Err(error) => {
                warn!(%error, "the log granted no lease");
                return;
            }
        };
        self.note_skew(&pulse);
        match timeout(APPLY_WITHIN, self.applied.wait_for(|applied| *applied >= pulse.head)).await {
            Ok(Ok(_)) => self.index.prove_fresh(asked),
            Ok(Err(_)) => debug!("the index is no longer followed"),
            Err(_) => {
                warn!(log.head = pulse.head.get(), "the index did not reach the head of its lease in time");
            }
        }
    }

    /// The log stamped the pulse somewhere between asking and hearing: what lies within that span is no skew.
    fn note_skew(&self, pulse: &Pulse) {
        let Some(stamp) = pulse.stamp else { return };
        let millis = |ms: u64| i64::try_from(ms).unwrap_or(i64::MAX);
        let heard = millis(self.ambient.now().as_millis());
        let took = i64::try_from(pulse.took.as_millis()).unwrap_or(i64::MAX);
        let stamp = millis(stamp.as_millis());
        let skew = if stamp > heard { heard - stamp } else { (heard.saturating_sub(took) - stamp).max(0) };
        let before = self.state.skew_ms.swap(skew, Ordering::Relaxed);
        if skew.abs() > MAX_SKEW_MS && before.abs() <= MAX_SKEW_MS {
            warn!(
                skew_ms = skew,
                "this server's clock differs from the log's: it takes no commands until that is mended"
            );
        }
    }
}
