//! What the tests of guards begin with: a server, a tenant, a guard, and clocks that a test can set.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use guard::{Clock, Decision, Guard, Requirement, SystemClock, Timestamp, Verdict};
use serde_json::json;
use tests::server::{Admin, ServerSetup, TestServer};
use tokio::time::{Instant, sleep};

/// Longer than anything takes on a loaded machine.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(10);

/// Waits for something to become true.
#[track_caller]
pub(crate) fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut look: F) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + LIMIT;
        while !look().await {
            assert!(Instant::now() < deadline, "{caller}: not in time: {what}");
            sleep(LOOK_AGAIN).await;
        }
    }
}

/// A server with tenant `acme` and a guard for it.
pub(crate) struct Given {
    pub(crate) server: TestServer,
    pub(crate) admin: Admin,
    pub(crate) guard: Guard,
}

impl Given {
    pub(crate) async fn start() -> Self {
        Self::start_with(ServerSetup::embedded(), |builder| builder).await
    }

    pub(crate) async fn start_with(
        setup: ServerSetup,
        set_up: impl FnOnce(guard::Builder) -> guard::Builder,
    ) -> Self {
        Self::at(setup.start(), set_up).await
    }

    /// At a server that runs.
    pub(crate) async fn at(
        server: TestServer,
        set_up: impl FnOnce(guard::Builder) -> guard::Builder,
    ) -> Self {
        let admin = server.admin();
        admin.open_tenant("acme");
        let credential = credential(&admin);
        let builder = Guard::builder(server.url(), &credential).tenant("acme").name("mailer");
        let builder = builder.connect_within(LIMIT).first_sight_within(LIMIT);
        let guard = set_up(builder).connect().await.expect("the guard connects");
        Self { server, admin, guard }
    }

    pub(crate) async fn verdict(&self, token: &str) -> Verdict {
        self.decision(token).await.verdict
    }

    pub(crate) async fn decision(&self, token: &str) -> Decision {
        self.guard.verify(token, &Requirement::any()).await
    }

    /// Waits for a verdict.
    pub(crate) async fn until(&self, token: &str, verdict: Verdict) {
        eventually(verdict.as_str(), async || self.verdict(token).await == verdict).await;
    }
}

/// A key that lets a guard listen and verify, and nothing else.
pub(crate) fn credential(admin: &Admin) -> String {
    issue_operator(admin).1
}

/// Its id, too.
pub(crate) fn issue_operator(admin: &Admin) -> (String, String) {
    let body = json!({"name": "guard", "owner": "mailer", "scopes": ["acme/feed", "acme/verify"]});
    let issued = admin.post("/v1/tenants/rescind/keys", &body).expect(201).json();
    let word = |name: &str| issued[name].as_str().expect("an issue tells id and key").to_owned();
    (word("key_id"), word("key"))
}

/// The machine's clocks, moved by a test.
#[derive(Debug, Default)]
pub(crate) struct MovedClock {
    now_ahead_ms: AtomicU64,
    boot_ahead_ms: AtomicU64,
    breaks: AtomicBool,
}

impl MovedClock {
    pub(crate) fn new() -> Arc<Self> {
        Arc::default()
    }

    /// The wall clock jumps.
    pub(crate) fn jump(&self, ms: u64) {
        self.now_ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// The machine slept.
    pub(crate) fn sleep(&self, ms: u64) {
        self.boot_ahead_ms.fetch_add(ms, Ordering::SeqCst);
    }

    /// Whoever looks at it next panics.
    pub(crate) fn break_once(&self) {
        self.breaks.store(true, Ordering::SeqCst);
    }

    pub(crate) fn is_about_to_break(&self) -> bool {
        self.breaks.load(Ordering::SeqCst)
    }
}

impl Clock for MovedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now().plus_millis(self.now_ahead_ms.load(Ordering::SeqCst))
    }

    fn boot_ms(&self) -> u64 {
        assert!(!self.breaks.swap(false, Ordering::SeqCst), "the clock broke");
        SystemClock.boot_ms() + self.boot_ahead_ms.load(Ordering::SeqCst)
    }
}
