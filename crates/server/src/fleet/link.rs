//! This server's end of the registry: its own entry, put before each proof and behind each ending, and those of its guards.

use std::time::Duration;

use application::Ambient;
use eventlog::jetstream::{FleetEntry, FleetError, FleetRegistry};
use tokio::sync::watch;
use tokio::time::timeout;
use tracing::warn;
use wire::RunId;
use wire::fleet::{GuardEntry, ServerEntry};

use crate::fleet::{Fleet, Introduction, NotHeard, guard_entry, server_entry};

/// How long an entry may take to come back: it is there already, and on its way.
const HEAR_WITHIN: Duration = Duration::from_secs(2);
/// How long a proof waits for its barrier: a put and its echo.
const BARRIER_WITHIN: Duration = Duration::from_secs(4);
/// How often a guard's entry is put when others put it at the same time: a guard is one process, and asks one server after
/// the other.
const REGISTER_TRIES: usize = 3;
/// How long a stop waits until the own entry is deleted.
const LEAVE_WITHIN: Duration = Duration::from_secs(5);

/// See the module. Its own entry is put by one task, [`crate::node`]'s, which whoever wants a barrier waits for.
pub(crate) struct FleetLink {
    pub(crate) registry: FleetRegistry,
    pub(crate) run: RunId,
    own: Vec<u8>,
    /// The number of the last barrier that somebody wants.
    pub(crate) wanted: watch::Sender<u64>,
    /// The number of the last that held.
    pub(crate) held: watch::Sender<u64>,
    /// Becomes true when the own entry is to be deleted.
    pub(crate) leaving: watch::Sender<bool>,
    /// Becomes true when it is.
    pub(crate) left: watch::Sender<bool>,
}

/// Why a guard has no entry now.
pub(crate) enum NotRegistered {
    NotHeard(NotHeard),
    Away(FleetError),
}

impl From<FleetError> for NotRegistered {
    fn from(error: FleetError) -> Self {
        Self::Away(error)
    }
}

impl FleetLink {
    pub(crate) fn new(registry: FleetRegistry, run: RunId, name: &str, max_staleness: Duration) -> Self {
        let own = ServerEntry {
            name: name.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            max_staleness_ms: u64::try_from(max_staleness.as_millis()).unwrap_or(u64::MAX),
        };
        Self {
            registry,
            run,
            own: bytes(&own),
            wanted: watch::Sender::new(0),
            held: watch::Sender::new(0),
            leaving: watch::Sender::new(false),
            left: watch::Sender::new(false),
        }
    }

    /// Asks for a barrier that begins from now on; its number.
    pub(crate) fn want_barrier(&self) -> u64 {
        let mut number = 0;
        self.wanted.send_modify(|wanted| {
            *wanted += 1;
            number = *wanted;
        });
        number
    }

    /// Whether everybody who was let in before now has been heard of, and this server's entry been put since.
    pub(crate) async fn barrier(&self) -> bool {
        let number = self.want_barrier();
        let mut held = self.held.subscribe();
        timeout(BARRIER_WITHIN, held.wait_for(|held| *held >= number)).await.is_ok_and(|held| held.is_ok())
    }

    /// Puts the own entry and waits until it has been heard; its revision.
    pub(crate) async fn put_own(&self, fleet: &Fleet) -> Result<u64, FleetError> {
        let revision = self.registry.put(&server_entry(self.run), self.own.clone()).await?;
        hears(fleet, revision).await?;
        Ok(revision)
    }

    /// Takes a guard in, as its only server from now on. Once this returns, every receipt knows it.
    pub(crate) async fn register(
        &self,
        fleet: &Fleet,
        introduction: Introduction,
        ambient: &dyn Ambient,
    ) -> Result<(), NotRegistered> {
        let name = guard_entry(introduction.guard_id);
        for _ in 0..REGISTER_TRIES {
            let before = self.registry.read(&name).await?;
            let revision = before.as_ref().map_or(0, |entry| entry.revision);
            let introduction = after(before, introduction.clone()).map_err(NotRegistered::NotHeard)?;
            let entry = bytes(&self.entry(&introduction));
            fleet.register(introduction, ambient.boot_ms()).map_err(NotRegistered::NotHeard)?;
            if let Some(revision) = self.registry.replace(&name, revision, entry).await? {
                return Ok(hears(fleet, revision).await?);
            }
        }
        Err(away("others register the same guard").into())
    }

    fn entry(&self, introduction: &Introduction) -> GuardEntry {
        GuardEntry {
            owner: self.run.to_string(),
            operator: introduction.operator.to_string(),
            tenant: introduction.tenant.to_string(),
            name: introduction.name.to_string(),
            version: introduction.version.to_string(),
            feed: introduction.feed.to_string(),
            max_staleness_ms: introduction.max_staleness_ms,
        }
    }

    /// Says that nobody is answered any more. To be called when no request is under way.
    pub(crate) async fn leave(&self) {
        self.leaving.send_replace(true);
        let mut left = self.left.subscribe();
        if timeout(LEAVE_WITHIN, left.wait_for(|left| *left)).await.is_err() {
            warn!("the registry was not told that this server stops; it counts by its bound");
        }
    }
}

/// A guard that another server may have given a lease before, under another bound.
fn after(before: Option<FleetEntry>, introduction: Introduction) -> Result<Introduction, NotHeard> {
    let before = before.and_then(|before| before.payload);
    let before = before.and_then(|bytes| serde_json::from_slice::<GuardEntry>(&bytes).ok());
    let Some(before) = before else { return Ok(introduction) };
    if before.operator != introduction.operator.to_string() {
        return Err(NotHeard::Elsewhere);
    }
    let bound = introduction.max_staleness_ms.max(before.max_staleness_ms);
    Ok(Introduction { max_staleness_ms: bound, ..introduction })
}

async fn hears(fleet: &Fleet, revision: u64) -> Result<(), FleetError> {
    let mut seen = fleet.registry_seen();
    match timeout(HEAR_WITHIN, seen.wait_for(|seen| *seen >= revision)).await {
        Ok(Ok(_)) => Ok(()),
        _ => Err(away("what was put there has not come back")),
    }
}

fn away(reason: &str) -> FleetError {
    FleetError { reason: reason.to_owned() }
}

/// Strings and numbers always make JSON.
fn bytes(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
