//! Sheds verifies when more are asked than the server can answer, so that a revocation does not wait behind them.
//!
//! One verify takes microseconds and never waits, so however many are asked, few are under way: they wait as ready tasks in
//! the queue of the connections' runtime, and a command waits there with its request and again with its answer. How long a task
//! waits that another thread has woken tells how long that queue is. While it is long, a growing share of the verifies is
//! refused; while it is short, the share shrinks again, so that it settles at what is too much.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::spawn_blocking;
use tokio::time::{Instant, sleep};

/// What is shed is answered after this long: to refuse costs half of what it costs to answer, so a crowd that was refused at
/// once and asked again would be as much load as before.
pub(crate) const SHED_AFTER: Duration = Duration::from_millis(250);

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// Who waits so long waits behind hundreds of others.
const LATE: Duration = Duration::from_millis(8);
/// So many verifies have gone first then. With fewer it is something else that makes it late: shedding would not help.
const MANY: u32 = 150;
/// With fewer between two looks nobody is in a queue.
const FEW: u32 = 10;
/// Shares are counted in parts of this.
const ALL: u32 = 1024;
/// Shed in addition after a look that was just late; after one that was `n` times as late, `n * n` times as many.
const MORE: u32 = ALL / 32;
/// No longer shed after a look in time: after a crowd has gone, all are answered again within seconds.
const FEWER: u32 = ALL / 512;

/// How many of the verifies are shed now.
#[derive(Debug, Default)]
pub(crate) struct Pressure {
    /// Verifies, counted on and on.
    asked: AtomicU32,
    /// Of [`ALL`], how many are shed.
    share: AtomicU32,
    /// Nobody looks until something is asked.
    rests: AtomicBool,
    asked_again: Notify,
}

impl Pressure {
    /// Counts a verify, and answers whether it is to be shed.
    pub(crate) fn sheds(&self) -> bool {
        let n = self.asked.fetch_add(1, Ordering::Relaxed);
        if self.rests.load(Ordering::Relaxed) && self.rests.swap(false, Ordering::Relaxed) {
            self.asked_again.notify_one();
        }
        // An odd factor: those that are shed are spread evenly among the others.
        n.wrapping_mul(635) % ALL < self.share.load(Ordering::Relaxed)
    }

    /// Somebody waited so long in the queue, and so many verifies went first.
    fn look(&self, late: Duration, first: u32) {
        let share = self.share.load(Ordering::Relaxed);
        let times = u32::try_from(late.as_millis() / LATE.as_millis()).unwrap_or(ALL).min(ALL);
        let is_too_much = times > 0 && first >= MANY;
        let share =
            if is_too_much { (share + times * times * MORE).min(ALL) } else { share.saturating_sub(FEWER) };
        self.share.store(share, Ordering::Relaxed);
    }

    /// As after a crowd.
    #[cfg(test)]
    pub(crate) fn press(&self) {
        self.share.store(ALL, Ordering::Relaxed);
    }
}

/// Looks again and again at the runtime that this is run by; ends with it.
pub(crate) async fn watch(pressure: Arc<Pressure>) {
    let asked = || pressure.asked.load(Ordering::Relaxed);
    let mut before = asked();
    loop {
        sleep(LOOK_EVERY).await;
        let (last, mut late) = (before, Duration::ZERO);
        before = asked();
        // What a timer wakes is run next; what another thread wakes stands behind all others.
        if before.wrapping_sub(last) >= FEW
            && let Ok(woken) = spawn_blocking(Instant::now).await
        {
            late = woken.elapsed();
        }
        pressure.look(late, asked().wrapping_sub(before));
        if before == last && pressure.share.load(Ordering::Relaxed) == 0 {
            // An idle server does not wake up for this. One who asks in this very moment may not see it; the next does.
            pressure.rests.store(true, Ordering::Relaxed);
            pressure.asked_again.notified().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::yield_now;

    use super::*;

    /// How many of [`ALL`] verifies are shed, followed by a look that is late by so much.
    fn shed(pressure: &Pressure, late: Duration) -> usize {
        let shed = (0..ALL).filter(|_| pressure.sheds()).count();
        pressure.look(late, MANY);
        shed
    }

    #[test]
    fn a_queue_that_stays_long_sheds_more_and_more_and_one_that_is_short_less_and_less() {
        let pressure = Pressure::default();
        let grows: Vec<_> = (0..34).map(|_| shed(&pressure, LATE)).collect();
        assert!(grows.is_sorted() && grows[..3] == [0, 32, 64] && grows[32..] == [1024, 1024], "{grows:?}");
        let shrinks: Vec<_> = (0..514).map(|_| shed(&pressure, Duration::ZERO)).collect();
        assert!(
            shrinks.is_sorted_by(|a, b| a >= b) && shrinks[0] == 1024 && shrinks[513] == 0,
            "{shrinks:?}"
        );
    }

    #[test]
    fn a_crowd_that_comes_at_once_is_shed_at_once() {
        let pressure = Pressure::default();
        assert_eq!([shed(&pressure, LATE * 6), shed(&pressure, LATE)], [0, 1024]);
    }

    #[test]
    fn a_machine_that_is_late_with_little_to_do_sheds_nothing() {
        let pressure = Pressure::default();
        for _ in 0..50 {
            pressure.look(LATE * 20, MANY - 1);
        }
        assert!(!pressure.sheds());
    }

    #[tokio::test]
    async fn whoever_asks_wakes_who_rests() {
        let pressure = Arc::new(Pressure::default());
        let watching = tokio::spawn(watch(Arc::clone(&pressure)));
        let rests = || pressure.rests.load(Ordering::Relaxed);
        for _ in 0..3 {
            while !rests() {
                yield_now().await;
            }
            assert!(!pressure.sheds() && !rests(), "it was woken by who asks");
        }
        watching.abort();
    }
}
