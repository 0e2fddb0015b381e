//! `RestrictKey`: the key may be used from other networks.

use crate::attributes::Networks;
use crate::event::KeyRestricted;
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
use crate::policy;
use crate::refusal::Refusal;
use crate::rescope_key::Widening;
use crate::tenant::Tenant;

/// Changes where a key may be used from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestrictKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// All networks that it may be used from; none means anywhere.
    pub networks: Networks,
    /// Whether who asks may let it be used from more places than before.
    pub widening: Widening,
}

impl RestrictKey {
    /// Decides on the key and its tenant as they are.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`], [`Refusal::WideningNeedsIssue`], [`Refusal::PolicyDenies`]; those of
    /// a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key) -> Result<KeyRestricted, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.networks == self.networks {
            return Err(Refusal::Unchanged);
        }
        if self.widening == Widening::Refused && !key.networks.contain(&self.networks) {
            return Err(Refusal::WideningNeedsIssue);
        }
        let changed = Key { networks: self.networks.clone(), ..key.clone() };
        policy::admit_change(&tenant.policies, key, &changed)?;
        Ok(KeyRestricted { networks: self.networks.clone() })
    }
}
