//! The seals beside a log: all of them, from where they are to where they go.

use std::sync::Arc;

use domain::TenantId;
use eventlog::jetstream::JetStreamSeals;
use eventlog::{EmbeddedSeals, ReadError, SealStore};

use super::KeepError;

/// The seals of one log.
#[derive(Clone, Debug)]
pub(crate) enum Seals {
    Folder(EmbeddedSeals),
    Nats(Box<JetStreamSeals>),
}

impl Seals {
    pub(crate) async fn all(&self) -> Result<Vec<(TenantId, Vec<u8>)>, ReadError> {
        match self {
            Self::Folder(seals) => seals.all().await,
            Self::Nats(seals) => seals.all().await,
        }
    }

    fn store(&self) -> Arc<dyn SealStore> {
        match self {
            Self::Folder(seals) => Arc::new(seals.clone()),
            Self::Nats(seals) => Arc::new((**seals).clone()),
        }
    }

    /// Puts each of these there, durably; how many. One that differs from what stands is refused: it would open nothing.
    pub(super) async fn put_all(&self, seals: Vec<(TenantId, Vec<u8>)>) -> Result<usize, KeepError> {
        let (store, count) = (self.store(), seals.len());
        for (tenant, seal) in seals {
            if store.put_seal_once(&tenant, &seal).await? != seal {
                return Err(KeepError::SealDiffers { tenant });
            }
        }
        Ok(count)
    }
}
