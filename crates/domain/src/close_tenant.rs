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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{acme, given_tenant, tenant_closed, tenant_opened, text};

    fn close(tenant: TenantId) -> CloseTenant {
        CloseTenant { tenant, note: Some(text("moved away")) }
    }

    #[test]
    fn a_tenant_is_closed_once() {
        given_tenant([tenant_opened()])
            .when(|tenant| close(acme()).decide(tenant))
            .then(TenantClosed { note: Some(text("moved away")) });
        given_tenant([tenant_opened(), tenant_closed()])
            .when(|tenant| close(acme()).decide(tenant))
            .refuses(Refusal::TenantClosed);
    }

    #[test]
    fn the_operators_tenant_is_never_closed() {
        given_tenant([tenant_opened()])
            .when(|tenant| close(TenantId::operators()).decide(tenant))
            .refuses(Refusal::NotForOperators);
    }
}
