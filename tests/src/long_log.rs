//! A long log on disk, made in this process without an application: for measurements that need many millions of events.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use domain::{
    Actor, Cause, CommandId, Envelope, Environment, Event, EventId, Grant, KeyId, KeyIssued, KeyReinstated,
    KeyRenamed, KeyRescoped, KeyRevoked, KeySuspended, KeysRecalled, Label, Labels, LogId, Networks, Owner,
    OwnerTag, Personal, PersonalText, Position, RequestTag, Revision, RevokeReason, ScopeSet, SecretDigest,
    Selector, StreamName, SuspendReason, TenantId, TenantOpened, Timestamp,
};
use eventlog::{EmbeddedLog, EventLog, NewEvent, Outcome, Queue, StreamId, StreamWrite, Unit};
use tokio::task::JoinSet;

use bench::rush::Failure;

/// Events of each key: its issue, changes, and for every tenth its end.
pub const EVENTS_PER_KEY: u64 = 5;
/// Units on their way at once: one commit takes them all.
const CALLERS: u64 = 1_024;
/// When the first event happened; each next one some tens of microseconds later.
const BEGAN: Timestamp = Timestamp::from_millis(1_790_000_000_000);
const EVENTS_PER_MS: u64 = 20;

/// The tenant of all keys. Whoever adds to a log opens it first.
pub const TENANT: &str = "default";

/// The id of the `n`th key.
#[must_use]
pub fn key_id(n: u64) -> KeyId {
    let time = u128::from(BEGAN.as_millis() + n * EVENTS_PER_KEY / EVENTS_PER_MS);
    KeyId::from_u128(time << 80 | u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 16 | 1)
}

/// Opens the log of a data folder.
///
/// # Errors
/// When it cannot be opened.
pub fn open(data: &Path) -> Result<EmbeddedLog, Failure> {
    Ok(EmbeddedLog::open(&data.join("log.redb"), LogId::from_u128(1))?)
}

/// Appends the lives of so many keys, numbered from `first`, one unit a key.
///
/// # Errors
/// When an append does not succeed: the log is not one that is all its own.
pub async fn add_keys(log: &Arc<dyn EventLog>, first: u64, keys: u64) -> Result<(), Failure> {
    let next = Arc::new(AtomicU64::new(first));
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS.min(keys) {
        let (log, next) = (Arc::clone(log), Arc::clone(&next));
        callers.spawn(async move {
            loop {
                let n = next.fetch_add(1, Ordering::Relaxed);
                if n >= first + keys {
                    return Ok::<_, Failure>(());
                }
                append(&log, life(n)).await?;
            }
        });
    }
    while let Some(ended) = callers.join_next().await {
        ended??;
    }
    Ok(())
}

fn life(n: u64) -> Unit {
    let stream = StreamName::Key(tenant(), key_id(n));
    unit(&stream, Position::NONE, 1, story(n), n * EVENTS_PER_KEY)
}

/// Events of one stream, the first of them at this revision. `n` makes their ids, and when they happened.
fn unit(
    stream: &StreamName,
    expected: Position,
    first: u32,
    events: impl IntoIterator<Item = Event>,
    n: u64,
) -> Unit {
    let events = (first..).zip(events).zip(n + 1..).map(|((revision, event), n)| {
        let id = EventId::from_u128(u128::from(n));
        let at = BEGAN.plus_millis(n / EVENTS_PER_MS);
        NewEvent { id, payload: wire::encode(&envelope(stream, id, revision, at, event)).into() }
    });
    let write = StreamWrite { stream: StreamId::from(stream), expected, events: events.collect() };
    Unit { writes: vec![write], queue: Queue::Normal }
}

/// Opens a tenant that has one key, the first one by number, and so many recalls behind its issue that do not mean it.
///
/// # Errors
/// As [`add_keys`].
pub async fn add_recalling_tenant(
    log: &Arc<dyn EventLog>,
    tenant: &TenantId,
    recalls: u32,
    n: u64,
) -> Result<(), Failure> {
    let (own, key) = (StreamName::Tenant(tenant.clone()), StreamName::Key(tenant.clone(), key_id(0)));
    let opened = TenantOpened { name: None, prefix: "rsk".parse().expect("a prefix") };
    let mut last = append(log, unit(&own, Position::NONE, 1, [Event::TenantOpened(opened)], n)).await?;
    append(log, unit(&key, Position::NONE, 1, story(0).into_iter().take(1), n + 1)).await?;
    let owner = Owner { tag: OwnerTag::from_bytes([9; 16]), name: text("somebody else") };
    let selector = Selector { owner: Some(owner), ..Selector::ALL };
    let recalled = || {
        let recalled =
            KeysRecalled { selector: selector.clone(), reason: RevokeReason::OwnerLeft, note: None };
        Event::KeysRecalled(Box::new(recalled))
    };
    for first in (0..recalls).step_by(Unit::MAX_EVENTS) {
        let count = usize::try_from(recalls - first)?.min(Unit::MAX_EVENTS);
        let events = std::iter::repeat_with(recalled).take(count);
        last = append(log, unit(&own, last, first + 2, events, n + 2 + u64::from(first))).await?;
    }
    Ok(())
}

async fn append(log: &Arc<dyn EventLog>, unit: Unit) -> Result<Position, Failure> {
    match log.append(unit).await? {
        Outcome::Appended { positions } => Ok(positions.last().copied().unwrap_or_default()),
        conflict @ Outcome::Conflict { .. } => Err(format!("{conflict:?}").into()),
    }
}

fn envelope(stream: &StreamName, id: EventId, revision: u32, at: Timestamp, event: Event) -> Envelope {
    Envelope {
        event_id: id,
        stream: stream.clone(),
        revision: Revision::new(revision),
        occurred_at: at,
        actor: Actor::Operator { key_id: KeyId::from_u128(7), network: Some(text("192.0.2.7")) },
        command_id: CommandId::from_u128(id.to_u128()),
        request_tag: RequestTag::from_bytes([7; 16]),
        cause: Cause::Command,
        trace_context: Some("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into()),
        event,
    }
}

fn text(text: &str) -> Personal {
    Personal::Plain(PersonalText::name(text).expect("it is short and readable"))
}

fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).expect("scopes")
}

fn story(n: u64) -> [Event; 5] {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&n.to_be_bytes());
    let owner = n % 100_000;
    let grant = Grant {
        environment: Environment::Live,
        name: Some(text(&format!("sender {n}"))),
        owner: Owner {
            tag: OwnerTag::from_bytes(u128::from(owner + 1).to_be_bytes()),
            name: text(&format!("owner-{owner}@lists.example")),
        },
        scopes: scopes(&["campaigns:send", "lists:read"]),
        labels: Labels::new(vec![Label::new("service", &format!("mailer-{}", n % 50)).expect("a label")])
            .expect("one label"),
        networks: Networks::default(),
        expires_at: None,
    };
    let last = if n.is_multiple_of(10) {
        Event::KeyRevoked(KeyRevoked {
            reason: RevokeReason::Compromised,
            note: Some(text("in a public list")),
        })
    } else {
        Event::KeyReinstated(KeyReinstated { note: None })
    };
    [
        Event::KeyIssued(Box::new(KeyIssued {
            prefix: "rsk".parse().expect("a prefix"),
            digest: SecretDigest::from_bytes(digest),
            grant,
            issuer: Some(KeyId::from_u128(7)),
            predecessor: None,
        })),
        Event::KeyRenamed(KeyRenamed { name: Some(text(&format!("campaign {n}"))) }),
        Event::KeyRescoped(KeyRescoped { scopes: scopes(&["campaigns:send"]) }),
        Event::KeySuspended(KeySuspended { reason: SuspendReason::Investigating, note: None, until: None }),
        last,
    ]
}

/// The tenant that all keys are in.
#[must_use]
pub fn tenant() -> TenantId {
    TENANT.parse().expect("a tenant")
}
