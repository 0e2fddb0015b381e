//! Measures the projection: `cargo run --release -p projection --example measure -- <keys> <folder for the views> [recall]`;
//! the last word measures a recall alone.
#![expect(clippy::print_stdout, reason = "a measurement is printed")]

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use domain::{
    Actor, Cause, CommandId, Envelope, Event, EventId, Grant, KeyId, KeyIssued, KeysRecalled, Label, Labels,
    LogId, Networks, Owner, OwnerTag, Personal, PersonalText, Position, RequestTag, Revision, RevokeReason,
    ScopeSet, SecretDigest, Selector, Standing, StreamName, TenantId, TenantOpened, Timestamp,
};
use eventlog::{
    AppendError, Durability, EventLog, Follower, Outcome, Pulse, ReadError, Recorded, StreamId, Unit,
};
use projection::stores::{DiskStores, MemoryStores, Stores, Work};
use projection::tree::{Tree, TreeError};
use projection::{Keeps, KeyQuery, Progress, Projection, ProjectionConfig, Stage, Status};
use tokio::sync::watch;
use tokio::time::Instant;

const FOLLOW_BATCH: usize = 5_000;
const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

/// A log that is there from the start: positions, streams and stored bytes of as many issued keys.
#[derive(Clone, Debug)]
struct Issued {
    events: Arc<[(StreamId, Bytes)]>,
}

struct IssuedFollower {
    log: Issued,
    after: usize,
}

fn head_of(log: &Issued) -> Position {
    Position::new(log.events.len() as u64)
}

#[async_trait]
impl EventLog for Issued {
    fn log_id(&self) -> LogId {
        LogId::from_u128(1)
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }

    async fn append(&self, _: Unit) -> Result<Outcome, AppendError> {
        Err(AppendError::DidNotHappen { reason: "this log is only read".to_owned() })
    }

    async fn read_stream(&self, _: &StreamId, _: Position) -> Result<Vec<Recorded>, ReadError> {
        Ok(Vec::new())
    }

    async fn head(&self) -> Result<Position, ReadError> {
        Ok(head_of(self))
    }

    async fn follow(&self, after: Position) -> Result<Box<dyn Follower>, ReadError> {
        let after = usize::try_from(after.get()).expect("a position of this log fits");
        Ok(Box::new(IssuedFollower { log: self.clone(), after }))
    }

    async fn pulse(&self) -> Result<Pulse, ReadError> {
        Ok(Pulse { head: head_of(self), stamp: None, took: Duration::ZERO })
    }
}

#[async_trait]
impl Follower for IssuedFollower {
    async fn next(&mut self) -> Result<Vec<Recorded>, ReadError> {
        let rest = &self.log.events[self.after..];
        if rest.is_empty() {
            std::future::pending::<()>().await;
        }
        let batch = &rest[..rest.len().min(FOLLOW_BATCH)];
        let recorded = (self.after as u64 + 1..).zip(batch).map(|(position, (stream, payload))| Recorded {
            position: Position::new(position),
            stream: stream.clone(),
            id: EventId::from_u128(u128::from(position)),
            payload: payload.clone(),
        });
        let recorded = recorded.collect();
        self.after += batch.len();
        Ok(recorded)
    }
}

fn owner_tag(n: u64) -> OwnerTag {
    OwnerTag::from_bytes(
        (u128::from(n) << 64 | u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15))).to_be_bytes(),
    )
}

fn text(text: &str) -> Personal {
    Personal::Plain(PersonalText::name(text).expect("it is short and readable"))
}

/// One key of 100,000 owners, with one label; every fourth expires.
fn issue(n: u64) -> KeyIssued {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&n.to_be_bytes());
    let owner = n % 100_000;
    let grant = Grant {
        environment: "live".parse().expect("an environment"),
        name: Some(text(&format!("sender {n}"))),
        owner: Owner { tag: owner_tag(owner), name: text(&format!("owner-{owner}@lists.example")) },
        scopes: ScopeSet::parse(["campaigns:send", "lists:read"]).expect("scopes"),
        labels: Labels::new(vec![Label::new("service", &format!("mailer-{}", n % 50)).expect("a label")])
            .expect("one label"),
        networks: Networks::default(),
        expires_at: n.is_multiple_of(4).then(|| NOW.plus_millis(1_000 * (n % 9_999_991))),
    };
    KeyIssued {
        prefix: "rsk".parse().expect("a prefix"),
        digest: SecretDigest::from_bytes(digest),
        grant,
        issuer: Some(KeyId::from_u128(1)),
        predecessor: None,
    }
}

fn tenant() -> TenantId {
    TenantId::DEFAULT.parse().expect("a tenant")
}

fn stored(stream: &StreamName, revision: u32, n: u64, event: Event) -> (StreamId, Bytes) {
    let envelope = Envelope {
        event_id: EventId::from_u128(u128::from(n)),
        stream: stream.clone(),
        revision: Revision::new(revision),
        occurred_at: NOW,
        actor: Actor::Operator { key_id: KeyId::from_u128(1), network: Some(text("192.0.2.7")) },
        command_id: CommandId::from_u128(u128::from(n)),
        request_tag: RequestTag::from_bytes([7; 16]),
        cause: Cause::Command,
        trace_context: None,
        event,
    };
    (StreamId::from(stream), Bytes::from(wire::encode(&envelope)))
}

fn log_of(keys: u64) -> Issued {
    let tenant = StreamName::Tenant(tenant());
    let opened = TenantOpened { name: None, prefix: "rsk".parse().expect("a prefix") };
    let opened = stored(&tenant, 1, 0, Event::TenantOpened(opened));
    let event = |n: u64| {
        // Ids as ULIDs are: the time first, then what looks random.
        let key_id = (1_790_000_000_000 + u128::from(n / 100)) << 80
            | u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 16;
        let stream = StreamName::Key(tenant.tenant().clone(), KeyId::from_u128(key_id));
        stored(&stream, 1, n, Event::KeyIssued(Box::new(issue(n))))
    };
    Issued { events: [opened].into_iter().chain((1..keys).map(event)).collect() }
}

/// The same log with a recall of all its keys behind it.
fn recalled(log: &Issued) -> Issued {
    let recalled = KeysRecalled { selector: Selector::ALL, reason: RevokeReason::Compromised, note: None };
    let stream = StreamName::Tenant(tenant());
    let n = log.events.len() as u64;
    let recalled = stored(&stream, 2, n, Event::KeysRecalled(Box::new(recalled)));
    Issued { events: log.events.iter().cloned().chain([recalled]).collect() }
}

async fn ready(mut status: watch::Receiver<Status>) {
    status.wait_for(|status| status.stage == Stage::Ready).await.expect("the worker lives");
}

fn config(stores: Arc<dyn Stores>, keeps: Keeps) -> ProjectionConfig {
    ProjectionConfig { stores, keeps, max_staleness: Duration::from_secs(5) }
}

fn tell(what: &str, log: &Issued, began: Instant) {
    let took = began.elapsed();
    println!(
        "{what}: {} events in {took:?}, {:.0}/s",
        log.events.len(),
        log.events.len() as f64 / took.as_secs_f64()
    );
}

async fn measure_views(log: &Issued, dir: &Path) {
    let stores = || Arc::new(DiskStores::open(dir).expect("the folder opens"));
    let began = Instant::now();
    let projection = Projection::start(config(stores(), Keeps::Everything), Arc::new(log.clone())).await;
    let statuses = [
        ("index", projection.index_status()),
        ("tenants", projection.tenants().status()),
        ("history", projection.history().status()),
        ("notices", projection.notices().status()),
        ("keys", projection.keys().status()),
    ];
    let mut waits = tokio::task::JoinSet::new();
    for (name, status) in statuses {
        let log = log.clone();
        waits.spawn(async move {
            ready(status).await;
            tell(&format!("{name}, all workers at once"), &log, began);
        });
    }
    while waits.join_next().await.is_some() {}
    let slowest =
        projection.progress().into_iter().map(|Progress { name, status }| (status.applied, name)).min();
    println!("behind: {slowest:?}");
    measure_lists(&projection).await;
    let began = Instant::now();
    projection.stop().await;
    println!("stopped in {:?}", began.elapsed());
    let began = Instant::now();
    let projection = Projection::start(config(stores(), Keeps::Everything), Arc::new(log.clone())).await;
    ready(projection.index_status()).await;
    println!("restarted: index ready in {:?}", began.elapsed());
    ready(projection.keys().status()).await;
    println!("restarted: keys ready in {:?}", began.elapsed());
    measure_lists(&projection).await;
    projection.stop().await;
}

async fn measure_lists(projection: &Projection) {
    let all = KeyQuery::all(tenant());
    let queries = [
        ("owner", KeyQuery { owner: Some(owner_tag(77_777)), ..all.clone() }),
        ("label", KeyQuery { label: "service=mailer-7".parse().ok(), ..all.clone() }),
        ("expiry", KeyQuery { expiring_before: Some(Timestamp::MAX), ..all.clone() }),
        ("issuer of nothing", KeyQuery { issued_by: Some(KeyId::from_u128(1)), ..all.clone() }),
        ("all", all),
    ];
    for (what, query) in queries {
        for round in ["first", "again"] {
            let began = Instant::now();
            let page = projection.keys().list(query.clone()).await.expect("the view answers");
            println!("list by {what}, {round}: {} keys in {:?}", page.keys.len(), began.elapsed());
        }
    }
}

/// Everything in memory but the view of keys: that is on disk.
#[derive(Clone, Debug)]
struct KeysApart {
    memory: MemoryStores,
    disk: DiskStores,
}

impl Stores for KeysApart {
    fn open_tree(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        if view == "keys" { self.disk.open_tree(view) } else { self.memory.open_tree(view) }
    }

    fn set_aside(&self, view: &'static str) -> io::Result<()> {
        self.memory.set_aside(view)
    }

    fn open_scratch(&self, view: &'static str) -> Result<Box<dyn Tree>, TreeError> {
        self.memory.open_scratch(view)
    }

    fn clear_scratch(&self) -> io::Result<()> {
        self.memory.clear_scratch()
    }

    fn save_snapshot(&self, write: &mut dyn FnMut(&mut dyn io::Write) -> io::Result<()>) -> io::Result<()> {
        self.memory.save_snapshot(write)
    }

    fn load_snapshot(&self) -> io::Result<Option<Box<dyn io::Read + Send>>> {
        self.memory.load_snapshot()
    }

    fn remove_snapshot(&self) -> io::Result<()> {
        self.memory.remove_snapshot()
    }

    fn work(&self) -> Work {
        Work::Blocking
    }
}

/// How long the view of keys takes with these stores, the index and the other views being in memory and done before.
async fn follow_keys(log: &Issued, stores: KeysApart) -> Duration {
    let began = Instant::now();
    let projection =
        Projection::start(config(Arc::new(stores), Keeps::Everything), Arc::new(log.clone())).await;
    ready(projection.keys().status()).await;
    let took = began.elapsed();
    projection.stop().await;
    took
}

/// How long the view of keys takes for one recall of all keys.
async fn measure_recall(log: &Issued, dir: &Path) {
    let disk = || DiskStores::open(&dir.join("recalled")).expect("the folder opens");
    let stores = || KeysApart { memory: MemoryStores::new(), disk: disk() };
    let followed = follow_keys(log, stores()).await;
    println!("keys alone, on sled: {:.0} events/s", log.events.len() as f64 / followed.as_secs_f64());
    let opened = follow_keys(log, stores()).await;
    let log = recalled(log);
    let took = follow_keys(&log, stores()).await.saturating_sub(opened);
    let keys = log.events.len() - 2;
    println!(
        "a recall of {keys} keys, view of keys: {took:?}, {:.0} rows/s",
        keys as f64 / took.as_secs_f64()
    );
    let projection =
        Projection::start(config(Arc::new(stores()), Keeps::Everything), Arc::new(log.clone())).await;
    ready(projection.keys().status()).await;
    let recalled = KeyQuery { standing: Some(Standing::Recalled), ..KeyQuery::all(tenant()) };
    let page = projection.keys().list(recalled).await.expect("the view answers");
    println!("recalled by position {:?}", page.keys.first().and_then(|key| key.recalled_by));
    projection.stop().await;
}

#[tokio::main]
async fn main() {
    let mut args = std::env::args().skip(1);
    let keys = args.next().and_then(|keys| keys.parse().ok()).unwrap_or(1_000_000);
    let dir = args.next().unwrap_or_else(|| "target/measure-views".to_owned());
    let log = log_of(keys);
    println!("{keys} keys, {} bytes an event", log.events[1].1.len());
    if args.next().as_deref() == Some("recall") {
        return measure_recall(&log, Path::new(&dir)).await;
    }
    measure_recall(&log, Path::new(&dir)).await;
    measure_views(&log, Path::new(&dir)).await;
}
