//! A log that fails on purpose, by a seed: every failure in both halves, persisted and not.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::{LogId, Position};
use futures_util::FutureExt;

use crate::port::{
    AppendError, Durability, EventLog, Follower, Outcome, Pulse, ReadError, Recorded, StreamId, Unit,
};

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// An append fails and nothing is written: `DidNotHappen`.
    Lost,
    /// An append fails and nothing is written, but nobody can say so: `MayHaveHappened`.
    LostInDoubt,
    /// An append is written and its answer is lost: `MayHaveHappened`.
    Kept,
    /// An append answers `MayHaveHappened` at once and is written later: beside a later call, by
    /// [`FaultyLog::settle`], or when the last handle goes.
    Late,
    /// An append waits up to [`Fault::MAX_DELAY`] before it is sent, or before its answer is told.
    Delayed,
    /// An append is sent twice at once.
    Doubled,
    /// A stream, the head or a new follower cannot be read: `Unavailable`.
    Unreadable,
    /// The pulse is not answered: `Unavailable`.
    Pulseless,
    /// A follower breaks: this and all its later calls answer `Unavailable`, until somebody follows anew.
    Broken,
}

impl Fault {
    /// The longest that a delayed append waits: longer than a client of the log waits before it gives up.
    pub const MAX_DELAY: Duration = Duration::from_secs(3);
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Lost,
        Self::LostInDoubt,
        Self::Kept,
        Self::Late,
        Self::Delayed,
        Self::Doubled,
        Self::Unreadable,
        Self::Pulseless,
        Self::Broken,
    ];
}

/// How often each fault happens, in thousandths of the calls it can happen to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates([u16; Fault::ALL.len()]);

impl Rates {
    /// No faults: the log as it is.
    pub const NONE: Self = Self([0; Fault::ALL.len()]);

    /// The same rate for every fault.
    #[must_use]
    pub const fn all(per_mille: u16) -> Self {
        Self([per_mille; Fault::ALL.len()])
    }

    /// These rates, but for one fault.
    #[must_use]
    pub const fn with(mut self, fault: Fault, per_mille: u16) -> Self {
        self.0[fault as usize] = per_mille;
        self
    }
}

/// A log inside which faults happen by a seed. A clone is a second handle on the same log and the same fate.
///
/// It keeps the port's contract whatever it does, so whoever uses the port rightly comes to no harm. The same calls in the
/// same order meet the same faults; on a current-thread runtime with paused time a whole run repeats from its seed.
#[derive(Debug)]
pub struct FaultyLog<L: EventLog + 'static> {
    shared: Arc<Shared<L>>,
}

#[derive(Debug)]
struct Shared<L: EventLog + 'static> {
    inner: L,
    fate: Mutex<Fate>,
}

/// The dice, and what they left behind.
#[derive(Debug)]
struct Fate {
    state: u64,
    rates: Rates,
    happened: [u64; Fault::ALL.len()],
    late: VecDeque<Unit>,
}

impl Fate {
    /// splitmix64: one word of state, every seed is good.
    fn draw(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn happens(&mut self, fault: Fault) -> bool {
        let happens = self.draw() % 1000 < u64::from(self.rates.0[fault as usize]);
        self.happened[fault as usize] += u64::from(happens);
        happens
    }

    fn delay(&mut self) -> Duration {
        let most = u64::try_from(Fault::MAX_DELAY.as_micros()).expect("a few seconds");
        Duration::from_micros(self.draw() % most)
    }
}

impl<L: EventLog + 'static> Clone for FaultyLog<L> {
    fn clone(&self) -> Self {
        Self { shared: self.shared.clone() }
    }
}

impl<L: EventLog + 'static> FaultyLog<L> {
    /// How many of a thousand calls let the oldest late append land beside them.
    const LANDS: u64 = 250;

    /// Wraps a log. The seed decides everything.
    #[must_use]
    pub fn new(inner: L, seed: u64, rates: Rates) -> Self {
        let fate = Fate { state: seed, rates, happened: [0; Fault::ALL.len()], late: VecDeque::new() };
        Self { shared: Arc::new(Shared { inner, fate: Mutex::new(fate) }) }
    }

    /// Changes how often things go wrong from now on; followers that are broken stay broken.
    pub fn set_rates(&self, rates: Rates) {
        self.fate().rates = rates;
    }

    /// How often a fault has happened: a run in which it never did has proved nothing about it.
    #[must_use]
    pub fn happened(&self, fault: Fault) -> u64 {
        self.fate().happened[fault as usize]
    }

    /// The log inside, without faults: what really stands.
    #[must_use]
    pub fn inner(&self) -> &L {
        &self.shared.inner
    }

    /// Lets every late append land, in the order in which they were sent.
    pub async fn settle(&self) {
        loop {
            let Some(unit) = self.fate().late.pop_front() else { return };
            self.land(unit).await;
        }
    }

    fn fate(&self) -> MutexGuard<'_, Fate> {
        self.shared.fate.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Nobody waits for its outcome any more.
    async fn land(&self, unit: Unit) {
        let _ = self.shared.inner.append(unit).await;
    }

    /// Before any call: a late append may land just now.
    async fn some_lateness(&self) {
        let landing = {
            let mut fate = self.fate();
            if !fate.late.is_empty() && fate.draw() % 1000 < Self::LANDS {
                fate.late.pop_front()
            } else {
                None
            }
        };
        if let Some(unit) = landing {
            self.land(unit).await;
        }
    }

    async fn readable(&self, fault: Fault) -> Result<(), ReadError> {
        self.some_lateness().await;
        if self.fate().happens(fault) { Err(unavailable(fault)) } else { Ok(()) }
    }

    async fn delayed(&self) {
        let delay = {
            let mut fate = self.fate();
            fate.happens(Fault::Delayed).then(|| fate.delay())
        };
        if let Some(delay) = delay {
            tokio::time::sleep(delay).await;
        }
    }
}

impl<L: EventLog + 'static> Drop for Shared<L> {
    /// What was late is sent, and not waited for.
    fn drop(&mut self) {
        for unit in std::mem::take(&mut self.fate.get_mut().unwrap_or_else(PoisonError::into_inner).late) {
            let _ = self.inner.append(unit).now_or_never();
        }
    }
}

fn unavailable(fault: Fault) -> ReadError {
    ReadError::Unavailable { reason: format!("a fault was injected: {fault:?}") }
}

fn in_doubt(fault: Fault) -> AppendError {
    AppendError::MayHaveHappened { reason: format!("a fault was injected: {fault:?}") }
}

#[async_trait]
impl<L: EventLog + 'static> EventLog for FaultyLog<L> {
    fn log_id(&self) -> LogId {
        self.shared.inner.log_id()
    }

    fn durability(&self) -> Durability {
        self.shared.inner.durability()
    }

    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError> {
        unit.check()?;
        self.some_lateness().await;
        self.delayed().await;
        {
            let mut fate = self.fate();
            if fate.happens(Fault::Lost) {
                return Err(AppendError::DidNotHappen { reason: "a fault was injected: Lost".into() });
            }
            if fate.happens(Fault::LostInDoubt) {
                return Err(in_doubt(Fault::LostInDoubt));
            }
            if fate.happens(Fault::Late) {
                fate.late.push_back(unit);
                return Err(in_doubt(Fault::Late));
            }
        }
        let doubled = self.fate().happens(Fault::Doubled).then(|| unit.clone());
        let twin = async {
            if let Some(unit) = doubled {
                self.land(unit).await;
            }
        };
        let (outcome, ()) = futures_util::future::join(self.shared.inner.append(unit), twin).await;
        let outcome = outcome?;
        self.delayed().await;
        if self.fate().happens(Fault::Kept) { Err(in_doubt(Fault::Kept)) } else { Ok(outcome) }
    }

    async fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError> {
        self.readable(Fault::Unreadable).await?;
        self.shared.inner.read_stream(stream, after).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.readable(Fault::Unreadable).await?;
        self.shared.inner.head().await
    }

    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        self.readable(Fault::Unreadable).await?;
        let inner = self.shared.inner.follow(after).await?;
        Ok(Box::new(FaultyFollower { inner, log: self.clone(), broken: false }))
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        self.readable(Fault::Pulseless).await?;
        self.shared.inner.pulse().await
    }
}

struct FaultyFollower<L: EventLog + 'static> {
    inner: Box<dyn Follower>,
    log: FaultyLog<L>,
    broken: bool,
}

#[async_trait]
impl<L: EventLog + 'static> Follower for FaultyFollower<L> {
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError> {
        self.broken = self.broken || self.log.fate().happens(Fault::Broken);
        if self.broken { Err(unavailable(Fault::Broken)) } else { self.inner.next().await }
    }
}

#[cfg(test)]
mod tests;
