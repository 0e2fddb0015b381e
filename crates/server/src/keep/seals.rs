//! The seals beside a log, all of them, put where they go.

use eventlog::{CarriedSeals, SealStore};

use super::KeepError;

/// Puts all of these there, durably; how many. A tenant's that differs from what stands is refused: it would open nothing.
pub(super) async fn take_in(store: &dyn SealStore, seals: CarriedSeals) -> Result<usize, KeepError> {
    let count = seals.count();
    match store.take_in(seals).await? {
        Some(tenant) => Err(KeepError::SealDiffers { tenant }),
        None => Ok(count),
    }
}
