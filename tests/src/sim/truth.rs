//! What really stands in the log, seen by a witness between it and every server.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use domain::{CommandId, Envelope, Event, KeyId, KeyIssued, LogId, Position, StreamName, TenantId};
use eventlog::{
    AppendError, Durability, EventLog, Follower, MemoryLog, Outcome, Pulse, ReadError, Recorded, StreamId,
    Unit,
};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The log in memory; every unit that it takes in is noted at that very moment.
#[derive(Clone, Debug)]
pub(crate) struct WitnessedLog {
    inner: MemoryLog,
    truth: Arc<Mutex<Truth>>,
}

/// Everything that stands, decoded, with the moment it was committed.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) events: Vec<Witnessed>,
    pub(crate) keys: BTreeMap<(TenantId, KeyId), KeyFacts>,
    pub(crate) tenants: BTreeMap<TenantId, Position>,
    /// The positions at which a command id stands in a stream. More than one is a fault.
    pub(crate) effects: HashMap<(StreamName, CommandId), Vec<Position>>,
    /// What was wrong with an event already as it came in.
    pub(crate) fault: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Witnessed {
    pub(crate) recorded: Recorded,
    pub(crate) envelope: Envelope,
}

/// What the log says of a key, without any code of the product but the decoder.
#[derive(Clone, Debug)]
pub(crate) struct KeyFacts {
    pub(crate) issued_at: Position,
    pub(crate) issued: KeyIssued,
    pub(crate) revoked: Option<(Position, Instant)>,
    pub(crate) expired: Option<Position>,
}

impl WitnessedLog {
    pub(crate) fn create(log_id: LogId) -> (Self, Arc<Mutex<Truth>>) {
        let truth = Arc::new(Mutex::new(Truth::default()));
        (Self { inner: MemoryLog::create(log_id), truth: Arc::clone(&truth) }, truth)
    }
}

impl Truth {
    pub(crate) fn head(&self) -> Position {
        Position::new(self.events.len() as u64)
    }

    pub(crate) fn at(&self, position: Position) -> Option<&Witnessed> {
        let index = usize::try_from(position.get()).ok()?.checked_sub(1)?;
        self.events.get(index)
    }

    /// Where a command stands in a stream.
    pub(crate) fn effect(&self, stream: &StreamName, id: &CommandId) -> Option<&Witnessed> {
        let positions = self.effects.get(&(stream.clone(), id.clone()))?;
        self.at(*positions.first()?)
    }

    /// Notes the events of a unit that are new: a unit sent again is not.
    fn note(&mut self, unit: &Unit, positions: &[Position]) {
        let streams = unit.writes.iter().flat_map(|write| write.events.iter().map(|_| &write.stream));
        for ((event, stream), position) in unit.events().zip(streams).zip(positions) {
            if *position <= self.head() {
                continue;
            }
            let recorded = Recorded {
                position: *position,
                stream: stream.clone(),
                id: event.id,
                payload: event.payload.clone(),
            };
            if let Err(fault) = self.take(recorded) {
                self.fault.get_or_insert(fault);
            }
        }
    }

    fn take(&mut self, recorded: Recorded) -> Result<(), String> {
        let position = recorded.position;
        if position != self.head().next() {
            return Err(format!("the log goes on at position {position} after {}", self.head()));
        }
        let stream: StreamName =
            recorded.stream.as_str().parse().map_err(|_| format!("{} is no stream", recorded.stream))?;
        let envelope = wire::decode(&stream, &recorded.payload)
            .map_err(|error| format!("the event at {position} cannot be read: {error:?}"))?;
        if envelope.event_id != recorded.id {
            return Err(format!("the event at {position} was stored under another event's id"));
        }
        let places = self.effects.entry((stream.clone(), envelope.command_id.clone())).or_default();
        places.push(position);
        if places.len() > 1 {
            return Err(format!("command {} stands twice in {stream}: at {places:?}", envelope.command_id));
        }
        self.fold(position, &stream, &envelope)?;
        self.events.push(Witnessed { recorded, envelope });
        Ok(())
    }

    fn fold(&mut self, position: Position, stream: &StreamName, envelope: &Envelope) -> Result<(), String> {
        let misplaced = || format!("{} at {position} does not belong into {stream}", envelope.event.name());
        match (stream, &envelope.event) {
            (StreamName::Tenant(tenant), Event::TenantOpened(_)) => {
                let before = self.tenants.insert(tenant.clone(), position);
                before.map_or(Ok(()), |_| Err(misplaced()))
            }
            (StreamName::Key(tenant, key_id), Event::KeyIssued(issued)) => {
                let facts = KeyFacts {
                    issued_at: position,
                    issued: (**issued).clone(),
                    revoked: None,
                    expired: None,
                };
                let before = self.keys.insert((tenant.clone(), *key_id), facts);
                before.map_or(Ok(()), |_| Err(misplaced()))
            }
            (StreamName::Key(tenant, key_id), Event::KeyRevoked(_)) => {
                let facts = self.keys.get_mut(&(tenant.clone(), *key_id)).ok_or_else(misplaced)?;
                if facts.revoked.is_some() {
                    return Err(misplaced());
                }
                facts.revoked = Some((position, Instant::now()));
                Ok(())
            }
            (StreamName::Key(tenant, key_id), Event::KeyExpired(_)) => {
                let facts = self.keys.get_mut(&(tenant.clone(), *key_id)).ok_or_else(misplaced)?;
                if facts.revoked.is_some() || facts.expired.is_some() {
                    return Err(misplaced());
                }
                facts.expired = Some(position);
                Ok(())
            }
            _ => Err(misplaced()),
        }
    }
}

#[async_trait]
impl EventLog for WitnessedLog {
    fn log_id(&self) -> LogId {
        self.inner.log_id()
    }

    fn durability(&self) -> Durability {
        self.inner.durability()
    }

    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError> {
        let outcome = self.inner.append(unit.clone()).await?;
        // The log in memory does not give way between taking in and answering, so nothing is seen before it is noted.
        if let Outcome::Appended { positions } = &outcome {
            self.truth.lock().note(&unit, positions);
        }
        Ok(outcome)
    }

    async fn read_stream(&self, stream: &StreamId, after: Position) -> Result<Vec<Recorded>, ReadError> {
        self.inner.read_stream(stream, after).await
    }

    async fn head(&self) -> Result<Position, ReadError> {
        self.inner.head().await
    }

    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        self.inner.follow(after).await
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        self.inner.pulse().await
    }
}
