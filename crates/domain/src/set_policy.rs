//! `SetPolicy`: a policy holds from here on.

use crate::event::PolicySet;
use crate::ids::TenantId;
use crate::policy::Policy;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Sets a policy, in place of the one of that name if there is one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetPolicy {
    /// Where it will hold.
    pub tenant: TenantId,
    /// What it says.
    pub policy: Policy,
}

impl SetPolicy {
    /// Decides on the tenant as it is.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`], [`Refusal::TooManyPolicies`].
    pub fn decide(&self, tenant: &Tenant) -> Result<PolicySet, Refusal> {
        tenant.open()?;
        match tenant.policies.iter().find(|policy| policy.name == self.policy.name) {
            Some(before) if *before == self.policy => Err(Refusal::Unchanged),
            None if tenant.policies.len() >= Policy::MAX_PER_TENANT => Err(Refusal::TooManyPolicies),
            _ => Ok(PolicySet { policy: self.policy.clone() }),
        }
    }
}
