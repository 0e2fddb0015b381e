//! Reports what the meter counted, about every second: into the record, or into the stream that all records follow.

use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use application::Ambient;
use domain::Timestamp;
use eventlog::jetstream::REPORT_MAX;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};
use wire::{RunId, Stay, UsageProgress, UsageReport};

use super::meter::{Drained, UsageMeter};
use super::sink::{Sent, Sink};

/// How often sums go out.
const REPORT_EVERY: Duration = Duration::from_millis(UsageProgress::REPORT_EVERY_MS);
/// How often a server in which nothing was counted says so; each is a synced write.
const IDLE_EVERY: Duration = Duration::from_millis(UsageProgress::IDLE_EVERY_MS);
/// How long the first report waits before it is tried again: nobody is let pass before it is there.
const ANNOUNCE_AGAIN: Duration = Duration::from_millis(100);
/// Characters of the host in a server's name.
const HOST_MAX: usize = 100;

/// Reports for one run of this server. Owned by one task.
pub(crate) struct Reporter {
    pub(crate) meter: Arc<UsageMeter>,
    pub(crate) ambient: Arc<dyn Ambient>,
    pub(crate) sink: Sink,
    pub(crate) run: RunId,
    pub(crate) server: Box<str>,
    pub(crate) max_staleness: Duration,
    /// Becomes true when the sink has the first report.
    pub(crate) announced: watch::Sender<bool>,
    /// Becomes true when the last report is to go out.
    pub(crate) leave: watch::Receiver<bool>,
    /// Becomes true when it has gone out.
    pub(crate) left: watch::Sender<bool>,
}

/// What has been reported, and how that goes.
struct Progress {
    of_run: UsageProgress,
    reported: Instant,
    in_trouble: bool,
}

impl Reporter {
    /// Reports until it is asked to leave. Stopping it anywhere is a crash: what it had not reported stays unknown.
    pub(crate) async fn run(mut self) {
        let began = self.ambient.now();
        let bound_ms = u64::try_from(self.max_staleness.as_millis()).unwrap_or(u64::MAX);
        let of_run = UsageProgress::new(self.run, self.server.clone(), bound_ms, REPORT_MAX, began);
        let mut progress = Progress { of_run, reported: Instant::now(), in_trouble: false };
        while !self.send(&progress.of_run.idle(began, Stay::Going), &mut progress).await {
            sleep(ANNOUNCE_AGAIN).await;
        }
        self.announced.send_replace(true);
        let mut ticks = interval(REPORT_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                _ = self.leave.wait_for(|leave| *leave) => break,
                _ = ticks.tick() => {}
            }
            self.report(&mut progress).await;
        }
        while !self.say_good_bye(&mut progress).await {
            sleep(ANNOUNCE_AGAIN).await;
        }
        self.left.send_replace(true);
        // Whoever looks after the workers takes an end for a failure.
        std::future::pending::<()>().await;
    }

    async fn report(&self, progress: &mut Progress) {
        if progress.of_run.waiting().is_none() {
            // The clock first: what is counted while the meter is drained belongs to the next report.
            let to = self.ambient.now().as_millis().saturating_sub(UsageProgress::SETTLE_MS);
            let to = Timestamp::from_millis(to).max(progress.of_run.from());
            let drained = self.meter.drain();
            if drained != Drained::default() {
                progress.of_run.number((drained.entries, drained.missed), to, Stay::Going);
            } else if progress.reported.elapsed() >= IDLE_EVERY {
                let idle = progress.of_run.idle(to, Stay::Going);
                self.send(&idle, progress).await;
            }
        }
        self.send_waiting(progress).await;
    }

    /// Everything that was counted, and that nothing will be any more. All requests have ended.
    async fn say_good_bye(&self, progress: &mut Progress) -> bool {
        if !self.send_waiting(progress).await {
            return false;
        }
        let now = self.ambient.now().max(progress.of_run.from());
        let drained = self.meter.drain();
        if drained == Drained::default() {
            let last = progress.of_run.idle(now, Stay::Leaving);
            return self.send(&last, progress).await;
        }
        progress.of_run.number((drained.entries, drained.missed), now, Stay::Leaving);
        self.send_waiting(progress).await
    }

    /// Sends what waits, in order; whether all of it is there.
    async fn send_waiting(&self, progress: &mut Progress) -> bool {
        while let Some(report) = progress.of_run.waiting().cloned() {
            if !self.send(&report, progress).await {
                // It may be there all the same; with the same number it is not counted again.
                return false;
            }
            progress.of_run.settled();
        }
        true
    }

    async fn send(&self, report: &UsageReport, progress: &mut Progress) -> bool {
        match self.sink.send(Sent::by_itself(report.clone())).await {
            Ok(()) => {
                progress.reported = Instant::now();
                if std::mem::take(&mut progress.in_trouble) {
                    warn!("usage is reported again");
                }
                true
            }
            Err(reason) => {
                if std::mem::replace(&mut progress.in_trouble, true) {
                    debug!(reason, "usage is not reported");
                } else {
                    warn!(reason, "usage is not reported; it is counted here until that is possible again");
                }
                false
            }
        }
    }
}

/// What people call this server: its host, as far as the system tells it, and its port.
pub(crate) fn server_name(address: SocketAddr) -> Box<str> {
    let host = ["/proc/sys/kernel/hostname", "/etc/hostname"].iter().find_map(|path| {
        let text = fs::read_to_string(path).ok()?;
        let plain = text.trim().chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c));
        Some(plain.take(HOST_MAX).collect::<String>()).filter(|host| !host.is_empty())
    });
    match host {
        Some(host) => format!("{host}:{}", address.port()).into(),
        None => address.to_string().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_has_a_name() {
        let name = server_name(SocketAddr::from(([127, 0, 0, 1], 8750)));
        assert!(name.ends_with(":8750") && name.len() > 5, "{name}");
    }
}
