//! What guards counted, on its way into the record, and what this server says of a guard that has a lease and tells nothing.
//!
//! A guard is on record before it can answer anybody, and each of its reports before the guard hears that it is. As long as it
//! has leases and does not report, this server says on its behalf that it goes on: so what it may have counted is unknown by
//! name, and whoever concludes something from *no use* waits for it. Once it has neither, it ends like a server that fell
//! silent: by its bound.

use std::collections::HashMap;
use std::time::Duration;

use domain::{EventId, Timestamp};
use parking_lot::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use tracing::warn;
use wire::{RunId, UsageReport, guard_counts};

use super::sink::{Sent, Sink};
use crate::fleet::{DRIFT_MS, GuardId, Introduction, Member};

/// Reports that wait for the one write that is under way; as many requests of guards are let in at once.
const WAITING: usize = 1_024;
/// Reports of one write: readers of the record get their turn in between.
const TOGETHER: usize = 256;
/// How long a report may take. The guard repeats it, and it is counted once.
const TAKE_WITHIN: Duration = Duration::from_secs(2);
/// A guard that has not reported for so long is spoken for, in milliseconds: it reports each second or two.
const SPOKEN_FOR_AFTER_MS: u64 = 2_500;
/// For how long at a time, in milliseconds: of a guard that is lost in between so much more is unknown at most.
const SPOKEN_FOR_MS: u64 = 30_000;
/// How long, in milliseconds, until that has been noticed at the latest, and written.
const NOTICED_MS: u64 = 3_000;
/// How long before that is over it is said again, in milliseconds.
const SAID_AGAIN_MS: u64 = 15_000;

/// The reports of guards.
pub(crate) struct GuardUsage {
    queue: mpsc::Sender<Waiting>,
    last: Mutex<HashMap<GuardId, Last>>,
}

/// A report, and who waits for it.
pub(crate) struct Waiting {
    sent: Sent,
    done: oneshot::Sender<Result<(), String>>,
}

/// What a guard reported last here; of one that came from elsewhere or did not report yet, nothing but its beginning.
struct Last {
    /// Boot milliseconds; of one that did not report yet, when that was expected first.
    heard: u64,
    sequence: u64,
    to: Timestamp,
    /// Boot milliseconds until which this server has spoken for it.
    spoken_until: u64,
}

/// Why a report is not on record. It may be all the same: the same again is counted once.
#[derive(Debug)]
pub(crate) struct NotCounted(pub(crate) String);

impl GuardUsage {
    /// With the queue that [`take_in`] works on.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Waiting>) {
        let (queue, waiting) = mpsc::channel(WAITING);
        (Self { queue, last: Mutex::default() }, waiting)
    }

    /// Puts on record that a guard may answer from now on. To be called before it is told that it is registered.
    pub(crate) async fn announce(&self, guard: &Introduction, now: Timestamp) -> Result<(), NotCounted> {
        self.put(Sent::by_this_server(said(guard, 0, began(guard, now), bound_ms(guard)))).await
    }

    /// Puts a report on record.
    pub(crate) async fn report(
        &self,
        guard: &Introduction,
        report: UsageReport,
        boot_ms: u64,
    ) -> Result<(), NotCounted> {
        let (sequence, to) = (report.sequence, report.to);
        self.put(Sent::by_itself(UsageReport { max_staleness_ms: bound_ms(guard), ..report })).await?;
        let mut last = self.last.lock();
        let last =
            last.entry(guard.guard_id).or_insert(Last { heard: boot_ms, sequence, to, spoken_until: 0 });
        if to >= last.to {
            *last = Last { heard: boot_ms, sequence, to, spoken_until: 0 };
        }
        Ok(())
    }

    /// Says of those that have leases and report nothing that they go on. To be called each second.
    pub(crate) async fn speak_for_silent(&self, members: Vec<Member>, now: Timestamp, boot_ms: u64) {
        for (guard, report) in self.silent(&members, now, boot_ms) {
            match self.put(Sent::by_this_server(report)).await {
                Ok(()) => {
                    if let Some(last) = self.last.lock().get_mut(&guard) {
                        last.spoken_until = boot_ms.saturating_add(SPOKEN_FOR_MS);
                    }
                }
                Err(NotCounted(reason)) => {
                    warn!(guard.id = %guard, reason, "it could not be said that a guard reports no usage");
                    break;
                }
            }
        }
    }

    fn silent(&self, members: &[Member], now: Timestamp, boot_ms: u64) -> Vec<(GuardId, UsageReport)> {
        let mut last = self.last.lock();
        last.retain(|guard, _| members.iter().any(|member| member.introduction.guard_id == *guard));
        let silent = members.iter().filter(|member| !member.is_over(boot_ms)).filter_map(|member| {
            member.accepts_until()?;
            let guard = &member.introduction;
            let expected = || Last { heard: boot_ms, sequence: 0, to: began(guard, now), spoken_until: 0 };
            let last = last.entry(guard.guard_id).or_insert_with(expected);
            let is_silent = boot_ms > last.heard.saturating_add(SPOKEN_FOR_AFTER_MS);
            if !is_silent || boot_ms.saturating_add(SAID_AGAIN_MS) < last.spoken_until {
                return None;
            }
            let goes_on = now.plus_millis(SPOKEN_FOR_MS.saturating_add(bound_ms(guard)));
            let longer = goes_on.as_millis().saturating_sub(last.to.as_millis());
            Some((guard.guard_id, said(guard, last.sequence, last.to, longer)))
        });
        silent.collect()
    }

    async fn put(&self, sent: Sent) -> Result<(), NotCounted> {
        let (done, is_done) = oneshot::channel();
        let put = async {
            let gone = |_| NotCounted("this server stops".to_owned());
            self.queue
                .send(Waiting { sent, done })
                .await
                .map_err(|_| NotCounted("this server stops".to_owned()))?;
            is_done.await.map_err(gone)?.map_err(NotCounted)
        };
        timeout(TAKE_WITHIN, put).await.unwrap_or_else(|_| Err(NotCounted("it took too long".to_owned())))
    }
}

/// When a guard can have answered at the earliest: it drew its id before it came, and whoever comes again may have.
fn began(guard: &Introduction, now: Timestamp) -> Timestamp {
    run_of(guard.guard_id).drawn_at().min(now)
}

/// What a guard may go on for after its last report: it had a lease until then, and another until this server noticed.
fn bound_ms(guard: &Introduction) -> u64 {
    guard.max_staleness_ms.saturating_add(DRIFT_MS).saturating_add(NOTICED_MS)
}

fn run_of(guard: GuardId) -> RunId {
    RunId::of_guard(EventId::from(guard))
}

fn said(guard: &Introduction, sequence: u64, to: Timestamp, max_staleness_ms: u64) -> UsageReport {
    UsageReport {
        run: run_of(guard.guard_id),
        server: guard_counts(&guard.tenant, &guard.name),
        sequence,
        from: to,
        to,
        leaving: false,
        max_staleness_ms,
        missed: 0,
        entries: Vec::new(),
    }
}

/// Writes what waits, together where it waits together, until it is dropped.
pub(crate) async fn take_in(mut waiting: mpsc::Receiver<Waiting>, sink: Sink) {
    let mut batch = Vec::new();
    while waiting.recv_many(&mut batch, TOGETHER).await > 0 {
        let (all, done): (Vec<_>, Vec<_>) = batch.drain(..).map(|one| (one.sent, one.done)).unzip();
        for (done, result) in done.into_iter().zip(sink.send_all(all).await) {
            // Who waited may have gone away.
            let _ = done.send(result);
        }
    }
}
