//! `TransferKey`: the key belongs to another owner.

use crate::attributes::Owner;
use crate::event::KeyTransferred;
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
use crate::refusal::Refusal;

/// Gives a key to another owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// Whom it will belong to.
    pub owner: Owner,
}

impl TransferKey {
    /// Decides on the key as it is.
    ///
    /// # Errors
    /// [`Refusal::Unchanged`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, key: &Key) -> Result<KeyTransferred, Refusal> {
        key.changeable()?;
        if key.owner == self.owner.tag {
            return Err(Refusal::Unchanged);
        }
        Ok(KeyTransferred { owner: self.owner.clone() })
    }
}
