//! The tenants' tag secrets: read from their seals once, then held.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use domain::{Position, StreamName, TenantId};
use eventlog::{Queue, ReadError, SealStore};
use parking_lot::{Mutex, RwLock};
use wire::TagSecret;

use crate::ambient::Ambient;
use crate::application::Application;
use crate::outcome::CommandError;

/// How many tenants' secrets are held; the rest are read again. 10,000 tenants take about 1 MB.
const MAX_HELD: usize = 10_000;
/// How many lost seals are counted: each is looked for again whenever somebody asks how many there are.
const MAX_LOST: usize = 32;

#[derive(Debug)]
pub(crate) struct TagSecrets {
    seals: Arc<dyn SealStore>,
    held: RwLock<HashMap<TenantId, Arc<TagSecret>>>,
    /// Tenants whose seal was missed, until it is found again.
    lost: Mutex<BTreeSet<TenantId>>,
}

impl TagSecrets {
    pub(crate) fn new(seals: Arc<dyn SealStore>) -> Self {
        Self { seals, held: RwLock::default(), lost: Mutex::default() }
    }

    /// The secret of a tenant; none if it was never opened.
    pub(crate) async fn of(&self, tenant: &TenantId) -> Result<Option<Arc<TagSecret>>, ReadError> {
        if let Some(secret) = self.held.read().get(tenant) {
            return Ok(Some(Arc::clone(secret)));
        }
        match self.seals.seal(tenant).await? {
            None => Ok(None),
            Some(seal) => self.hold(tenant, &seal).map(Some),
        }
    }

    /// The secret of a tenant that is about to be opened: drawn and put first, so that an event never carries a tag whose
    /// secret could be lost. Of two servers that draw, both hold the one that was put first.
    pub(crate) async fn of_new(
        &self,
        tenant: &TenantId,
        ambient: &dyn Ambient,
    ) -> Result<Arc<TagSecret>, ReadError> {
        let drawn = TagSecret::draw(|bytes| ambient.fill(bytes));
        let seal = self.seals.put_seal_once(tenant, drawn.expose_for_seal()).await?;
        self.hold(tenant, &seal)
    }

    fn hold(&self, tenant: &TenantId, seal: &[u8]) -> Result<Arc<TagSecret>, ReadError> {
        let secret = TagSecret::from_seal(seal).ok_or_else(|| ReadError::Unavailable {
            reason: format!("the seal of tenant {tenant} is not 32 bytes"),
        })?;
        let secret = Arc::new(secret);
        let mut held = self.held.write();
        if held.len() >= MAX_HELD {
            held.clear();
        }
        held.insert(tenant.clone(), Arc::clone(&secret));
        drop(held);
        self.lost.lock().remove(tenant);
        Ok(secret)
    }

    fn miss(&self, tenant: &TenantId) {
        let mut lost = self.lost.lock();
        if lost.len() < MAX_LOST && lost.insert(tenant.clone()) {
            tracing::error!(
                %tenant,
                "the tenant's seal is lost: its keys can be verified and taken away, no more; put seals/{tenant}, or the bucket \
                 RESCIND_SEALS, back from the backup"
            );
        }
    }
}

impl Application {
    /// The tag secret of a tenant that must exist.
    ///
    /// # Errors
    /// [`CommandError::NotFound`], [`CommandError::SealMissing`] or [`CommandError::Unavailable`].
    pub(crate) async fn tag_secret(&self, tenant: &TenantId) -> Result<Arc<TagSecret>, CommandError> {
        let secret = self.tag_secrets.of(tenant).await.map_err(|error| CommandError::unavailable(&error))?;
        if let Some(secret) = secret {
            return Ok(secret);
        }
        // A tenant had its seal before its first event. To call one that stands missing would hide that the seal is lost.
        if self.index.tenant(tenant).is_none() {
            let stands = self.history(StreamName::Tenant(tenant.clone())).await?.last() != Position::NONE;
            stands.then_some(()).ok_or(CommandError::NotFound)?;
        }
        self.tag_secrets.miss(tenant);
        Err(CommandError::SealMissing { tenant: tenant.clone() })
    }

    /// The same for a command that does not depend on it. In place of a lost seal stand 32 zero bytes: the request tag made with
    /// them only tells repeats apart. It hides nothing then, and a repeat after the seal is back is `command_id_reused`.
    pub(crate) async fn tag_secret_or_none(&self, tenant: &TenantId) -> Result<Arc<TagSecret>, CommandError> {
        match self.tag_secret(tenant).await {
            Err(CommandError::SealMissing { .. }) => Ok(Arc::new(TagSecret::draw(|_zeros| {}))),
            found => found,
        }
    }

    /// The same for a command on its way into this queue. What is urgent takes something away, which a lost seal must not keep
    /// anybody from; what the service does by itself would only be tried again and again.
    pub(crate) async fn tag_secret_in(
        &self,
        queue: Queue,
        tenant: &TenantId,
    ) -> Result<Arc<TagSecret>, CommandError> {
        match queue {
            Queue::Normal => self.tag_secret(tenant).await,
            Queue::Urgent | Queue::Background => self.tag_secret_or_none(tenant).await,
        }
    }

    /// How many tenants' seals were missed and are still not there; up to a bound.
    pub async fn seals_lost(&self) -> usize {
        let missed: Vec<TenantId> = self.tag_secrets.lost.lock().iter().cloned().collect();
        for tenant in &missed {
            // One that is found takes itself off the list.
            let _ = self.tag_secrets.of(tenant).await;
        }
        self.tag_secrets.lost.lock().len()
    }

    /// Looks for the seals that every log has, so that a lost one is told before somebody needs it.
    pub async fn look_for_seals(&self) {
        let default: TenantId = TenantId::DEFAULT.parse().expect("the name keeps to the alphabet");
        for tenant in [default, TenantId::operators()] {
            // What is lost is logged, and shown as long as it is; what cannot be read now is told by whoever needs it.
            let _ = self.tag_secret(&tenant).await;
        }
    }
}
