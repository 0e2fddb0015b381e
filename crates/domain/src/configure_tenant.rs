//! `ConfigureTenant`: the tenant has other settings.

use crate::attributes::Personal;
use crate::event::TenantConfigured;
use crate::ids::TenantId;
use crate::key_format::Prefix;
use crate::leak::LeakResponse;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Changes a tenant's settings; what is absent stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigureTenant {
    /// Which tenant.
    pub tenant: TenantId,
    /// What people will call it; the inner none takes its name away.
    pub name: Option<Option<Personal>>,
    /// What its new keys will begin with; those that exist stay valid.
    pub prefix: Option<Prefix>,
    /// What will happen to a key that is reported as leaked.
    pub leak_response: Option<LeakResponse>,
}

impl ConfigureTenant {
    /// Decides on the tenant as it is.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`].
    pub fn decide(&self, tenant: &Tenant) -> Result<TenantConfigured, Refusal> {
        tenant.open()?;
        let before = TenantConfigured {
            name: tenant.name.clone(),
            prefix: tenant.prefix.clone(),
            leak_response: tenant.leak_response,
        };
        let after = TenantConfigured {
            name: self.name.clone().unwrap_or_else(|| before.name.clone()),
            prefix: self.prefix.clone().unwrap_or_else(|| before.prefix.clone()),
            leak_response: self.leak_response.unwrap_or(before.leak_response),
        };
        if before == after { Err(Refusal::Unchanged) } else { Ok(after) }
    }
}
