//! The words of this crate's tests: a log with keys of campaigns and lists in it, and projections that follow it.

pub(crate) mod life;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::{
    Actor, Cause, CommandId, Envelope, Event, EventId, Grant, KeyExpired, KeyId, KeyIssued, KeyRevoked,
    KeysRecalled, Label, Labels, LogId, Networks, Owner, OwnerTag, Personal, PersonalText, Position,
    RequestTag, Revision, RevokeReason, ScopeSet, SecretDigest, Selector, StreamName, TenantId, TenantOpened,
    Timestamp,
};
use eventlog::{EventLog, MemoryLog, NewEvent, Outcome, Queue, Recorded, StreamId, Unit};
use tokio::sync::watch;

use crate::shelf::{Stage, Status};
use crate::stores::{MemoryStores, Stores};
use crate::{Keeps, Projection, ProjectionConfig};

pub(crate) const LOG: LogId = LogId::from_u128(77);
pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

pub(crate) const MAX_STALENESS: Duration = Duration::from_secs(5);

/// A wait that fails a test rather than hanging it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn tenant(id: &str) -> TenantId {
    id.parse().unwrap()
}

pub(crate) fn key_id(n: u128) -> KeyId {
    KeyId::from_u128(n)
}

pub(crate) fn key_stream(tenant_id: &str, n: u128) -> StreamName {
    StreamName::Key(tenant(tenant_id), key_id(n))
}

pub(crate) fn text(text: &str) -> Personal {
    Personal::Plain(PersonalText::name(text).unwrap())
}

pub(crate) fn owner_tag(n: u64) -> OwnerTag {
    let mut bytes = [0; 16];
    bytes[8..].copy_from_slice(&n.to_be_bytes());
    OwnerTag::from_bytes(bytes)
}

pub(crate) fn owner(n: u64) -> Owner {
    Owner { tag: owner_tag(n), name: text(&format!("Owner {n}")) }
}

pub(crate) fn labels(texts: &[&str]) -> Labels {
    Labels::new(texts.iter().map(|text| text.parse::<Label>().unwrap()).collect()).unwrap()
}

/// Owner `n % 10` in service `n % 4`; every third expires, `n` seconds from now; every fifth is for tests.
pub(crate) fn grant(n: u64) -> Grant {
    let scopes = if n.is_multiple_of(2) { &["campaigns:send", "lists:read"][..] } else { &["lists:*"] };
    Grant {
        environment: if n.is_multiple_of(5) { "test" } else { "live" }.parse().unwrap(),
        name: Some(text(&format!("Sender {n}"))),
        owner: owner(n % 10),
        scopes: ScopeSet::parse(scopes).unwrap(),
        labels: labels(&[&format!("service=mailer-{}", n % 4)]),
        networks: Networks::default(),
        expires_at: n.is_multiple_of(3).then(|| NOW.plus_millis(n * 1_000)),
    }
}

pub(crate) fn digest(n: u64) -> SecretDigest {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&n.to_be_bytes());
    SecretDigest::from_bytes(digest)
}

pub(crate) fn issued(n: u64) -> KeyIssued {
    KeyIssued {
        prefix: "rsk".parse().unwrap(),
        digest: digest(n),
        grant: grant(n),
        issuer: Some(key_id(1)),
        predecessor: None,
    }
}

pub(crate) fn issue(n: u64) -> Event {
    Event::KeyIssued(Box::new(issued(n)))
}

pub(crate) fn revoke(reason: RevokeReason) -> Event {
    Event::KeyRevoked(KeyRevoked { reason, note: Some(text("found in a public repository")) })
}

pub(crate) fn expire(n: u64) -> Event {
    Event::KeyExpired(KeyExpired { expires_at: NOW.plus_millis(n * 1_000) })
}

pub(crate) fn recall(selector: Selector) -> Event {
    let note = Some(text("left the team"));
    Event::KeysRecalled(Box::new(KeysRecalled { selector, reason: RevokeReason::OwnerLeft, note }))
}

pub(crate) fn of_owner(n: u64) -> Selector {
    Selector { owner: Some(owner(n)), ..Selector::ALL }
}

pub(crate) fn open() -> Event {
    Event::TenantOpened(TenantOpened { name: Some(text("Acme Letters")), prefix: "rsk".parse().unwrap() })
}

pub(crate) fn envelope(stream: &StreamName, revision: u32, event: Event) -> Envelope {
    Envelope {
        event_id: EventId::from_u128(1),
        stream: stream.clone(),
        revision: Revision::new(revision),
        occurred_at: NOW,
        actor: Actor::System,
        command_id: CommandId::from_u128(1),
        request_tag: RequestTag::from_bytes([0; 16]),
        cause: Cause::Command,
        trace_context: None,
        event,
    }
}

pub(crate) fn recorded(position: u64, stream: &StreamName, payload: Vec<u8>) -> Recorded {
    Recorded {
        position: Position::new(position),
        stream: StreamId::from(stream),
        id: EventId::from_u128(u128::from(position)),
        payload: payload.into(),
    }
}

/// A log in memory and what to append to it.
#[derive(Clone, Debug)]
pub(crate) struct Log {
    pub(crate) log: MemoryLog,
}

impl Log {
    pub(crate) fn new() -> Self {
        Self { log: MemoryLog::create(LOG) }
    }

    pub(crate) fn port(&self) -> Arc<dyn EventLog> {
        Arc::new(self.log.clone())
    }

    /// Appends an event at the next revision of its stream.
    pub(crate) async fn append(&self, stream: &StreamName, event: Event) -> Position {
        let before = self.log.read_stream(&StreamId::from(stream), Position::NONE).await.unwrap();
        let revision = u32::try_from(before.len()).unwrap() + 1;
        self.append_bytes(stream, wire::encode(&envelope(stream, revision, event))).await
    }

    /// Appends whatever bytes.
    pub(crate) async fn append_bytes(&self, stream: &StreamName, payload: Vec<u8>) -> Position {
        let stream = StreamId::from(stream);
        let before = self.log.read_stream(&stream, Position::NONE).await.unwrap();
        let expected = before.last().map_or(Position::NONE, |event| event.position);
        let id = EventId::from_u128(u128::from(self.log.head().await.unwrap().get()) + 1);
        let event = NewEvent { id, payload: Bytes::from(payload) };
        match self.log.append(Unit::single(stream, expected, event, Queue::Normal)).await.unwrap() {
            Outcome::Appended { positions } => positions[0],
            conflict @ Outcome::Conflict { .. } => panic!("{conflict:?}"),
        }
    }

    /// Opens `acme` and issues its keys `n`.
    pub(crate) async fn with_keys(self, keys: impl IntoIterator<Item = u64>) -> Self {
        self.append(&StreamName::Tenant(tenant("acme")), open()).await;
        for n in keys {
            self.append(&key_stream("acme", u128::from(n)), issue(n)).await;
        }
        self
    }

    /// Starts a projection and waits until all of it shows the whole log.
    pub(crate) async fn projection(&self, stores: &MemoryStores) -> Projection {
        let projection = self.start(Arc::new(stores.clone())).await;
        caught_up(&projection, self.log.head().await.unwrap()).await;
        projection
    }

    pub(crate) async fn start(&self, stores: Arc<dyn Stores>) -> Projection {
        Projection::start(config(stores), self.port()).await
    }

    pub(crate) async fn log_head(&self) -> Position {
        self.log.head().await.unwrap()
    }
}

pub(crate) fn config(stores: Arc<dyn Stores>) -> ProjectionConfig {
    ProjectionConfig { stores, keeps: Keeps::Everything, max_staleness: MAX_STALENESS }
}

/// Waits until the index and all views show a position.
pub(crate) async fn caught_up(projection: &Projection, position: Position) {
    wait(projection.index_status(), position).await;
    for status in [
        projection.keys().status(),
        projection.history().status(),
        projection.tenants().status(),
        projection.notices().status(),
        projection.past().status(),
    ] {
        wait(status, position).await;
    }
}

pub(crate) async fn wait(mut status: watch::Receiver<Status>, position: Position) {
    let there = status.wait_for(|status| status.stage == Stage::Ready && status.applied >= position);
    tokio::time::timeout(PATIENCE, there).await.expect("it shows the position in time").unwrap();
}
