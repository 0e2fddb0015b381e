//! Asks for a lease each second, and tells the server what has been applied: at once, or as soon as many other guards let it.

use std::sync::atomic::Ordering;
use std::time::Duration;

use domain::Position;
use serde_json::Value;
use tokio::task::yield_now;
use tokio::time::{Instant, sleep, timeout_at};
use wire::guard::{Applied, LeaseGranted};

use crate::backoff::Backoff;
use crate::client::CallError;
use crate::clock::random;
use crate::core::LeaseOutcome;
use crate::link::Link;

/// How often a lease is asked for at most: several times within the usual bound, so that one lost answer does no harm.
const EACH: Duration = Duration::from_secs(1);

/// Questions within one bound, where the bound is short.
const WITHIN_BOUND: u32 = 5;

/// No bound is so short that more than this is asked.
const AT_LEAST_APART: Duration = Duration::from_millis(50);

/// An answer later than this would hardly be worth anything, and the next question waits for it.
const LEASE_WITHIN: Duration = Duration::from_secs(2);

/// A server that asks for more than this is not one of ours.
const LONGEST_SPREAD_MS: u64 = 1_000;

/// A report that takes longer is repeated with what has been applied by then; leases tell it, too.
const REPORT_WITHIN: Duration = Duration::from_secs(2);

/// Keeps the lease, until it is dropped.
pub(crate) async fn keep_lease(link: &Link) {
    let mut backoff = Backoff::new();
    loop {
        let seen = link.registered().await;
        let period = period(link.core.bound_ms());
        let next = Instant::now() + period;
        // The clock before the question is sent: the lease counts from here.
        let ask = link.core.ask_lease(link.guard_id(), link.clock.boot_ms());
        let within = LEASE_WITHIN.min(period * 2);
        let answer: Result<LeaseGranted, CallError> = link.client.post("/v1/guard/lease", &ask, within).await;
        let wait_until = match answer {
            Ok(granted) => {
                backoff.calm();
                take(link, &granted);
                next
            }
            Err(CallError::GuardUnknown) => {
                link.register_again(seen).await;
                Instant::now()
            }
            Err(error) => Instant::now() + link.failed("asking for a lease", &error, &mut backoff),
        };
        tell_meters(link);
        // A feed that has just begun may be all that the last answer was waiting for.
        let _ = timeout_at(wait_until, link.ask_now.notified()).await;
    }
}

fn period(bound_ms: u64) -> Duration {
    (Duration::from_millis(bound_ms) / WITHIN_BOUND).clamp(AT_LEAST_APART, EACH)
}

fn take(link: &Link, granted: &LeaseGranted) {
    link.report_within_ms.store(granted.report_within_ms.min(LONGEST_SPREAD_MS), Ordering::Relaxed);
    match link.core.on_lease(granted) {
        LeaseOutcome::Extended => {
            link.works();
            link.notes.touch();
        }
        LeaseOutcome::Waiting => {
            link.works();
            link.wanted.send_replace(Position::new(granted.last_notice));
        }
        LeaseOutcome::ServerStale => {
            let text =
                "asking for a lease: the server itself has not proven lately that it has heard everything";
            link.notes.note(|noted| noted.call_error = Some(text.to_owned()));
        }
        LeaseOutcome::Refused => {}
        LeaseOutcome::Reset => link.was_reset("the lease is of another history"),
    }
}

fn tell_meters(link: &Link) {
    link.meters.held.set(link.core.held() as f64);
    link.meters.applied.set(link.core.applied().get() as f64);
    let lag_ms = link.core.lag_ms(link.clock.boot_ms());
    link.meters.lag_ms.set(lag_ms.map_or(-1.0, |lag_ms| lag_ms as f64));
}

/// Not with all the others that hear the same notice, and not before the last of them has heard it: the first half of the
/// time is the feed's. A guard alone lets its own service go first, which may wait for the same notice.
async fn rest_before_report(within_ms: u64) {
    if within_ms == 0 {
        return yield_now().await;
    }
    let lead_ms = within_ms / 2;
    sleep(Duration::from_millis(lead_ms + random() % (within_ms - lead_ms + 1))).await;
}

/// Reports what has been applied, one report at a time, until it is dropped. What is applied meanwhile goes into the next.
pub(crate) async fn report(link: &Link) {
    let mut applied = link.applied.subscribe();
    let mut backoff = Backoff::new();
    let mut reported = Position::NONE;
    loop {
        let position = *applied.borrow_and_update();
        if position == reported {
            if applied.changed().await.is_err() {
                return;
            }
            let within_ms = link.report_within_ms.load(Ordering::Relaxed);
            rest_before_report(within_ms).await;
            continue;
        }
        let seen = link.registered().await;
        let report = Applied { guard_id: link.guard_id().to_owned(), position: position.get() };
        let answer: Result<Value, CallError> =
            link.client.post("/v1/guard/applied", &report, REPORT_WITHIN).await;
        match answer {
            Ok(_) => {
                backoff.calm();
                reported = position;
            }
            Err(CallError::GuardUnknown) => link.register_again(seen).await,
            Err(error) => {
                let pause = link.failed("reporting", &error, &mut backoff);
                sleep(pause).await;
            }
        }
    }
}
