//! The command loop against a real log in memory: one effect a command id, whatever the log does to the attempt.

mod erasures;
mod imports;
mod life;
mod policies;
mod recalls;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use domain::{
    Actor, Cause, CommandId, Environment, Event, ExpireKey, KeyId, Labels, LogId, Networks, OpenTenant,
    ParsedKey, PersonalText, Position, Prefix, Refusal, RevokeKey, RevokeReason, ScopeSet, StreamName,
    TenantId, Timestamp,
};
use eventlog::{
    AppendError, Durability, EventLog, Follower, MemoryLog, MemorySeals, Outcome, Pulse, ReadError, Recorded,
    SealStore, StreamId, Unit,
};
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use crate::{
    Ambient, Application, AskedGrant, Bootstrapped, CommandError, IssueRequest, Lease, LeaseState,
    NotWritten, Request,
};

const STALENESS: Duration = Duration::from_secs(5);

/// A clock that stands and random bytes that count.
#[derive(Debug, Default)]
struct Still {
    now: AtomicU64,
    drawn: AtomicU64,
}

impl Ambient for Still {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + self.now.load(Ordering::Relaxed))
    }

    fn boot_ms(&self) -> u64 {
        self.now.load(Ordering::Relaxed)
    }

    fn fill(&self, bytes: &mut [u8]) {
        let n = self.drawn.fetch_add(1, Ordering::Relaxed).to_be_bytes();
        bytes.iter_mut().zip(n.iter().rev().cycle()).for_each(|(byte, n)| *byte = *n);
    }
}

/// What the next append meets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trouble {
    None,
    /// Stored, but the answer is lost.
    AnswerLost,
    /// Not stored, and nobody knows.
    Lost,
    /// Not stored, and known not to be.
    Away,
    /// No append is ever answered again.
    Dead,
}

#[derive(Debug)]
struct Troubled {
    inner: MemoryLog,
    trouble: Mutex<Trouble>,
    /// The next append tells that it is there, and then waits.
    hold: Mutex<Option<(oneshot::Sender<()>, oneshot::Receiver<()>)>>,
    stamp: Mutex<Option<Timestamp>>,
}

#[async_trait]
impl EventLog for Troubled {
    fn log_id(&self) -> LogId {
        self.inner.log_id()
    }

    fn durability(&self) -> Durability {
        Durability::Volatile
    }

    async fn append(&self, unit: Unit) -> Result<Outcome, AppendError> {
        let held = self.hold.lock().take();
        if let Some((reached, go)) = held {
            reached.send(()).unwrap();
            go.await.unwrap();
        }
        let reason = "as the test wants".to_owned();
        let trouble = *self.trouble.lock();
        if trouble != Trouble::Dead {
            *self.trouble.lock() = Trouble::None;
        }
        match trouble {
            Trouble::None => self.inner.append(unit).await,
            Trouble::AnswerLost => {
                let _ = self.inner.append(unit).await?;
                Err(AppendError::MayHaveHappened { reason })
            }
            Trouble::Lost | Trouble::Dead => Err(AppendError::MayHaveHappened { reason }),
            Trouble::Away => Err(AppendError::DidNotHappen { reason }),
        }
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
        Ok(Pulse { head: self.inner.head().await?, stamp: *self.stamp.lock(), took: Duration::ZERO })
    }
}

/// One server whose index never catches up, so that every decision must hold by what the log says.
struct Kit {
    application: Arc<Application>,
    log: Arc<Troubled>,
    ambient: Arc<Still>,
    index: Arc<verify::KeyIndex>,
    state: Arc<LeaseState>,
    /// What fills the index, unless the test wants it to stay behind.
    writer: Option<(verify::IndexWriter, watch::Sender<Position>)>,
}

impl Kit {
    async fn start() -> Self {
        Self::start_with(Arc::new(MemorySeals::default())).await
    }

    async fn start_with(seals: Arc<dyn SealStore>) -> Self {
        let log = Arc::new(Troubled {
            inner: MemoryLog::create(LogId::from_u128(1)),
            trouble: Mutex::new(Trouble::None),
            hold: Mutex::new(None),
            stamp: Mutex::new(None),
        });
        let ambient = Arc::new(Still::default());
        let (index, writer) = verify::new_index(STALENESS);
        let (sender, applied) = watch::channel(Position::NONE);
        let state = Arc::new(LeaseState::default());
        let application = Arc::new(Application::new(
            log.clone(),
            seals,
            index.clone(),
            applied,
            ambient.clone(),
            state.clone(),
        ));
        let kit = Self { application, log, ambient, index, state, writer: Some((writer, sender)) };
        kit.open("acme", "open").await.unwrap();
        kit
    }

    /// The same with an index that follows the log.
    async fn following() -> Self {
        Self::start().await.followed().await
    }

    async fn followed(self) -> Self {
        let mut kit = self;
        let (mut writer, applied) = kit.writer.take().unwrap();
        let mut follower = kit.log.follow(Position::NONE).await.unwrap();
        tokio::spawn(async move {
            loop {
                for recorded in follower.next().await.unwrap() {
                    apply(&mut writer, &recorded);
                    applied.send_replace(recorded.position);
                }
            }
        });
        kit.index_reaches_the_head().await;
        kit
    }

    async fn index_reaches_the_head(&self) {
        let head = self.log.head().await.unwrap();
        assert!(self.application.wait_applied(head, Duration::from_secs(60)).await);
    }

    /// The next append will wait: the first end tells that it came, the second lets it go.
    fn hold_next_append(&self) -> (oneshot::Receiver<()>, oneshot::Sender<()>) {
        let ((told, reached), (go, wait)) = (oneshot::channel(), oneshot::channel());
        *self.log.hold.lock() = Some((told, wait));
        (reached, go)
    }

    async fn open(&self, tenant: &str, id: &str) -> Result<crate::Changed, CommandError> {
        let command = OpenTenant { tenant: tenant.parse().unwrap(), name: None, prefix: Prefix::default() };
        self.application.open_tenant(&request(id), command).await
    }

    async fn issue(&self, id: &str) -> Result<crate::Issued, CommandError> {
        self.application.issue_key(&request(id), asked("campaigns:send")).await
    }

    async fn revoke(
        &self,
        key_id: KeyId,
        id: &str,
        reason: RevokeReason,
    ) -> Result<crate::Changed, CommandError> {
        let command = RevokeKey { tenant: acme(), key_id, reason, note: None };
        self.application.revoke_key(&request(id), command).await
    }

    async fn head(&self) -> u64 {
        self.log.head().await.unwrap().get()
    }

    fn meet(&self, trouble: Trouble) {
        *self.log.trouble.lock() = trouble;
    }
}

/// What the projection does with an event.
fn apply(writer: &mut verify::IndexWriter, recorded: &Recorded) {
    let position = recorded.position;
    let stream: StreamName = recorded.stream.as_str().parse().unwrap();
    let envelope = wire::decode(&stream, &recorded.payload).unwrap();
    let (revision, at) = (envelope.revision, envelope.occurred_at);
    let applied = match (&stream, &envelope.event) {
        (StreamName::Tenant(tenant), Event::TenantOpened(_)) => writer.open_tenant(position, tenant),
        (StreamName::Tenant(tenant), event) => writer.change_tenant(position, tenant, revision, at, event),
        (StreamName::Key(tenant, id), Event::KeyIssued(issued)) => {
            writer.issue(position, tenant, *id, issued)
        }
        (StreamName::Key(tenant, id), event) => writer.change(position, tenant, *id, revision, at, event),
    };
    assert_eq!(applied, verify::Applied::Done);
    writer.advance(position);
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn request(id: &str) -> Request {
    Request {
        actor: Actor::System,
        cause: Cause::Command,
        command_id: id.parse::<CommandId>().unwrap(),
        may_be_repeat: true,
        if_match: None,
        trace_context: None,
    }
}

fn asked(scope: &str) -> IssueRequest {
    IssueRequest {
        tenant: acme(),
        grant: AskedGrant {
            environment: Environment::Live,
            name: None,
            owner: PersonalText::name("list-sender").unwrap(),
            scopes: ScopeSet::parse([scope]).unwrap(),
            labels: Labels::default(),
            networks: Networks::default(),
            expires_at: None,
        },
        issuer: None,
    }
}

#[tokio::test(start_paused = true)]
async fn a_repeated_issue_makes_one_key_and_tells_its_secret_once() {
    let kit = Kit::start().await;
    let first = kit.issue("spring").await.unwrap();
    let again = kit.issue("spring").await.unwrap();
    assert!(first.key.is_some() && again.key.is_none());
    assert_eq!((first.key_id, first.changed.position), (again.key_id, again.changed.position));
    assert!(again.changed.repeated && kit.head().await == 2);
    let other = kit.application.issue_key(&request("spring"), asked("lists:read")).await;
    assert!(matches!(other, Err(CommandError::CommandIdReused)));
}

#[tokio::test(start_paused = true)]
async fn fifty_issues_at_once_under_one_command_id_make_one_key() {
    let kit = Arc::new(Kit::start().await);
    let attempts = (0..50).map(|_| {
        let kit = kit.clone();
        tokio::spawn(async move { kit.issue("spring").await.unwrap() })
    });
    let mut shown = 0;
    for attempt in attempts.collect::<Vec<_>>() {
        shown += usize::from(attempt.await.unwrap().key.is_some());
    }
    assert_eq!((shown, kit.head().await), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn doubt_is_settled_by_the_same_unit() {
    for trouble in [Trouble::AnswerLost, Trouble::Lost] {
        let kit = Kit::start().await;
        kit.meet(trouble);
        let issued = kit.issue("spring").await.unwrap();
        assert!(issued.key.is_some() && !issued.changed.repeated, "{trouble:?}: the secret is ours to show");
        kit.meet(trouble);
        kit.revoke(issued.key_id, "away", RevokeReason::Leaked).await.unwrap();
        assert_eq!(kit.head().await, 3, "{trouble:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_did_not_happen_and_what_nobody_knows_are_told_apart() {
    let kit = Kit::start().await;
    kit.meet(Trouble::Away);
    assert!(matches!(kit.issue("spring").await, Err(CommandError::Unavailable { .. })));
    let since = kit.ambient.now();
    kit.ambient.now.fetch_add(1000, Ordering::Relaxed);
    kit.meet(Trouble::Away);
    assert!(kit.issue("spring").await.is_err());
    let reason = "as the test wants".to_owned();
    assert_eq!(kit.application.not_written(), Some(NotWritten { since, reason }), "since the first");
    kit.issue("summer").await.unwrap();
    assert_eq!(kit.application.not_written(), None);
    kit.meet(Trouble::Dead);
    match kit.issue("autumn").await {
        Err(CommandError::OutcomeUnknown { command_id, key_id, .. }) => {
            assert_eq!(command_id.as_str(), "autumn");
            assert_eq!(key_id, Some(domain::IssueKey::key_id(&acme(), &command_id)));
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_revocation_is_decided_on_the_log_and_repeated_from_it() {
    let kit = Kit::start().await;
    let key_id = kit.issue("spring").await.unwrap().key_id;
    let first = kit.revoke(key_id, "r1", RevokeReason::Compromised).await.unwrap();
    let again = kit.revoke(key_id, "r1", RevokeReason::Compromised).await.unwrap();
    assert_eq!((first.position, again.position, again.repeated), (Position::new(3), Position::new(3), true));
    let reused = kit.revoke(key_id, "r1", RevokeReason::Other).await;
    assert!(matches!(reused, Err(CommandError::CommandIdReused)));
    let reused = kit.revoke(key_id, "spring", RevokeReason::Other).await;
    assert!(matches!(reused, Err(CommandError::CommandIdReused)), "the issue's own command id");
    let refused = kit.revoke(key_id, "r2", RevokeReason::Compromised).await;
    assert!(matches!(refused, Err(CommandError::Refused(Refusal::AlreadyRevoked))));
    let missing = kit.revoke(KeyId::from_u128(5), "r3", RevokeReason::Other).await;
    assert!(matches!(missing, Err(CommandError::NotFound)));
    assert_eq!(kit.index.overlay_len(), 1, "effective before any index has heard");
}

#[tokio::test(start_paused = true)]
async fn two_revocations_at_once_have_one_winner() {
    let kit = Kit::start().await;
    let key_id = kit.issue("spring").await.unwrap().key_id;
    let (a, b) = tokio::join!(
        kit.revoke(key_id, "a", RevokeReason::Leaked),
        kit.revoke(key_id, "b", RevokeReason::Leaked)
    );
    let refused = |outcome| matches!(outcome, Err(CommandError::Refused(Refusal::AlreadyRevoked)));
    assert_eq!((a.is_ok(), b.is_ok()), (true, false));
    assert!(refused(b) && kit.head().await == 3);
}

#[tokio::test(start_paused = true)]
async fn tenants_open_once() {
    let kit = Kit::start().await;
    assert!(kit.open("acme", "open").await.unwrap().repeated);
    assert!(matches!(
        kit.open("acme", "again").await,
        Err(CommandError::Refused(Refusal::TenantAlreadyOpen))
    ));
    let unknown = IssueRequest { tenant: "nobody".parse().unwrap(), ..asked("lists:read") };
    assert!(matches!(kit.application.issue_key(&request("x"), unknown).await, Err(CommandError::NotFound)));
}

#[tokio::test(start_paused = true)]
async fn every_server_records_an_expiry_under_one_command_id() {
    let kit = Kit::start().await;
    let expires_at = kit.ambient.now().plus_millis(1000);
    let mut asked = asked("lists:read");
    asked.grant.expires_at = Some(expires_at);
    let key_id = kit.application.issue_key(&request("short"), asked).await.unwrap().key_id;
    let expire = || kit.application.expire_key(ExpireKey { tenant: acme(), key_id, expires_at });
    assert!(matches!(expire().await, Err(CommandError::Refused(Refusal::NotYetExpired))));
    kit.ambient.now.store(1000, Ordering::Relaxed);
    let first = expire().await.unwrap();
    let second = expire().await.unwrap();
    assert_eq!((first.position, first.repeated), (second.position, false));
    assert!(second.repeated);
}

#[tokio::test(start_paused = true)]
async fn two_first_starts_make_one_operator() {
    let kit = Kit::start().await;
    let (one, two) = (kit.application.draw_first_operator(), kit.application.draw_first_operator());
    let (one, two) =
        (ParsedKey::parse(one.key.expose()).unwrap(), ParsedKey::parse(two.key.expose()).unwrap());
    assert_ne!(one.key_id, two.key_id);
    assert_eq!(kit.application.bootstrap(&one).await.unwrap(), Bootstrapped::Ours);
    assert_eq!(kit.application.bootstrap(&two).await.unwrap(), Bootstrapped::Another);
    assert_eq!(kit.application.bootstrap(&one).await.unwrap(), Bootstrapped::Ours, "after a restart");
    kit.application.open_default_tenant().await.unwrap();
    kit.application.open_default_tenant().await.unwrap();
    assert_eq!(kit.head().await, 4, "acme, rescind, its operator, default");
}

#[tokio::test(start_paused = true)]
async fn a_lease_is_as_old_as_its_asking_and_a_clock_that_is_off_takes_no_command() {
    let kit = Kit::start().await;
    let (applied, receiver) = watch::channel(Position::new(1));
    let mut lease = Lease {
        log: kit.log.clone(),
        index: kit.index.clone(),
        applied: receiver,
        ambient: kit.ambient.clone(),
        state: kit.state.clone(),
    };
    kit.ambient.now.store(7, Ordering::Relaxed);
    lease.ask_once().await;
    assert_eq!(kit.index.proven_at(), Some(7));
    // An event that the index has not applied: hearing of it is no proof of having heard it.
    kit.issue("spring").await.unwrap();
    kit.ambient.now.store(9, Ordering::Relaxed);
    lease.ask_once().await;
    assert_eq!(kit.index.proven_at(), Some(7));
    applied.send(Position::new(2)).unwrap();
    *kit.log.stamp.lock() = Some(kit.ambient.now().plus_millis(501));
    lease.ask_once().await;
    assert_eq!((kit.index.proven_at(), kit.state.skew_ms()), (Some(9), -501));
    assert!(matches!(kit.issue("autumn").await, Err(CommandError::ClockSkew { skew_ms: -501 })));
}
