//! Reports what the meter counted, about every second: into the record, or into the stream that all records follow.

use std::collections::VecDeque;
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use application::Ambient;
use domain::Timestamp;
use eventlog::jetstream::{Keeping, REPORT_MAX, UsageStream};
use projection::usage::UsageRecord;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};
use wire::{RunId, UsageEntry, UsageReport};

use super::meter::{Drained, UsageMeter};

/// How often sums go out.
const REPORT_EVERY: Duration = Duration::from_secs(1);
/// How often a server in which nothing was counted says so: well within the 3 s after which it counts as silent, and half
/// the synced writes of every second.
const IDLE_EVERY: Duration = Duration::from_secs(2);
/// How long the first report waits before it is tried again: nobody is let pass before it is there.
const ANNOUNCE_AGAIN: Duration = Duration::from_millis(100);
/// A verdict is counted right after it is given; a thread that is held up in between has so long before a report claims to
/// have had everything.
const SETTLE_MS: u64 = 250;
/// Beside its entries a report takes at most so many bytes.
const REPORT_FRAME: usize = 1_024;
/// Characters of the host in a server's name.
const HOST_MAX: usize = 100;

/// Where reports go.
#[derive(Debug)]
pub(crate) enum Sink {
    /// Straight into the record: nobody else verifies on this log.
    Record(UsageRecord),
    /// To all servers, this one included.
    Stream(UsageStream),
}

impl Sink {
    async fn send(&self, report: &UsageReport) -> Result<(), String> {
        match self {
            Self::Record(record) => record.take_in(vec![report.clone()]).await.map_err(|error| chain(&error)),
            Self::Stream(stream) => {
                let run = report.run.to_string();
                // Two reports without a number of their own may differ in nothing but how far they go.
                let (keeping, id) = if report.is_numbered() {
                    (Keeping::Stays, format!("{run}:{}", report.sequence))
                } else {
                    (Keeping::Replaces, format!("{run}:{}:{}", report.sequence, report.to.as_millis()))
                };
                let sent = stream.publish(&run, &id, keeping, report.encode()).await;
                sent.map_err(|error| error.reason)
            }
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    format!("{error}{source}")
}

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

/// What has been reported, and what is on its way.
struct Progress {
    /// The number of the last numbered report that was made.
    sequence: u64,
    /// Where the last numbered report that finished a span ended.
    from: Timestamp,
    /// Numbered and not known to be there, oldest first. As long as there are any, nothing is drained, so there are never
    /// more than one drain makes.
    waiting: VecDeque<UsageReport>,
    reported: Instant,
    in_trouble: bool,
}

/// Whether a report is the run's last.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stay {
    Going,
    Leaving,
}

impl Reporter {
    /// Reports until it is asked to leave. Stopping it anywhere is a crash: what it had not reported stays unknown.
    pub(crate) async fn run(mut self) {
        let began = self.ambient.now();
        let mut progress = Progress {
            sequence: 0,
            from: began,
            waiting: VecDeque::new(),
            reported: Instant::now(),
            in_trouble: false,
        };
        while !self.send(&self.idle(&progress, began, Stay::Going), &mut progress).await {
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
        if progress.waiting.is_empty() {
            // The clock first: what is counted while the meter is drained belongs to the next report.
            let to = Timestamp::from_millis(self.ambient.now().as_millis().saturating_sub(SETTLE_MS));
            let to = to.max(progress.from);
            let drained = self.meter.drain();
            if drained != Drained::default() {
                self.number(drained, to, Stay::Going, progress);
            } else if progress.reported.elapsed() >= IDLE_EVERY {
                let idle = self.idle(progress, to, Stay::Going);
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
        let now = self.ambient.now().max(progress.from);
        let drained = self.meter.drain();
        if drained == Drained::default() {
            let last = self.idle(progress, now, Stay::Leaving);
            return self.send(&last, progress).await;
        }
        self.number(drained, now, Stay::Leaving, progress);
        self.send_waiting(progress).await
    }

    /// Sends what waits, in order; whether all of it is there.
    async fn send_waiting(&self, progress: &mut Progress) -> bool {
        while let Some(report) = progress.waiting.pop_front() {
            if !self.send(&report, progress).await {
                // It may be there all the same; with the same number it is not counted again.
                progress.waiting.push_front(report);
                return false;
            }
        }
        true
    }

    async fn send(&self, report: &UsageReport, progress: &mut Progress) -> bool {
        match self.sink.send(report).await {
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

    fn idle(&self, progress: &Progress, to: Timestamp, stay: Stay) -> UsageReport {
        let Progress { sequence, from, .. } = *progress;
        self.make(sequence, from, to, stay, Drained::default())
    }

    fn make(
        &self,
        sequence: u64,
        from: Timestamp,
        to: Timestamp,
        stay: Stay,
        drained: Drained,
    ) -> UsageReport {
        UsageReport {
            run: self.run,
            server: self.server.clone(),
            sequence,
            from,
            to,
            leaving: stay == Stay::Leaving,
            max_staleness_ms: u64::try_from(self.max_staleness.as_millis()).unwrap_or(u64::MAX),
            missed: drained.missed,
            entries: drained.entries,
        }
    }

    /// Makes numbered reports of what was drained, each small enough for a message. Only the last finishes the span.
    fn number(&self, drained: Drained, to: Timestamp, stay: Stay, progress: &mut Progress) {
        let mut parts = parts(drained.entries);
        let last = parts.pop().unwrap_or_default();
        for entries in parts {
            progress.sequence += 1;
            let drained = Drained { entries, missed: 0 };
            let report = self.make(progress.sequence, progress.from, progress.from, Stay::Going, drained);
            progress.waiting.push_back(report);
        }
        progress.sequence += 1;
        let drained = Drained { entries: last, missed: drained.missed };
        let report = self.make(progress.sequence, progress.from, to, stay, drained);
        progress.waiting.push_back(report);
        progress.from = to;
    }
}

/// Splits entries by what they weigh.
fn parts(entries: Vec<UsageEntry>) -> Vec<Vec<UsageEntry>> {
    let (mut parts, mut weight) = (vec![Vec::new()], REPORT_FRAME);
    for entry in entries {
        weight += entry.weight();
        if weight > REPORT_MAX {
            weight = REPORT_FRAME + entry.weight();
            parts.push(Vec::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push(entry);
        }
    }
    parts
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
    use domain::KeyId;
    use wire::UsageOrigin;

    use super::*;

    #[test]
    fn parts_fit_into_messages_and_lose_nothing() {
        let entry = |n: u128| UsageEntry {
            tenant: "a".repeat(63).parse().unwrap(),
            key_id: KeyId::from_u128(n),
            verdict: "network_denied".into(),
            count: u64::MAX,
            first: Timestamp::from_millis(u64::MAX),
            last: Timestamp::from_millis(u64::MAX),
            origin: Some(UsageOrigin {
                scope: Some("s".repeat(128).into()),
                service: "s".repeat(64).into(),
                network: Some("2001:db8:ffff::/48".into()),
            }),
        };
        let entries: Vec<_> = (0..5_000).map(entry).collect();
        let parts = parts(entries.clone());
        assert!(parts.len() > 2);
        for entries in &parts {
            let report = UsageReport {
                run: RunId::from_u128(u128::MAX),
                server: "s".repeat(HOST_MAX + 6).into(),
                sequence: u64::MAX,
                from: Timestamp::from_millis(0),
                to: Timestamp::from_millis(u64::MAX),
                leaving: true,
                max_staleness_ms: u64::MAX,
                missed: u64::MAX,
                entries: entries.clone(),
            };
            assert!(report.encode().len() <= REPORT_MAX);
        }
        assert_eq!(parts.concat(), entries);
    }

    #[test]
    fn a_server_has_a_name() {
        let name = server_name(SocketAddr::from(([127, 0, 0, 1], 8750)));
        assert!(name.ends_with(":8750") && name.len() > 5, "{name}");
    }
}
