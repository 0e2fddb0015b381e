//! The two streams that make a key what it is: its own, and its tenant's, in which recalls stand.

use std::sync::Arc;

use domain::{KeyId, Position, StreamName, TenantId};
use eventlog::{Recorded, StreamId};

use super::scratch::Planted;
use super::{Past, PastError};

/// All that the log says of one key.
pub(super) struct Streams {
    pub(super) tenant: TenantId,
    pub(super) key_id: KeyId,
    pub(super) own: Vec<Recorded>,
    pub(super) of_tenant: Arc<[Recorded]>,
}

impl Past {
    pub(super) async fn read(&self, stream: &StreamName) -> Result<Vec<Recorded>, PastError> {
        Ok(self.log.read_stream(&StreamId::from(stream), Position::NONE).await?)
    }

    pub(super) async fn streams(&self, tenant: &TenantId, key_id: KeyId) -> Result<Streams, PastError> {
        let (own, of_tenant) = (StreamName::Key(tenant.clone(), key_id), StreamName::Tenant(tenant.clone()));
        let (own, of_tenant) = tokio::try_join!(self.read(&own), self.read(&of_tenant))?;
        Ok(Streams { tenant: tenant.clone(), key_id, own, of_tenant: of_tenant.into() })
    }
}

impl Streams {
    /// The events of both up to a position, in the order of the log.
    pub(super) fn up_to(&self, position: Position, planted: Planted) -> Vec<&Recorded> {
        let position = planted.end(position);
        let mut events: Vec<&Recorded> =
            self.own.iter().chain(&*self.of_tenant).filter(|event| event.position <= position).collect();
        events.sort_unstable_by_key(|event| event.position);
        events
    }
}
