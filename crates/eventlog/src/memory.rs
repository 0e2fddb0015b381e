//! The log in memory: the whole contract without a disk, for tests and for the simulation.

use std::collections::HashMap;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use domain::{LogId, OwnerTag, Position, Subject, TenantId};
use tokio::sync::Notify;

use crate::carried::CarriedSeals;
use crate::port::{
    AppendError, Durability, EventLog, Follower, Outcome, Pulse, ReadError, Recorded, SealStore, StreamId,
    SubjectSeal, Unit,
};
use crate::subject_name::{Name, name_of};

/// The most events one [`Follower::next`] answers: enough to be fast, small enough to take turns with others.
const FOLLOW_BATCH: usize = 1024;

/// A log that lives as long as its last handle. A clone is a second handle on the same history.
///
/// It spawns nothing, reads no clock and draws nothing at random: on a current-thread runtime the same calls in the same
/// order give the same history.
#[derive(Clone, Debug)]
pub struct MemoryLog {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    log_id: LogId,
    history: Mutex<History>,
    /// Followers wait here. It wakes them in the order in which they came; a watch channel would wake them at random.
    grown: Notify,
}

#[derive(Debug, Default)]
struct History {
    events: Vec<Recorded>,
    /// The positions of each stream's events, ascending.
    streams: HashMap<StreamId, Vec<Position>>,
}

impl MemoryLog {
    /// An empty log.
    #[must_use]
    pub fn create(log_id: LogId) -> Self {
        let shared = Shared { log_id, history: Mutex::default(), grown: Notify::new() };
        Self { shared: Arc::new(shared) }
    }
}

impl Shared {
    /// The history is whole at every moment the lock is free, even after a panic elsewhere.
    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl History {
    fn head(&self) -> Position {
        Position::new(self.events.len() as u64)
    }

    fn last(&self, stream: &StreamId) -> Position {
        self.positions_after(stream, Position::NONE).last().copied().unwrap_or(Position::NONE)
    }

    fn positions_after(&self, stream: &StreamId, after: Position) -> &[Position] {
        let positions = self.streams.get(stream).map_or(&[][..], Vec::as_slice);
        &positions[positions.partition_point(|&position| position <= after)..]
    }

    fn at(&self, position: Position) -> &Recorded {
        &self.events[index(position)]
    }

    fn append(&mut self, unit: &Unit) -> Outcome {
        let stale = unit.writes.iter().find(|write| self.last(&write.stream) != write.expected);
        if let Some(write) = stale {
            let conflict =
                || Outcome::Conflict { stream: write.stream.clone(), actual: self.last(&write.stream) };
            return self.standing(unit).map_or_else(conflict, |positions| Outcome::Appended { positions });
        }
        let mut positions = Vec::with_capacity(unit.event_count());
        for write in &unit.writes {
            for event in &write.events {
                let position = self.head().next();
                self.events.push(Recorded {
                    position,
                    stream: write.stream.clone(),
                    id: event.id,
                    payload: event.payload.clone(),
                });
                self.streams.entry(write.stream.clone()).or_default().push(position);
                positions.push(position);
            }
        }
        Outcome::Appended { positions }
    }

    /// The positions of a unit that already stands right after its expectations.
    fn standing(&self, unit: &Unit) -> Option<Vec<Position>> {
        let mut positions = Vec::with_capacity(unit.event_count());
        for write in &unit.writes {
            let after = self.positions_after(&write.stream, write.expected).get(..write.events.len())?;
            let same =
                write.events.iter().zip(after).all(|(event, &position)| self.at(position).id == event.id);
            if !same {
                return None;
            }
            positions.extend_from_slice(after);
        }
        positions.is_sorted_by(|a, b| a.next() == *b).then_some(positions)
    }
}

fn index(position: Position) -> usize {
    usize::try_from(position.get()).expect("a position counts events that are in memory") - 1
}

#[async_trait]
impl EventLog for MemoryLog {
    fn log_id(&self) -> LogId {
        self.shared.log_id
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }

    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError> {
        unit.check()?;
        let outcome = self.shared.history().append(&unit);
        self.shared.grown.notify_waiters();
        Ok(outcome)
    }

    async fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError> {
        let history = self.shared.history();
        Ok(history
            .positions_after(stream, after)
            .iter()
            .map(|&position| history.at(position).clone())
            .collect())
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(self.shared.history().head())
    }

    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        let head = self.shared.history().head();
        if after > head {
            return Err(ReadError::AheadOfLog { after, head });
        }
        Ok(Box::new(MemoryFollower { shared: self.shared.clone(), after }))
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        Ok(Pulse { head: self.shared.history().head(), stamp: None, took: Duration::ZERO })
    }
}

struct MemoryFollower {
    shared: Arc<Shared>,
    after: Position,
}

impl MemoryFollower {
    /// What is there already; empty if there is nothing new.
    fn take(&mut self) -> Vec<Recorded> {
        let history = self.shared.history();
        let rest = &history.events[usize::try_from(self.after.get()).expect("a head of this process fits")..];
        let batch = rest[..rest.len().min(FOLLOW_BATCH)].to_vec();
        self.after = Position::new(self.after.get() + batch.len() as u64);
        batch
    }
}

#[async_trait]
impl Follower for MemoryFollower {
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError> {
        let shared = self.shared.clone();
        loop {
            let mut grown = pin!(shared.grown.notified());
            // Registered before the look, so that what is appended after it is heard.
            grown.as_mut().enable();
            let batch = self.take();
            if !batch.is_empty() {
                return Ok(batch);
            }
            grown.await;
        }
    }
}

/// Seals in memory. A clone is a second handle on the same store.
#[derive(Clone, Default)]
pub struct MemorySeals {
    seals: Arc<Mutex<Seals>>,
}

#[derive(Default)]
struct Seals {
    tenants: HashMap<TenantId, Vec<u8>>,
    subjects: HashMap<Name, SubjectSeal>,
}

impl Seals {
    /// What stands under the name then.
    fn put(&mut self, name: Name, offered: &SubjectSeal) -> SubjectSeal {
        match self.subjects.get(&name) {
            Some(stands) if stands.outlasts(offered) => stands.clone(),
            _ => {
                self.subjects.insert(name, offered.clone());
                offered.clone()
            }
        }
    }

    fn destroy(&mut self, name: Name, generation: u32) {
        if self.subjects.get(&name).is_none_or(|stands| stands.generation <= generation) {
            self.subjects.insert(name, SubjectSeal::destroyed(generation));
        }
    }
}

impl std::fmt::Debug for MemorySeals {
    /// Seals are secrets: only how many there are.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let seals = self.seals();
        f.debug_struct("MemorySeals")
            .field("tenants", &seals.tenants.len())
            .field("subjects", &seals.subjects.len())
            .finish()
    }
}

impl MemorySeals {
    fn seals(&self) -> MutexGuard<'_, Seals> {
        self.seals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl SealStore for MemorySeals {
    async fn seal(&self, tenant: &TenantId) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.seals().tenants.get(tenant).cloned())
    }

    async fn put_seal_once(&self, tenant: &TenantId, seal: &[u8]) -> Result<Vec<u8>, ReadError> {
        Ok(self.seals().tenants.entry(tenant.clone()).or_insert_with(|| seal.to_vec()).clone())
    }

    async fn subject_seals(
        &self,
        tenant: &TenantId,
        owners: &[OwnerTag],
    ) -> Result<Vec<Option<SubjectSeal>>, ReadError> {
        let seals = self.seals();
        let of = |owner: &OwnerTag| name_of(&Subject { tenant: tenant.clone(), owner: *owner });
        Ok(owners.iter().map(|owner| seals.subjects.get(&of(owner)).cloned()).collect())
    }

    async fn put_subject_seal(
        &self,
        subject: &Subject,
        offered: &SubjectSeal,
    ) -> Result<SubjectSeal, ReadError> {
        Ok(self.seals().put(name_of(subject), offered))
    }

    async fn destroy_subject_seal(&self, subject: &Subject, generation: u32) -> Result<(), ReadError> {
        self.seals().destroy(name_of(subject), generation);
        Ok(())
    }

    async fn carry(&self) -> Result<CarriedSeals, ReadError> {
        let seals = self.seals();
        let mut tenants: Vec<_> = seals.tenants.clone().into_iter().collect();
        let mut subjects: Vec<_> = seals.subjects.clone().into_iter().collect();
        tenants.sort();
        subjects.sort_by_key(|(name, _)| *name);
        Ok(CarriedSeals { tenants, subjects })
    }

    async fn take_in(&self, carried: CarriedSeals) -> Result<Option<TenantId>, ReadError> {
        let mut seals = self.seals();
        for (tenant, seal) in carried.tenants {
            if *seals.tenants.entry(tenant.clone()).or_insert_with(|| seal.clone()) != seal {
                return Ok(Some(tenant));
            }
        }
        for (name, seal) in carried.subjects {
            match seal.secret {
                Some(_) => {
                    seals.put(name, &seal);
                }
                None => seals.destroy(name, seal.generation),
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance::{LogPlace, conformance, conformance_of_seals};

    struct Place(MemoryLog);

    #[async_trait]
    impl LogPlace for Place {
        async fn open(&mut self) -> Arc<dyn EventLog> {
            Arc::new(self.0.clone())
        }

        async fn close(&mut self) {}
    }

    #[tokio::test(start_paused = true)]
    async fn the_log_in_memory_conforms() {
        conformance(async || Place(MemoryLog::create(LogId::from_u128(7)))).await;
    }

    #[tokio::test(start_paused = true)]
    async fn seals_in_memory_conform() {
        conformance_of_seals(async || {
            let seals = MemorySeals::default();
            let handles: [Arc<dyn SealStore>; 2] = [Arc::new(seals.clone()), Arc::new(seals)];
            handles
        })
        .await;
    }
}
