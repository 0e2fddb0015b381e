//! The seals beside a log: all of them, from where they are to where they go.

use eventlog::jetstream::JetStreamSeals;
use eventlog::{CarriedSeals, EmbeddedSeals, ReadError};

use super::KeepError;

/// The seals of one log.
#[derive(Clone, Debug)]
pub(crate) enum Seals {
    Folder(EmbeddedSeals),
    Nats(Box<JetStreamSeals>),
}

impl Seals {
    pub(crate) async fn carry(&self) -> Result<CarriedSeals, ReadError> {
        match self {
            Self::Folder(seals) => seals.carry().await,
            Self::Nats(seals) => seals.carry().await,
        }
    }

    /// Puts all of these there, durably; how many. A tenant's that differs from what stands is refused: it would open
    /// nothing.
    pub(super) async fn take_in(&self, seals: CarriedSeals) -> Result<usize, KeepError> {
        let count = seals.count();
        let differs = match self {
            Self::Folder(store) => store.take_in(seals).await?,
            Self::Nats(store) => store.take_in(seals).await?,
        };
        match differs {
            Some(tenant) => Err(KeepError::SealDiffers { tenant }),
            None => Ok(count),
        }
    }
}
