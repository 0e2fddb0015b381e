//! `RenameKey`: people call the key otherwise.

use crate::attributes::Personal;
use crate::event::KeyRenamed;
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
use crate::life::Life;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Renames a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RenameKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// What it will be called; none takes its name away.
    pub name: Option<Personal>,
}

impl RenameKey {
    /// Decides on the key and its tenant as they are.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key, life: &Life) -> Result<KeyRenamed, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if life.grant.name == self.name {
            return Err(Refusal::Unchanged);
        }
        Ok(KeyRenamed { name: self.name.clone() })
    }
}
