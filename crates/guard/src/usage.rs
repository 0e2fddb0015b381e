//! What this guard said, counted by key and verdict, and told to the server in sums at most once a second.
//!
//! Counting writes nowhere and, in a steady stream of requests, allocates nothing: see `passes` for keys that are let pass, and
//! [`verify::Tally`] for the rest. What cannot be sent
//! waits, and what is counted meanwhile is added up behind it, as much as there is room for; for the rest the server is told
//! how many verdicts are missing. A report that is sent again has the same number and is counted once.
//!
//! **Times** are the server's. It tells its clock with each answer, and from there on this guard's boot-time clock counts, so a
//! wall clock that jumps changes nothing. An answer is some time on its way, so a guard dates rather too early: it never
//! claims to have reported what it had not counted yet.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use domain::{TenantId, Timestamp};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, info};
use verify::{Sum, Tallied, Tally, TallyLimits, Verdict};
use wire::guard::{Counted, Usage};
use wire::{RunId, Stay, UsageEntry, UsageOrigin, UsageProgress, UsageReport, guard_counts, parse_rfc3339};

use crate::backoff::Backoff;
use crate::client::CallError;
use crate::core::Decision;
use crate::link::Link;
use crate::passes::{Listed, Origin};
use crate::requirement::Requirement;

/// What is told apart between two reports: at most about 30 MB, if as many keys are used within a second.
const LIMITS: TallyLimits = TallyLimits { keys: 65_536, details: 131_072 };

/// How often sums go out at most.
const EACH: Duration = Duration::from_millis(UsageProgress::REPORT_EVERY_MS);
/// How often a guard that said nothing tells that.
const IDLE_EVERY: Duration = Duration::from_millis(UsageProgress::IDLE_EVERY_MS);
/// A report is one write at the server.
const REPORT_WITHIN: Duration = Duration::from_secs(3);
/// Nobody waits for a guard that leaves: what it could not tell is unknown by its name.
const LAST_WITHIN: Duration = Duration::from_millis(500);

/// Until a server has told what time it is.
const NOT_TOLD: i64 = i64::MIN;

/// What a guard counts.
pub(crate) struct Uses {
    passes: Listed,
    tally: Tally<Origin>,
    tenant: Arc<TenantId>,
    /// The server's clock less this guard's boot-time clock, in milliseconds.
    ahead_ms: AtomicI64,
}

impl Uses {
    pub(crate) fn of(tenant: &TenantId) -> Self {
        let tenant = Arc::new(tenant.clone());
        Self {
            passes: Listed::default(),
            tally: Tally::new(LIMITS),
            tenant,
            ahead_ms: AtomicI64::new(NOT_TOLD),
        }
    }

    /// Counts a verdict of this guard's own. A guess at a secret is no use of the key: only who holds it counts.
    pub(crate) fn count(&self, decision: &Decision, requirement: &Requirement, boot_ms: u64) {
        let Some(holder) = &decision.holder else { return };
        let now = self.at(boot_ms).unwrap_or_default();
        if decision.verdict == Verdict::Valid && self.passes.count(holder, requirement, now) {
            return;
        }
        let (key_id, verdict) = (holder.key_id(), decision.verdict);
        let tallied = Tallied { tenant: &self.tenant, key_id, verdict, now };
        self.tally.count(&tallied, |origin| origin.is_of(requirement), || Origin::of(requirement));
    }

    /// Takes everything out, the sums of one key side by side, and how many verdicts found no room.
    fn drain(&self) -> (Vec<Sum<Origin>>, u64) {
        let (mut sums, missed) = self.tally.drain();
        sums.append(&mut self.passes.drain(&self.tenant));
        sums.sort_by_key(|sum| sum.key_id);
        (sums, missed)
    }

    /// What time it is at the server at least.
    fn at(&self, boot_ms: u64) -> Option<Timestamp> {
        let ahead_ms = Some(self.ahead_ms.load(Ordering::Relaxed)).filter(|ahead| *ahead != NOT_TOLD)?;
        boot_ms.checked_add_signed(ahead_ms).map(Timestamp::from_millis)
    }

    /// Takes what a server says the time is. `boot_ms` is read when that has arrived.
    pub(crate) fn told(&self, now: Option<&str>, boot_ms: u64) {
        let Some(Ok(now)) = now.map(parse_rfc3339) else { return };
        let (Ok(now), Ok(boot)) = (i64::try_from(now.as_millis()), i64::try_from(boot_ms)) else { return };
        self.ahead_ms.store(now - boot, Ordering::Relaxed);
    }
}

fn entry(sum: Sum<Origin>, service: &str) -> UsageEntry {
    UsageEntry {
        tenant: TenantId::clone(&sum.tenant),
        key_id: sum.key_id,
        verdict: sum.verdict.as_str().into(),
        count: sum.count,
        first: sum.first,
        last: sum.last,
        origin: sum.origin.map(|origin| UsageOrigin {
            scope: origin.scope().map(|scope| scope.as_str().into()),
            service: service.into(),
            network: origin.network().text(),
        }),
    }
}

/// Tells what is counted.
pub(crate) struct UsageTeller {
    /// None until a server has told what time it is: nothing was let pass before.
    progress: Option<UsageProgress>,
    told: Instant,
}

impl UsageTeller {
    pub(crate) fn new() -> Self {
        Self { progress: None, told: Instant::now() }
    }

    /// Tells each second, until it is dropped.
    pub(crate) async fn run(&mut self, link: &Link) {
        let mut backoff = Backoff::new();
        let mut ticks = interval(EACH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            let seen = link.registered().await;
            match self.tell(link, Stay::Going, REPORT_WITHIN).await {
                Ok(()) => backoff.calm(),
                Err(CallError::GuardUnknown) => link.register_again(seen).await,
                Err(error) => {
                    link.meters.untold_reports.increment(1);
                    sleep(link.failed("reporting usage", &error, &mut backoff)).await;
                }
            }
        }
    }

    /// Tells the last of it: nothing is said any more.
    pub(crate) async fn say_good_bye(&mut self, link: &Link) {
        if let Err(error) = self.tell(link, Stay::Leaving, LAST_WITHIN).await {
            info!(guard.id = link.guard_id(), %error, "the guard could not tell its last usage: its span counts as unknown");
        }
    }

    async fn tell(&mut self, link: &Link, stay: Stay, within: Duration) -> Result<(), CallError> {
        let boot_ms = link.clock.boot_ms();
        let Some(now) = link.uses.at(boot_ms) else { return Ok(()) };
        let began = || {
            UsageProgress::new(
                RunId::of_guard(link.guard_id().parse().unwrap_or(domain::EventId::from_u128(0))),
                guard_counts(link.core.tenant(), &link.register.name),
                0,
                Usage::MAX_WEIGHT,
                now,
            )
        };
        let progress = self.progress.get_or_insert_with(began);
        let mut any = false;
        // What was made before goes out first, as it was.
        any |= send_waiting(link, progress, within).await?;
        let settle_ms = if stay == Stay::Leaving { 0 } else { UsageProgress::SETTLE_MS };
        let to = Timestamp::from_millis(now.as_millis().saturating_sub(settle_ms)).max(progress.from());
        let (sums, missed) = link.uses.drain();
        if !sums.is_empty() || missed > 0 {
            link.meters.missed_uses.increment(missed);
            let entries = sums.into_iter().map(|sum| entry(sum, &link.register.name)).collect();
            progress.number((entries, missed), to, stay);
            any |= send_waiting(link, progress, within).await?;
        } else if stay == Stay::Leaving || (!any && self.told.elapsed() >= IDLE_EVERY) {
            send(link, &progress.idle(to, stay), within).await?;
            any = true;
        }
        if any {
            self.told = Instant::now();
        }
        Ok(())
    }
}

/// Sends what waits, in order; whether there was anything.
async fn send_waiting(
    link: &Link,
    progress: &mut UsageProgress,
    within: Duration,
) -> Result<bool, CallError> {
    let mut any = false;
    while let Some(report) = progress.waiting() {
        send(link, report, within).await?;
        progress.settled();
        any = true;
    }
    Ok(any)
}

async fn send(link: &Link, report: &UsageReport, within: Duration) -> Result<(), CallError> {
    let body = Usage::of(link.guard_id(), report);
    let counted: Counted = link.client.post("/v1/guard/usage", &body, within).await?;
    link.uses.told(Some(&counted.now), link.clock.boot_ms());
    debug!(
        guard.id = link.guard_id(),
        sequence = report.sequence,
        keys = report.entries.len(),
        "usage was told"
    );
    Ok(())
}
