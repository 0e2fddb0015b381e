//! `CloseTenant`: the tenant takes no command any more, and its keys are refused.

use crate::attributes::Personal;
use crate::event::TenantClosed;
use crate::ids::TenantId;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Closes a tenant for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CloseTenant {
    /// Which tenant.
    pub tenant: TenantId,
    /// In somebody's words.
    pub note: Option<Personal>,
}

impl CloseTenant {
    /// Decides on the tenant as it is. The operators' own is never closed.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::NotForOperators`].
    pub fn decide(&self, tenant: &Tenant) -> Result<TenantClosed, Refusal> {
        tenant.open()?;
        if self.tenant.is_operators() {
            return Err(Refusal::NotForOperators);
        }
        Ok(TenantClosed { note: self.note.clone() })
    }
}
