//! `RescopeKey`: the key may do other things.

use crate::event::KeyRescoped;
use crate::ids::{KeyId, TenantId};
use crate::issue_key::Issuer;
use crate::key::Key;
use crate::policy;
use crate::refusal::Refusal;
use crate::scope::ScopeSet;
use crate::tenant::Tenant;

/// Whether who asks may give a key more than it has, which is a kind of issuing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widening {
    /// Holds `keys:issue`.
    Allowed,
    /// May only take away.
    Refused,
}

/// Changes what a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RescopeKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// All that it will be able to do.
    pub scopes: ScopeSet,
    /// Who asks.
    pub by: Issuer,
    /// Whether that may give more than the key has.
    pub widening: Widening,
}

impl RescopeKey {
    /// Decides on the key and its tenant as they are. `last_operator` says that the service would be left without an
    /// administrator if the key lost `tenants:admin`.
    ///
    /// # Errors
    /// [`Refusal::Unchanged`], [`Refusal::WideningNeedsIssue`], [`Refusal::ScopeNotHeld`], [`Refusal::PolicyDenies`],
    /// [`Refusal::LastOperator`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key, last_operator: bool) -> Result<KeyRescoped, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.scopes == self.scopes {
            return Err(Refusal::Unchanged);
        }
        if key.scopes.first_not_covered(&self.scopes).is_some() {
            if self.widening == Widening::Refused {
                return Err(Refusal::WideningNeedsIssue);
            }
            self.by.may_grant(&self.tenant, &self.scopes)?;
        }
        let administers = crate::operator::permits_everywhere(&self.scopes, crate::Permission::TenantsAdmin);
        if last_operator && !administers {
            return Err(Refusal::LastOperator);
        }
        let changed = Key { scopes: self.scopes.clone(), ..key.clone() };
        policy::admit_key(&tenant.policies, &changed)?;
        Ok(KeyRescoped { scopes: self.scopes.clone() })
    }
}
