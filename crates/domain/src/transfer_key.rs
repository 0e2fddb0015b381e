//! `TransferKey`: the key belongs to another owner.

use crate::attributes::Owner;
use crate::event::KeyTransferred;
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
use crate::policy;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

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
    /// Decides on the key and its tenant as they are.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`], [`Refusal::PolicyDenies`] by a policy that is about the key only
    /// then; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key) -> Result<KeyTransferred, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.owner == self.owner.tag {
            return Err(Refusal::Unchanged);
        }
        let changed = Key { owner: self.owner.tag, ..key.clone() };
        policy::admit_change(&tenant.policies, key, &changed)?;
        Ok(KeyTransferred { owner: self.owner.clone() })
    }
}
