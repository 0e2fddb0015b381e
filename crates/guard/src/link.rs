//! The guard's standing with the server: registered, and what every task shares.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use domain::Position;
use tokio::sync::{Mutex, Notify, Semaphore, watch};
use tokio::time::sleep;
use tracing::{info, warn};
use wire::guard::{Leave, Register, Registered};

use crate::ask_server;
use crate::backoff::Backoff;
use crate::client::{CallError, Client};
use crate::clock::Clock;
use crate::core::Core;
use crate::filler::Filler;
use crate::meters::Meters;
use crate::status::Notes;
use crate::usage::Uses;

/// A registration is one write in the fleet's registry and a read of the head.
const REGISTER_WITHIN: Duration = Duration::from_secs(5);

/// Nobody waits for a guard that leaves: the server counts it as gone after its bound in any case.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// The longest pause that a server may ask for. Its own bound is a few seconds.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(2);

/// Everything that the guard's tasks share.
pub(crate) struct Link {
    pub(crate) core: Core,
    pub(crate) client: Client,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) filler: Filler,
    pub(crate) meters: Meters,
    pub(crate) uses: Uses,
    pub(crate) notes: Notes,
    pub(crate) register: Register,
    /// Positions to report.
    pub(crate) applied: watch::Sender<Position>,
    /// Over how many milliseconds the server wants the reports of its guards spread.
    pub(crate) report_within_ms: AtomicU64,
    /// Notices up to here are needed: a lease waits for them.
    pub(crate) wanted: watch::Sender<Position>,
    /// Verdicts that are being asked for.
    pub(crate) asking: Semaphore,
    /// A lease is asked for at once.
    pub(crate) ask_now: Notify,
    /// Counts registrations; held while one is made, so that tasks that find it lost at the same time make one.
    registrations: Mutex<u64>,
}

/// Which registration somebody saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen(u64);

impl Link {
    pub(crate) fn new(core: Core, client: Client, clock: Arc<dyn Clock>, register: Register) -> Self {
        Self {
            uses: Uses::of(core.tenant()),
            core,
            client,
            clock,
            filler: Filler::default(),
            meters: Meters::new(),
            notes: Notes::default(),
            register,
            applied: watch::Sender::default(),
            report_within_ms: AtomicU64::new(0),
            wanted: watch::Sender::default(),
            asking: Semaphore::new(ask_server::AT_ONCE),
            ask_now: Notify::new(),
            registrations: Mutex::new(0),
        }
    }

    pub(crate) fn guard_id(&self) -> &str {
        &self.register.guard_id
    }

    /// Waits until the server knows this guard.
    pub(crate) async fn registered(&self) -> Seen {
        let mut registrations = self.registrations.lock().await;
        if !self.core.is_registered() {
            self.make_registration(&mut registrations).await;
        }
        Seen(*registrations)
    }

    /// Registers anew, unless somebody has since.
    pub(crate) async fn register_again(&self, seen: Seen) {
        let mut registrations = self.registrations.lock().await;
        if Seen(*registrations) == seen {
            self.make_registration(&mut registrations).await;
        }
    }

    async fn make_registration(&self, registrations: &mut u64) {
        let mut backoff = Backoff::new();
        loop {
            let answer = self.client.post("/v1/guard/register", &self.register, REGISTER_WITHIN).await;
            match answer.and_then(|registered: Registered| self.take_registration(&registered)) {
                Ok(()) => {
                    *registrations += 1;
                    self.works();
                    return;
                }
                Err(error) => {
                    let pause = self.failed("registering", &error, &mut backoff);
                    sleep(pause).await;
                }
            }
        }
    }

    fn take_registration(&self, registered: &Registered) -> Result<(), CallError> {
        let log_id = registered.log_id.parse();
        let log_id = log_id.map_err(|_| CallError::Unreadable("its log id is none".to_owned()))?;
        // A guard may ask for less than the server's bound and is never given more than it asked for.
        let bound_ms = registered.max_staleness_ms.min(self.register.max_staleness_ms);
        self.uses.told(registered.now.as_deref(), self.clock.boot_ms());
        self.core.on_registered(log_id, Position::new(registered.at_least), bound_ms);
        info!(guard.id = self.guard_id(), server = registered.server, bound_ms, "the guard is registered");
        Ok(())
    }

    /// Notes that a call worked.
    pub(crate) fn works(&self) {
        if self.notes.noted().call_error.is_some() {
            self.notes.note(|noted| {
                noted.credential_refused = false;
                noted.guard_refused = false;
                noted.call_error = None;
            });
        }
    }

    /// Notes what went wrong and says how long to wait before the next attempt.
    pub(crate) fn failed(&self, what: &str, error: &CallError, backoff: &mut Backoff) -> Duration {
        self.meters.failed_call(error);
        let text = format!("{what}: {error}");
        let before = self.notes.noted();
        if before.call_error.as_deref() != Some(text.as_str()) {
            warn!(guard.id = self.guard_id(), "{text}");
            self.notes.note(|noted| {
                noted.credential_refused = matches!(error, CallError::CredentialRefused(_));
                noted.guard_refused = matches!(error, CallError::Refused(_));
                noted.call_error = Some(text);
            });
        }
        match error {
            CallError::Busy { retry_after: Some(after), .. } => {
                backoff.pause().max((*after).min(LONGEST_RETRY_AFTER))
            }
            _ => backoff.pause(),
        }
    }

    /// Notes that everything was dropped.
    pub(crate) fn was_reset(&self, why: &str) {
        warn!(guard.id = self.guard_id(), why, "everything held is dropped: the guard registers anew");
        self.meters.resets.increment(1);
    }

    /// Says that this guard answers nobody any more.
    pub(crate) async fn leave(&self) {
        let leave = Leave { guard_id: self.guard_id().to_owned() };
        let left: Result<serde_json::Value, CallError> =
            self.client.post("/v1/guard/leave", &leave, LEAVE_WITHIN).await;
        if let Err(error) = left {
            info!(guard.id = self.guard_id(), %error, "the guard could not say that it leaves");
        }
    }
}
