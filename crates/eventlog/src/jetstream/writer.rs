//! The one task that sends: pipelined publishes while few units wait, atomic batches once many do.

use std::collections::{HashSet, VecDeque};
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::{JoinHandle, JoinSet, yield_now};
use tokio::time::{Instant, sleep, timeout};

use super::log::Core;
use super::publish::{BATCH_BYTES, BATCH_MESSAGES, Sent};
use super::settle::SETTLE_LIMIT;
use crate::port::{AppendError, Outcome, StreamId, Unit};

/// Units of one queue that may wait or be under way, each counted once for every [`WEIGHT_BYTES`] it holds: 16 MiB a queue.
const ROOM: u32 = 4096;
/// See [`ROOM`]: an event of the usual size counts once.
const WEIGHT_BYTES: usize = 4096;
/// How long a caller waits for room before it hears that nothing happened.
const ROOM_LIMIT: Duration = Duration::from_secs(1);
/// From so many waiting one batch is quicker than publishes one by one: on an idle server it costs 2.4 ms where a publish
/// costs 0.2, on a busy one 25 ms where a publish costs 0.4.
const BATCH_FROM: RangeInclusive<usize> = 12..=64;
/// Publishes under way at once while few wait. A server alone syncs each by itself, and more at once only get in each
/// other's way (measured under load: 2,400/s one by one, 600/s eight at once); several replicate them together.
const SINGLES: (usize, usize) = (1, 12);
/// The weight of the newest measurement in [`Pace`].
const NEWEST: f64 = 0.125;
/// Batches under way at once: the server commits them one at a time, and what waits meanwhile makes the next one fuller.
const BATCHES: usize = 1;
/// The longest that a batch waits for more units: little beside what it costs.
const GATHER: Duration = Duration::from_millis(1);
/// After so many turns in which nothing came, nothing will.
const QUIET: u32 = 4;
/// How often a refused batch is sent again without its stale units before what is left goes one by one.
const ROUNDS: usize = 8;
/// The wait before that when no stale unit was found: somebody else's write to one of the streams is under way.
const LET_OTHERS_LAND: Duration = Duration::from_millis(3);
/// Units that find out their fate at once: each is some requests to the leader.
const SETTLING: usize = 64;
/// How long a close waits for what is under way: as long as a unit may stay open, and a little.
const CLOSE_LIMIT: Duration = Duration::from_secs(6);

type Answer = Result<Outcome, AppendError>;

/// How long a publish and a batch took lately, where publishes go one by one.
#[derive(Debug)]
struct Pace {
    single: Duration,
    batch: Duration,
}

impl Default for Pace {
    /// An idle server's: see [`BATCH_FROM`].
    fn default() -> Self {
        Self { single: Duration::from_micros(240), batch: Duration::from_micros(2400) }
    }
}

impl Pace {
    fn note(&mut self, sent: Stretch) {
        let (lately, took) = match sent {
            Stretch::Single(took) => (&mut self.single, took),
            Stretch::Batch(took) => (&mut self.batch, took),
        };
        *lately = lately.mul_f64(1.0 - NEWEST) + took.mul_f64(NEWEST);
    }

    /// From how many waiting a batch is quicker.
    fn batch_from(&self) -> usize {
        let quicker = self.batch.as_micros() / self.single.as_micros().max(1);
        usize::try_from(quicker).unwrap_or(usize::MAX).clamp(*BATCH_FROM.start(), *BATCH_FROM.end())
    }
}

/// What one stored sending took.
#[derive(Clone, Copy, Debug)]
enum Stretch {
    Single(Duration),
    Batch(Duration),
}

/// What a task of the writer leaves behind when it ends.
#[derive(Debug, Default)]
struct Done {
    unsettled: Vec<Unsettled>,
    took: Option<Stretch>,
}

/// The way in: queues with bounds, and the task behind them.
#[derive(Debug)]
pub(super) struct Writer {
    core: Arc<Core>,
    /// Unbounded by itself: whoever sends holds room in `room` until the answer is there.
    orders: mpsc::UnboundedSender<Order>,
    room: [Arc<Semaphore>; 3],
    task: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Debug)]
enum Order {
    Append(Job),
    Close,
}

#[derive(Debug)]
struct Job {
    unit: Unit,
    answer: oneshot::Sender<Answer>,
    _room: OwnedSemaphorePermit,
}

/// A job that was sent or set aside, and whether an earlier sending of it may still land.
#[derive(Debug)]
struct Unsettled {
    job: Job,
    doubt: Option<String>,
    deadline: Instant,
}

impl Writer {
    pub(super) fn start(core: Arc<Core>) -> Self {
        let (orders, inbox) = mpsc::unbounded_channel();
        let room = std::array::from_fn(|_| Arc::new(Semaphore::new(ROOM as usize)));
        let task = tokio::spawn(Desk::new(Arc::clone(&core), inbox).run());
        Self { core, orders, room, task: Mutex::new(Some(task)) }
    }

    pub(super) async fn append(&self, unit: Unit) -> Answer {
        if self.core.is_away() {
            return did_not_happen("there is no connection to NATS");
        }
        let room = Arc::clone(&self.room[unit.queue as usize]).acquire_many_owned(weight(&unit));
        let room = match timeout(ROOM_LIMIT, room).await {
            Ok(Ok(room)) => room,
            Ok(Err(_)) => return did_not_happen(CLOSED),
            Err(_) => return did_not_happen("too many appends wait already"),
        };
        let (answer, answered) = oneshot::channel();
        if self.orders.send(Order::Append(Job { unit, answer, _room: room })).is_err() {
            return did_not_happen(CLOSED);
        }
        answered.await.unwrap_or_else(|_| {
            Err(AppendError::MayHaveHappened { reason: "the writer ended before it answered".to_owned() })
        })
    }

    /// Takes nothing more and waits until all that was taken is answered; safe to call again.
    pub(super) async fn close(&self) {
        for room in &self.room {
            room.close();
        }
        let _ = self.orders.send(Order::Close);
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task
            && timeout(CLOSE_LIMIT, task).await.is_err()
        {
            tracing::warn!("some appends were still under way when the log was closed");
        }
    }
}

const CLOSED: &str = "the log is closed";

fn did_not_happen(reason: &str) -> Answer {
    Err(AppendError::DidNotHappen { reason: reason.to_owned() })
}

fn bytes(unit: &Unit) -> usize {
    unit.events().map(|event| event.payload.len()).sum()
}

fn weight(unit: &Unit) -> u32 {
    u32::try_from(1 + bytes(unit) / WEIGHT_BYTES).unwrap_or(ROOM).min(ROOM)
}

/// The writer task's own state.
struct Desk {
    core: Arc<Core>,
    inbox: mpsc::UnboundedReceiver<Order>,
    /// One queue each, in the order in which they are served.
    waiting: [VecDeque<Job>; 3],
    singles: Arc<Semaphore>,
    batches: Arc<Semaphore>,
    settling: Arc<Semaphore>,
    /// Sendings and settlements under way; bounded by the room that their jobs hold.
    under_way: JoinSet<Done>,
    /// Kept only where publishes go one by one: several at once say nothing about one.
    pace: Pace,
    closing: bool,
}

impl Desk {
    fn new(core: Arc<Core>, inbox: mpsc::UnboundedReceiver<Order>) -> Self {
        let slots = |n| Arc::new(Semaphore::new(n));
        let singles = if core.replicas == 1 { SINGLES.0 } else { SINGLES.1 };
        let (singles, batches, settling) = (slots(singles), slots(BATCHES), slots(SETTLING));
        let (waiting, under_way, pace) = (Default::default(), JoinSet::new(), Pace::default());
        Self { core, inbox, waiting, singles, batches, settling, under_way, pace, closing: false }
    }

    async fn run(mut self) {
        while !(self.closing && self.under_way.is_empty() && self.waiting.iter().all(VecDeque::is_empty)) {
            tokio::select! {
                order = self.inbox.recv(), if !self.closing => self.take(order),
                Some(done) = self.under_way.join_next() => match done {
                    Ok(done) => self.finish(done),
                    Err(error) => tracing::error!(%error, "an append ended without an answer"),
                },
            }
            self.take_all();
            self.gather().await;
            self.dispatch();
        }
    }

    fn take(&mut self, order: Option<Order>) {
        match order {
            Some(Order::Append(job)) => self.waiting[job.unit.queue as usize].push_back(job),
            Some(Order::Close) | None => self.closing = true,
        }
    }

    fn take_all(&mut self) {
        while !self.closing
            && let Ok(order) = self.inbox.try_recv()
        {
            self.take(Some(order));
        }
    }

    fn waiting(&self) -> usize {
        self.waiting.iter().map(VecDeque::len).sum()
    }

    fn is_batch_due(&self) -> bool {
        self.waiting() >= self.pace.batch_from() && self.batches.available_permits() > 0
    }

    /// Before a batch: a batch that ends sets all its callers free at once, and those of them that append again at once should
    /// share the next one, not wait behind one of the first dozen.
    async fn gather(&mut self) {
        let until = Instant::now() + GATHER;
        let mut quiet = 0;
        while self.is_batch_due()
            && quiet < QUIET
            && self.waiting() < BATCH_MESSAGES
            && Instant::now() < until
        {
            let before = self.waiting();
            yield_now().await;
            self.take_all();
            quiet = if self.waiting() > before { 0 } else { quiet + 1 };
        }
    }

    fn finish(&mut self, done: Done) {
        if let Some(took) = done.took.filter(|_| self.core.replicas == 1) {
            self.pace.note(took);
        }
        done.unsettled.into_iter().for_each(|left| self.settle(left));
    }

    fn dispatch(&mut self) {
        if self.core.is_away() {
            for job in self.waiting.iter_mut().flat_map(|queue| queue.drain(..)) {
                let _ = job.answer.send(did_not_happen("the connection to NATS is gone"));
            }
            return;
        }
        while self.waiting() >= self.pace.batch_from() {
            let Ok(slot) = Arc::clone(&self.batches).try_acquire_owned() else { return };
            let batch = self.next_batch();
            if !batch.is_empty() {
                self.under_way.spawn(send_batch(Arc::clone(&self.core), batch, slot));
            }
        }
        while self.batches.available_permits() == BATCHES
            && let Ok(slot) = Arc::clone(&self.singles).try_acquire_owned()
            && let Some(job) = self.waiting.iter_mut().find_map(VecDeque::pop_front)
        {
            let left = Unsettled { job, doubt: None, deadline: Instant::now() + SETTLE_LIMIT };
            if self.core.is_overtaken(&left.job.unit) {
                self.settle(left);
            } else {
                self.under_way.spawn(send_batch(Arc::clone(&self.core), vec![left], slot));
            }
        }
    }

    /// The most urgent units that fit one batch, one a stream, without those known to come too late.
    fn next_batch(&mut self) -> Vec<Unsettled> {
        let (mut batch, mut streams) = (Vec::new(), HashSet::<StreamId>::new());
        let (mut messages, mut weight) = (0, 0);
        let mut overtaken = Vec::new();
        let deadline = Instant::now() + SETTLE_LIMIT;
        for queue in &mut self.waiting {
            let mut kept = VecDeque::new();
            while let Some(job) = queue.pop_front() {
                let (count, size) = (job.unit.event_count(), bytes(&job.unit));
                let full = messages + count > BATCH_MESSAGES || (weight + size > BATCH_BYTES && messages > 0);
                if full {
                    kept.push_back(job);
                    break;
                }
                if self.core.is_overtaken(&job.unit) {
                    overtaken.push(Unsettled { job, doubt: None, deadline });
                } else if job.unit.writes.iter().any(|write| streams.contains(&write.stream)) {
                    kept.push_back(job);
                } else {
                    streams.extend(job.unit.writes.iter().map(|write| write.stream.clone()));
                    (messages, weight) = (messages + count, weight + size);
                    batch.push(Unsettled { job, doubt: None, deadline });
                }
            }
            kept.append(queue);
            *queue = kept;
        }
        overtaken.into_iter().for_each(|left| self.settle(left));
        batch
    }

    fn settle(&mut self, left: Unsettled) {
        let (core, settling) = (Arc::clone(&self.core), Arc::clone(&self.settling));
        self.under_way.spawn(async move {
            let Unsettled { job, doubt, deadline } = left;
            let _turn = settling.acquire_owned().await;
            let answer = core.settle(&job.unit, doubt, deadline).await;
            let _ = job.answer.send(answer);
            Done::default()
        });
    }
}

/// Sends units together and answers those that are stored; gives back the others to be settled one by one. The slot is free
/// again when it returns.
async fn send_batch(core: Arc<Core>, mut batch: Vec<Unsettled>, _slot: OwnedSemaphorePermit) -> Done {
    let mut left = Vec::new();
    for _ in 0..ROUNDS {
        let began = Instant::now();
        match core.publish(batch.iter().map(|unsettled| &unsettled.job.unit)).await {
            Sent::Stored(last) => {
                let took = if batch.len() == 1 { Stretch::Single } else { Stretch::Batch };
                answer_all(&core, batch, last);
                return Done { unsettled: left, took: Some(took(began.elapsed())) };
            }
            Sent::Doubt(reason) => {
                batch.iter_mut().for_each(|unsettled| unsettled.doubt = Some(reason.clone()));
                break;
            }
            Sent::Unsent(reason) => {
                tracing::debug!(reason, "a batch was not taken");
                break;
            }
            Sent::Refused if batch.len() == 1 => break,
            Sent::Refused => {
                let stale = take_out_overtaken(&core, &mut batch).await;
                if stale.is_empty() {
                    sleep(LET_OTHERS_LAND).await;
                }
                left.extend(stale);
            }
        }
        if batch.is_empty() {
            break;
        }
    }
    left.append(&mut batch);
    Done { unsettled: left, took: None }
}

/// Of a refused batch, those whose streams have gone on. The look may be behind: then nothing or too little comes out, and
/// what is left is settled one by one, with the leader's word.
async fn take_out_overtaken(core: &Core, batch: &mut Vec<Unsettled>) -> Vec<Unsettled> {
    let streams: Vec<&StreamId> =
        batch.iter().flat_map(|left| &left.job.unit.writes).map(|write| &write.stream).collect();
    if let Err(error) = core.tails_hint(&streams).await {
        tracing::debug!(%error, "the streams of a refused batch cannot be read");
        return Vec::new();
    }
    batch.extract_if(.., |left| core.is_overtaken(&left.job.unit)).collect()
}

/// The units of a stored batch stand one behind the other, the last of them ending at `last`.
fn answer_all(core: &Core, batch: Vec<Unsettled>, last: domain::Position) {
    let mut end = last;
    for unsettled in batch.into_iter().rev() {
        let outcome = core.appended(&unsettled.job.unit, end);
        end = domain::Position::new(end.get() - unsettled.job.unit.event_count() as u64);
        let _ = unsettled.job.answer.send(Ok(outcome));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_made_when_it_is_quicker() {
        let mut pace = Pace::default();
        assert_eq!(pace.batch_from(), 12);
        for _ in 0..50 {
            pace.note(Stretch::Single(Duration::from_micros(500)));
            pace.note(Stretch::Batch(Duration::from_millis(20)));
        }
        assert!((35..=45).contains(&pace.batch_from()), "{}", pace.batch_from());
        for _ in 0..50 {
            pace.note(Stretch::Batch(Duration::from_secs(2)));
        }
        assert_eq!(pace.batch_from(), 64);
    }
}
