//! What all workers share: how long they wait before they try again, and how they are told to stop.

use std::future::pending;
use std::time::Duration;

use tokio::sync::watch;

/// A pause that doubles from try to try and is bounded: short enough that a log that is back is followed well within
/// `max_staleness`, long enough that one that is away is not hammered.
#[derive(Debug)]
pub(crate) struct Backoff {
    next: Duration,
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(20);
    const LONGEST: Duration = Duration::from_secs(1);

    pub(crate) const fn new() -> Self {
        Self { next: Self::FIRST }
    }

    pub(crate) fn pause(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(Self::LONGEST);
        pause
    }

    /// To be called after a success.
    pub(crate) const fn reset(&mut self) {
        self.next = Self::FIRST;
    }
}

/// A worker's ear for being told to stop.
#[derive(Clone, Debug)]
pub(crate) struct Stop(watch::Receiver<bool>);

impl Stop {
    pub(crate) fn new() -> (watch::Sender<bool>, Self) {
        let (sender, receiver) = watch::channel(false);
        (sender, Self(receiver))
    }

    /// Returns once it is asked for. Never when whoever could ask is gone: that is a crash, and a worker does nothing in
    /// a crash.
    pub(crate) async fn asked(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            pending::<()>().await;
        }
    }

    /// Whether there is no point in going on: it was asked for, or whoever could ask is gone.
    pub(crate) fn is_over(&self) -> bool {
        *self.0.borrow() || self.0.has_changed().is_err()
    }

    /// Waits so long, or until asked to stop.
    pub(crate) async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            () = self.asked() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }
}
