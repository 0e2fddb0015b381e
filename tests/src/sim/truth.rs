//! What really stands in the log, seen by a witness between it and every server.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use async_trait::async_trait;
use domain::{
    About, CommandId, Envelope, Event, Key, KeyId, Life, LogId, Owner, Personal, PersonalText, Position,
    SecretDigest, Selector, Standing, StreamName, Subject, Tenant, TenantId, Text, standing_after,
};
use eventlog::{
    AppendError, Durability, EventLog, Follower, MemoryLog, MemorySeals, Outcome, Pulse, ReadError, Recorded,
    SealStore, StreamId, Unit,
};
use futures_util::FutureExt;
use parking_lot::Mutex;
use tokio::time::Instant;
use wire::{Seal, SealedText};

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
    pub(crate) tenants: BTreeMap<TenantId, TenantFacts>,
    /// The units in which a command id stands in a stream. More than one is a fault.
    pub(crate) effects: HashMap<(StreamName, CommandId), Vec<Span>>,
    /// What was wrong with an event already as it came in.
    pub(crate) fault: Option<String>,
    /// What opens the texts of events: all that is compared with what was asked for is readable.
    seals: MemorySeals,
}

/// Where a unit stands: its first position and its last.
pub(crate) type Span = (Position, Position);

#[derive(Debug)]
pub(crate) struct Witnessed {
    pub(crate) recorded: Recorded,
    pub(crate) envelope: Envelope,
    /// When it was committed.
    pub(crate) at: Instant,
}

/// What the log says of a key: folded in its order, recalls included, by the domain alone.
#[derive(Clone, Debug)]
pub(crate) struct KeyFacts {
    pub(crate) digest: SecretDigest,
    /// The key after each event that concerns it.
    pub(crate) versions: Vec<Version>,
    /// Where events of its own said that it is what, even if it was recalled by then.
    pub(crate) said: Vec<(Position, Standing)>,
    /// The recall that hit it.
    pub(crate) recalled: Option<Position>,
    /// Since when it may not be used, and when that was committed.
    pub(crate) refused: Option<(Position, Instant)>,
}

#[derive(Clone, Debug)]
pub(crate) struct Version {
    pub(crate) position: Position,
    pub(crate) key: Key,
    pub(crate) life: Life,
}

/// What the log says of a tenant.
#[derive(Clone, Debug)]
pub(crate) struct TenantFacts {
    pub(crate) tenant: Tenant,
    pub(crate) closed: Option<(Position, Instant)>,
    pub(crate) recalls: Vec<(Position, Selector)>,
    pub(crate) had_policies: bool,
}

impl KeyFacts {
    fn begin(position: Position, digest: SecretDigest, key: Key, life: Life) -> Self {
        let first = Version { position, key, life };
        Self { digest, versions: vec![first], said: Vec::new(), recalled: None, refused: None }
    }

    pub(crate) fn latest(&self) -> &Version {
        self.versions.last().expect("a key begins with a version")
    }

    /// The key as it was at a position.
    pub(crate) fn at(&self, position: Position) -> Option<&Version> {
        let end = self.versions.partition_point(|version| version.position <= position);
        self.versions[..end].last()
    }

    /// The key as it was at a position, and all that it has been since. A recall stands in another stream: who has not heard
    /// of it yet sees what the key was before.
    pub(crate) fn since(&self, position: Position) -> &[Version] {
        let mut from =
            self.versions.partition_point(|version| version.position <= position).saturating_sub(1);
        while from > 0 && self.versions[from].key.standing == Standing::Recalled {
            from -= 1;
        }
        &self.versions[from..]
    }

    fn push(&mut self, version: Version) {
        self.refused = match version.key.standing {
            Standing::Active => None,
            _ => self.refused.or(Some((version.position, Instant::now()))),
        };
        self.versions.push(version);
    }
}

impl WitnessedLog {
    pub(crate) fn create(log_id: LogId, seals: MemorySeals) -> (Self, Arc<Mutex<Truth>>) {
        let truth = Arc::new(Mutex::new(Truth { seals, ..Truth::default() }));
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

    /// Where a command stands in a stream: its last event there.
    pub(crate) fn effect(&self, stream: &StreamName, id: &CommandId) -> Option<&Witnessed> {
        let position = self.effects_of(stream, id).last()?.recorded.position;
        self.at(position)
    }

    /// The unit in which a command stands.
    pub(crate) fn span(&self, stream: &StreamName, id: &CommandId) -> Option<Span> {
        self.effects.get(&(stream.clone(), id.clone()))?.first().copied()
    }

    /// All that a command did in a stream.
    pub(crate) fn effects_of<'a>(
        &'a self,
        stream: &'a StreamName,
        id: &'a CommandId,
    ) -> impl Iterator<Item = &'a Witnessed> {
        let (first, last) = self.span(stream, id).unwrap_or((Position::new(1), Position::NONE));
        let events = (first.get()..=last.get()).filter_map(|position| self.at(Position::new(position)));
        events.filter(move |event| (&event.envelope.stream, &event.envelope.command_id) == (stream, id))
    }

    /// Notes the events of a unit that are new: a unit sent again is not.
    fn note(&mut self, unit: &Unit, positions: &[Position]) {
        let (Some(first), Some(last)) = (positions.first(), positions.last()) else { return };
        if *first <= self.head() {
            return;
        }
        let streams = unit.writes.iter().flat_map(|write| write.events.iter().map(|_| &write.stream));
        for ((event, stream), position) in unit.events().zip(streams).zip(positions) {
            let recorded = Recorded {
                position: *position,
                stream: stream.clone(),
                id: event.id,
                payload: event.payload.clone(),
            };
            if let Err(fault) = self.take(recorded, (*first, *last)) {
                self.fault.get_or_insert(fault);
            }
        }
        if let Err(fault) = self.keeps_to_its_keys(unit, *first) {
            self.fault.get_or_insert(fault);
        }
    }

    /// A rotation changes exactly two keys, the first operator comes with its tenant, and every other command changes one
    /// stream.
    fn keeps_to_its_keys(&self, unit: &Unit, first: Position) -> Result<(), String> {
        let Some(begin) = self.at(first) else { return Ok(()) };
        let fits = match (&begin.envelope.event, unit.writes.len()) {
            (Event::KeyRotated(rotated), 2) => {
                let heir = self.keys.get(&(begin.envelope.stream.tenant().clone(), rotated.successor));
                let predecessor = heir.and_then(|heir| heir.latest().life.predecessor);
                predecessor.is_some() && predecessor == begin.envelope.stream.key_id()
            }
            (Event::KeyRotated(_), _) => false,
            (Event::RotationCancelled(_), 1 | 2) => true,
            (_, 2) => begin.envelope.stream.tenant().is_operators(),
            (_, streams) => streams == 1,
        };
        if fits {
            return Ok(());
        }
        let (name, streams) = (begin.envelope.event.name(), unit.writes.len());
        Err(format!("{name} at {first} came with {streams} streams, or with the wrong one"))
    }

    fn take(&mut self, recorded: Recorded, span: Span) -> Result<(), String> {
        let position = recorded.position;
        if position != self.head().next() {
            return Err(format!("the log goes on at position {position} after {}", self.head()));
        }
        let stream: StreamName =
            recorded.stream.as_str().parse().map_err(|_| format!("{} is no stream", recorded.stream))?;
        let mut envelope = wire::decode(&stream, &recorded.payload)
            .map_err(|error| format!("the event at {position} cannot be read: {error:?}"))?;
        unseal(&mut envelope, &self.seals).map_err(|field| format!("the event at {position}: {field}"))?;
        if envelope.event_id != recorded.id {
            return Err(format!("the event at {position} was stored under another event's id"));
        }
        let spans = self.effects.entry((stream.clone(), envelope.command_id.clone())).or_default();
        if spans.last() != Some(&span) {
            spans.push(span);
        }
        if spans.len() > 1 {
            return Err(format!("command {} stands twice in {stream}: in {spans:?}", envelope.command_id));
        }
        self.fold(position, &envelope)?;
        self.events.push(Witnessed { recorded, envelope, at: Instant::now() });
        Ok(())
    }

    fn fold(&mut self, position: Position, envelope: &Envelope) -> Result<(), String> {
        match &envelope.stream {
            StreamName::Tenant(tenant) => self.fold_tenant(position, tenant, envelope),
            StreamName::Key(tenant, key_id) => self.fold_key(position, (tenant.clone(), *key_id), envelope),
        }
    }

    fn fold_tenant(&mut self, position: Position, id: &TenantId, envelope: &Envelope) -> Result<(), String> {
        let before = self.tenants.remove(id);
        let tenant = Tenant::evolve(before.as_ref().map(|facts| facts.tenant.clone()), envelope)
            .map_err(|error| format!("at {position}: {error}"))?;
        let mut facts = before.unwrap_or_else(|| TenantFacts {
            tenant: tenant.clone(),
            closed: None,
            recalls: Vec::new(),
            had_policies: false,
        });
        facts.had_policies |= !tenant.policies.is_empty();
        facts.tenant = tenant;
        match &envelope.event {
            Event::TenantClosed(_) => facts.closed = Some((position, Instant::now())),
            Event::KeysRecalled(recalled) => {
                facts.recalls.push((position, recalled.selector.clone()));
                self.recall(position, id, &recalled.selector);
            }
            _ => {}
        }
        self.tenants.insert(id.clone(), facts);
        Ok(())
    }

    fn recall(&mut self, position: Position, tenant: &TenantId, selector: &Selector) {
        for facts in self.keys.iter_mut().filter(|((owner, _), _)| owner == tenant).map(|(_, facts)| facts) {
            let mut version = facts.latest().clone();
            if is_hit(&version.key, selector) {
                (version.position, version.key.standing) = (position, Standing::Recalled);
                facts.recalled = Some(position);
                facts.push(version);
            }
        }
    }

    fn fold_key(
        &mut self,
        position: Position,
        id: (TenantId, KeyId),
        envelope: &Envelope,
    ) -> Result<(), String> {
        let facts = self.keys.get_mut(&id);
        let before = facts.as_ref().map(|facts| facts.latest());
        let key = Key::evolve(before.map(|version| version.key.clone()), envelope)
            .map_err(|error| format!("at {position}: {error}"))?;
        let life = Life::evolve(before.map(|version| version.life.clone()), envelope);
        let Some(life) = life else { return Err(format!("no life begins at {position}")) };
        match (facts, &envelope.event) {
            (None, Event::KeyIssued(issued)) => {
                self.keys.insert(id, KeyFacts::begin(position, issued.digest, key, life));
            }
            (None, Event::KeyImported(imported)) => {
                self.keys.insert(id, KeyFacts::begin(position, imported.digest, key, life));
            }
            (None, _) => return Err(format!("a key begins with {} at {position}", envelope.event.name())),
            (Some(facts), event) => {
                facts.said.extend(standing_after(event).map(|standing| (position, standing)));
                facts.push(Version { position, key, life });
            }
        }
        Ok(())
    }
}

/// Opens an event's texts. That they are sealed is part of what every event has to be.
fn unseal(envelope: &mut Envelope, seals: &MemorySeals) -> Result<(), String> {
    let (stream, mut wrong) = (envelope.stream.clone(), Ok(()));
    let seal_of = |subject: &Subject, generation| {
        let read = seals.subject_seals(&subject.tenant, &[subject.owner]).now_or_never();
        let seal = read.and_then(Result::ok)?.into_iter().next().flatten()?;
        (seal.generation == generation).then_some(Seal::new(seal.secret?, generation))
    };
    envelope.for_each_text(About::default(), |text| {
        let (opened, value) = match text {
            Text::Owner(owner) => (open_owner(stream.tenant(), owner, seal_of), &mut owner.name),
            Text::Of { value, .. } => (open_text(&stream, value, seal_of), value),
        };
        match opened {
            Some(text) => *value = Personal::Plain(text),
            None => {
                wrong = Err("it holds a text that is readable, or that its seal does not open".to_owned());
            }
        }
    });
    wrong
}

fn open_owner(
    tenant: &TenantId,
    owner: &Owner,
    seal_of: impl Fn(&Subject, u32) -> Option<Seal>,
) -> Option<PersonalText> {
    let Personal::Sealed(bytes) = &owner.name else { return None };
    let told = SealedText::of_owner(tenant, owner.tag, bytes).ok()?;
    seal_of(&told.subject, told.generation)?.open_owner(tenant, owner)
}

fn open_text(
    stream: &StreamName,
    value: &Personal,
    seal_of: impl Fn(&Subject, u32) -> Option<Seal>,
) -> Option<PersonalText> {
    let Personal::Sealed(bytes) = value else { return None };
    let told = SealedText::read(stream, bytes).ok()?;
    seal_of(&told.subject, told.generation)?.open(stream, bytes)
}

/// Whether a recall at this moment would end a key.
pub(crate) fn is_hit(key: &Key, selector: &Selector) -> bool {
    !key.has_ended() && selector.matches(&key.selectable())
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
