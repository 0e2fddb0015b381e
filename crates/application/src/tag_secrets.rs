//! The tenants' tag secrets: read from their seals once, then held.

use std::collections::HashMap;
use std::sync::Arc;

use domain::TenantId;
use eventlog::{ReadError, SealStore};
use parking_lot::RwLock;
use wire::TagSecret;

use crate::ambient::Ambient;

/// How many tenants' secrets are held; the rest are read again. 10,000 tenants take about 1 MB.
const MAX_HELD: usize = 10_000;

#[derive(Debug)]
pub(crate) struct TagSecrets {
    seals: Arc<dyn SealStore>,
    held: RwLock<HashMap<TenantId, Arc<TagSecret>>>,
}

impl TagSecrets {
    pub(crate) fn new(seals: Arc<dyn SealStore>) -> Self {
        Self { seals, held: RwLock::new(HashMap::new()) }
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
        Ok(secret)
    }
}
