//! `ReinstateKey`: a suspended key may be used again.

use crate::attributes::Personal;
use crate::event::KeyReinstated;
use crate::ids::{KeyId, TenantId};
use crate::key::{Key, Standing};
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Reinstates a suspended key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReinstateKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// In somebody's words.
    pub note: Option<Personal>,
}

impl ReinstateKey {
    /// Decides on the key and its tenant as they are.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::NotSuspended`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key) -> Result<KeyReinstated, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.standing != Standing::Suspended {
            return Err(Refusal::NotSuspended);
        }
        Ok(KeyReinstated { note: self.note.clone() })
    }
}
