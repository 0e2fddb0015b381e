//! `RescopeKey`: the key may do other things.

use crate::event::KeyRescoped;
use crate::ids::{KeyId, TenantId};
use crate::issue_key::Issuer;
use crate::key::Key;
use crate::operator::{self, Permission};
use crate::policy;
use crate::refusal::Refusal;
use crate::scope::{Scope, ScopeSet};
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
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`], [`Refusal::WideningNeedsIssue`], [`Refusal::PolicyDenies`], in the
    /// operators' tenant [`Refusal::ScopeNotHeld`], [`Refusal::LastOperator`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key, last_operator: bool) -> Result<KeyRescoped, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.scopes == self.scopes {
            return Err(Refusal::Unchanged);
        }
        let gained = self.gained(&key.scopes);
        if !gained.is_empty() && self.widening == Widening::Refused {
            return Err(Refusal::WideningNeedsIssue);
        }
        self.by.may_grant(&self.tenant, gained.iter().copied())?;
        if last_operator && !operator::permits_everywhere(&self.scopes, Permission::TenantsAdmin) {
            return Err(Refusal::LastOperator);
        }
        // Taking away is always possible, even where a policy that came later wants still less.
        if !gained.is_empty() {
            let changed = Key { scopes: self.scopes.clone(), ..key.clone() };
            policy::admit_change(&tenant.policies, key, &changed)?;
        }
        Ok(KeyRescoped { scopes: self.scopes.clone() })
    }

    /// The scopes that go beyond what the key holds. Among operators a scope bound to a tenant is less than the same one free.
    fn gained(&self, held: &ScopeSet) -> Vec<&Scope> {
        let goes_beyond = |scope: &&Scope| match self.tenant.is_operators() {
            true => !operator::holds(held, scope),
            false => !held.covers(scope),
        };
        self.scopes.iter().filter(goes_beyond).collect()
    }
}
