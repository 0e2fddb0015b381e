//! An embedded log with its application and projection in this process, issuing at full speed; and a recall into that.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use application::{
    Ambient, Application, AskedGrant, AskedSelector, Confirmed, IssueRequest, LeaseState, RecallRequest,
    Request, SystemAmbient,
};
use domain::{
    Actor, Cause, CommandId, Environment, KeyId, Labels, LogId, Networks, OpenTenant, PersonalText, Position,
    Prefix, RevokeKey, RevokeReason, ScopeSet, TenantId,
};
use eventlog::{EmbeddedLog, EmbeddedSeals, EventLog, SealStore};
use projection::stores::DiskStores;
use projection::{Keeps, Projection, ProjectionConfig, Stage};
use tokio::time::Instant;
use verify::{KeyIndex, Moment, Verdict, VerifyRequest};

/// Owners among whom the keys are spread.
pub const OWNERS: usize = 100_000;
const SCOPE_SETS: usize = 20;
/// Callers at once, as many as the design asks for.
pub const CALLERS: usize = 256;
/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
pub(crate) const STALENESS: Duration = Duration::from_secs(5);
/// Of so many keys one is kept with its secret.
const KEPT_EVERY: usize = 50;

/// What goes wrong here.
pub type Failure = Box<dyn Error + Send + Sync>;

/// A node without a server around it.
pub struct Rush {
    application: Arc<Application>,
    /// The node's log.
    pub log: Arc<dyn EventLog>,
    /// The node's index.
    pub index: Arc<KeyIndex>,
    projection: Projection,
    ambient: Arc<dyn Ambient>,
}

/// A key that was issued in a rush.
pub struct Rushed {
    /// The whole key.
    pub key: String,
    /// Its id.
    pub key_id: KeyId,
    /// Where it was issued.
    pub position: Position,
}

/// A recall that was carried out.
#[derive(Clone, Copy, Debug)]
pub struct RushedRecall {
    /// Where it stands.
    pub position: Position,
    /// From the command to the answer.
    pub took: Duration,
    /// How many keys matched.
    pub count: usize,
}

impl Rush {
    /// Opens the node in a data folder as a server would make it.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub async fn start(data: &Path) -> Result<Self, Failure> {
        let log: Arc<dyn EventLog> =
            Arc::new(EmbeddedLog::open(&data.join("log.redb"), LogId::from_u128(1))?);
        let seals = Arc::new(EmbeddedSeals::open(&data.join("seals"))?);
        Self::on(log, seals, data, Keeps::Everything).await
    }

    /// The same on a log that is open, with its views in a data folder.
    ///
    /// # Errors
    /// When the folder cannot be used.
    pub async fn on(
        log: Arc<dyn EventLog>,
        seals: Arc<dyn SealStore>,
        data: &Path,
        keeps: Keeps,
    ) -> Result<Self, Failure> {
        let ambient: Arc<dyn Ambient> = Arc::new(SystemAmbient);
        let stores = Arc::new(DiskStores::open(&data.join("views"))?);
        let config = ProjectionConfig { stores, keeps, max_staleness: STALENESS };
        let projection = Projection::start(config, Arc::clone(&log)).await;
        let (lease, applied) = (Arc::new(LeaseState::default()), projection.applied());
        let index = Arc::clone(&projection.index);
        let application =
            Application::new(log.clone(), seals, index.clone(), applied, ambient.clone(), lease);
        Ok(Self { application: Arc::new(application), log, index, projection, ambient })
    }

    /// Opens the tenant that all keys are issued in.
    ///
    /// # Errors
    /// Those of the command.
    pub async fn open_tenant(&self) -> Result<(), Failure> {
        let command = OpenTenant { tenant: acme(), name: None, prefix: Prefix::default() };
        self.application
            .open_tenant(&request(CommandId::from_u128(self.ambient.draw_ulid())), command)
            .await?;
        Ok(())
    }

    /// Issues so many keys, all callers at once; answers some of them. `progress` counts them.
    ///
    /// # Errors
    /// That of the first issue that fails.
    pub async fn issue(&self, keys: usize, progress: &Arc<AtomicUsize>) -> Result<Vec<Rushed>, Failure> {
        self.issue_by(CALLERS, keys, KEPT_EVERY, progress).await
    }

    /// The same with so many callers; of so many keys one is answered.
    ///
    /// # Errors
    /// That of the first issue that fails.
    pub async fn issue_by(
        &self,
        callers: usize,
        keys: usize,
        kept_every: usize,
        progress: &Arc<AtomicUsize>,
    ) -> Result<Vec<Rushed>, Failure> {
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let (application, ambient) = (self.application.clone(), self.ambient.clone());
                let next = Arc::clone(progress);
                tokio::spawn(async move {
                    let mut kept = Vec::new();
                    loop {
                        let n = next.fetch_add(1, Ordering::Relaxed);
                        if n >= keys {
                            return Ok::<_, Failure>(kept);
                        }
                        let request = request(CommandId::from_u128(ambient.draw_ulid()));
                        let issued = application.issue_key(&request, asked(n)?).await?;
                        if let Some(key) = issued.key.filter(|_| n.is_multiple_of(kept_every)) {
                            kept.push(Rushed {
                                key: key.expose().to_owned(),
                                key_id: issued.key_id,
                                position: issued.changed.position,
                            });
                        }
                    }
                })
            })
            .collect();
        let mut kept = Vec::new();
        for caller in callers {
            kept.extend(caller.await??);
        }
        Ok(kept)
    }

    /// Revokes these keys, so many callers at once.
    ///
    /// # Errors
    /// That of the first command that fails.
    pub async fn revoke_by(&self, callers: usize, keys: Vec<KeyId>) -> Result<(), Failure> {
        let (keys, next) = (Arc::new(keys), Arc::new(AtomicUsize::new(0)));
        let callers: Vec<_> = (0..callers)
            .map(|_| {
                let (application, ambient) = (self.application.clone(), self.ambient.clone());
                let (keys, next) = (Arc::clone(&keys), Arc::clone(&next));
                tokio::spawn(async move {
                    while let Some(&key_id) = keys.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let request = request(CommandId::from_u128(ambient.draw_ulid()));
                        let reason = RevokeReason::Compromised;
                        let command = RevokeKey { tenant: acme(), key_id, reason, note: None };
                        application.revoke_key(&request, command).await?;
                    }
                    Ok::<_, Failure>(())
                })
            })
            .collect();
        for caller in callers {
            caller.await??;
        }
        Ok(())
    }

    /// Recalls every key of the tenant, whatever matches.
    ///
    /// # Errors
    /// Those of the command.
    pub async fn recall_all(&self) -> Result<RushedRecall, Failure> {
        let begun = Instant::now();
        let asked = RecallRequest {
            tenant: acme(),
            selector: AskedSelector::default(),
            reason: RevokeReason::Compromised,
            note: None,
            confirmed: Confirmed::IncludingNew,
            cascade: false,
        };
        let id = CommandId::from_u128(self.ambient.draw_ulid());
        let recalled = self.application.recall_keys(&request(id), asked).await?;
        let count = recalled.count.unwrap_or_default();
        Ok(RushedRecall { position: recalled.changed.position, took: begun.elapsed(), count })
    }

    /// What this node says of a key.
    #[must_use]
    pub fn verdict(&self, key: &str) -> Verdict {
        let boot_ms = self.ambient.boot_ms();
        self.index.prove_fresh(boot_ms);
        let request = VerifyRequest { token: key, tenant: None, scope: None, network: None };
        self.index.verify(&request, Moment { now: self.ambient.now(), boot_ms }).verdict
    }

    /// Waits until index and views show all that was acknowledged.
    pub async fn catch_up(&self) {
        let head: Position = *self.projection.applied().borrow();
        let behind = || {
            let progress = self.projection.progress();
            progress.iter().any(|view| view.status.stage != Stage::Ready || view.status.applied < head)
        };
        while behind() {
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Stops gracefully.
    pub async fn stop(self) {
        self.projection.stop().await;
    }
}

/// The tenant of the keys.
#[must_use]
pub fn acme() -> TenantId {
    "acme".parse().expect("a tenant id")
}

fn request(command_id: CommandId) -> Request {
    Request {
        actor: Actor::System,
        cause: Cause::Command,
        command_id,
        may_be_repeat: false,
        if_match: None,
        trace_context: None,
    }
}

fn asked(n: usize) -> Result<IssueRequest, Failure> {
    let grant = AskedGrant {
        environment: Environment::Live,
        name: Some(PersonalText::name(&format!("campaign {n}"))?),
        owner: PersonalText::name(&format!("sender-{:013}", n % OWNERS))?,
        scopes: ScopeSet::parse([format!("lists:read:{}", n % SCOPE_SETS), "campaigns:send".to_owned()])?,
        labels: Labels::new(vec![format!("service=mailer-{}", n % 50).parse()?])?,
        networks: Networks::default(),
        expires_at: None,
    };
    Ok(IssueRequest { tenant: acme(), grant, issuer: None })
}
