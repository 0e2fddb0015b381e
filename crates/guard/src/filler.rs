//! First sights: callers wait together for one key, keys go together into one request, and nothing of it grows without bound.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use domain::{KeyId, ParsedKey};
use parking_lot::Mutex;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout_at};
use wire::guard::{AskFill, Filled};

use crate::backoff::Backoff;
use crate::client::CallError;
use crate::core::{Arrived, FillTicket};
use crate::link::Link;

/// Ids that may wait to be asked for: sixteen full requests. Who comes later is refused at once.
const MAX_WAITING: usize = 4096;

/// Requests under way at a time: one on its way there, one being answered, and two for a server that is slow.
pub(crate) const WORKERS: usize = 4;

/// A server answers from memory. Past this the connection is taken for dead.
const FILL_WITHIN: Duration = Duration::from_secs(2);

type Waiters = watch::Sender<Option<Arrived>>;

/// The ids that somebody waits for.
#[derive(Default)]
pub(crate) struct Filler {
    queue: Mutex<Queue>,
    work: Notify,
}

#[derive(Default)]
struct Queue {
    /// Queued or being asked for.
    waiting: HashMap<KeyId, Waiters>,
    /// Ids out of keys of our own form, whose checksum fits.
    native: VecDeque<KeyId>,
    /// Ids that any text has: asked for after the others, so that guesses do not hold up keys.
    derived: VecDeque<KeyId>,
}

/// How a wait for one key ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    /// The server said.
    Told(Arrived),
    /// It did not, in time.
    TimedOut,
    /// Too many wait already.
    Crowded,
}

impl Filler {
    /// Waits until the server has said something about a key, together with all who wait for the same.
    pub(crate) async fn ask(&self, key_id: KeyId, token: Option<&str>, deadline: Instant) -> Asked {
        let Some(mut told) = self.join(key_id, token) else { return Asked::Crowded };
        let told = timeout_at(deadline, told.wait_for(Option::is_some)).await;
        match told {
            Ok(Ok(arrived)) => arrived.map_or(Asked::TimedOut, Asked::Told),
            Ok(Err(_)) | Err(_) => Asked::TimedOut,
        }
    }

    /// Asks for keys that nobody presented. Who finds no place comes again.
    pub(crate) async fn ask_all(&self, keys: &[KeyId], deadline: Instant) {
        let waits: Vec<_> = keys.iter().filter_map(|key_id| self.join(*key_id, None)).collect();
        for mut told in waits {
            // Told or not: what is not held then is asked for again.
            let _ = timeout_at(deadline, told.wait_for(Option::is_some)).await;
        }
    }

    fn join(&self, key_id: KeyId, token: Option<&str>) -> Option<watch::Receiver<Option<Arrived>>> {
        let mut queue = self.queue.lock();
        if let Some(waiters) = queue.waiting.get(&key_id) {
            return Some(waiters.subscribe());
        }
        if queue.waiting.len() >= MAX_WAITING {
            queue.forget_abandoned();
        }
        if queue.waiting.len() >= MAX_WAITING {
            return None;
        }
        let (waiters, told) = watch::channel(None);
        queue.waiting.insert(key_id, waiters);
        let is_native =
            token.is_none_or(|token| ParsedKey::parse(token).is_ok_and(|key| key.key_id == key_id));
        let line = if is_native { &mut queue.native } else { &mut queue.derived };
        line.push_back(key_id);
        drop(queue);
        self.work.notify_one();
        Some(told)
    }

    async fn next_batch(&self) -> Vec<KeyId> {
        loop {
            let batch = self.queue.lock().take_batch();
            if !batch.is_empty() {
                return batch;
            }
            self.work.notified().await;
        }
    }

    /// Wakes who waited, except for keys that have to be asked for again.
    fn tell(&self, keys: &[KeyId], arrived: &[Arrived]) {
        let mut queue = self.queue.lock();
        for (key_id, arrived) in keys.iter().zip(arrived) {
            match arrived {
                Arrived::Again => queue.native.push_front(*key_id),
                told => {
                    if let Some(waiters) = queue.waiting.remove(key_id) {
                        waiters.send_replace(Some(*told));
                    }
                }
            }
        }
        if !queue.native.is_empty() || !queue.derived.is_empty() {
            self.work.notify_one();
        }
    }
}

impl Queue {
    /// Up to a request's worth of ids that somebody still waits for.
    fn take_batch(&mut self) -> Vec<KeyId> {
        let mut batch = Vec::new();
        while batch.len() < AskFill::MAX_KEYS {
            let Some(key_id) = self.native.pop_front().or_else(|| self.derived.pop_front()) else { break };
            match self.waiting.get(&key_id) {
                Some(waiters) if waiters.receiver_count() > 0 => batch.push(key_id),
                Some(_) => drop(self.waiting.remove(&key_id)),
                None => {}
            }
        }
        batch
    }

    /// Frees the places of those who went away while they waited.
    fn forget_abandoned(&mut self) {
        let Self { waiting, native, derived } = self;
        for queued in [native, derived] {
            queued.retain(|key_id| {
                let is_wanted = waiting.get(key_id).is_some_and(|waiters| waiters.receiver_count() > 0);
                if !is_wanted {
                    waiting.remove(key_id);
                }
                is_wanted
            });
        }
    }
}

/// Asks for what is waited for, until it is dropped.
pub(crate) async fn run(link: &Link) {
    let mut backoff = Backoff::new();
    loop {
        let keys = link.filler.next_batch().await;
        let seen = link.registered().await;
        let Some(ticket) = link.core.begin_fill(keys.clone()) else {
            // No feed has begun: nothing can be fenced yet.
            link.filler.tell(&keys, &vec![Arrived::Again; keys.len()]);
            sleep(backoff.pause()).await;
            continue;
        };
        match fill(link, &ticket).await {
            Ok(filled) => {
                backoff.calm();
                link.works();
                let arrived = link.core.on_filled(&ticket, &filled, link.clock.boot_ms());
                let fenced = arrived.iter().filter(|arrived| **arrived == Arrived::Again).count();
                link.meters.fenced.increment(fenced as u64);
                link.filler.tell(&keys, &arrived);
            }
            Err(error) => {
                link.core.abandon_fill(&ticket);
                let pause = link.failed("asking for keys", &error, &mut backoff);
                link.filler.tell(&keys, &vec![Arrived::Again; keys.len()]);
                if matches!(error, CallError::GuardUnknown) {
                    link.register_again(seen).await;
                } else {
                    sleep(pause).await;
                }
            }
        }
    }
}

async fn fill(link: &Link, ticket: &FillTicket) -> Result<Filled, CallError> {
    let ask = AskFill {
        guard_id: link.guard_id().to_owned(),
        keys: ticket.keys().iter().map(ToString::to_string).collect(),
        at_least: ticket.at_least().get(),
    };
    link.meters.fills.increment(1);
    link.meters.filled_keys.increment(ask.keys.len() as u64);
    link.client.post("/v1/guard/fill", &ask, FILL_WITHIN).await
}
