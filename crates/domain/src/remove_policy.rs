//! `RemovePolicy`: a policy holds no longer.

use crate::event::PolicyRemoved;
use crate::ids::TenantId;
use crate::policy::PolicyName;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Removes a policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemovePolicy {
    /// Where it holds.
    pub tenant: TenantId,
    /// Which.
    pub name: PolicyName,
}

impl RemovePolicy {
    /// Decides on the tenant as it is.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::NoSuchPolicy`].
    pub fn decide(&self, tenant: &Tenant) -> Result<PolicyRemoved, Refusal> {
        tenant.open()?;
        if tenant.policies.iter().any(|policy| policy.name == self.name) {
            Ok(PolicyRemoved { name: self.name.clone() })
        } else {
            Err(Refusal::NoSuchPolicy { policy: self.name.clone() })
        }
    }
}
