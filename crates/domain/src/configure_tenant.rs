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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{
        GivenTenant, acme, given_tenant, suspends_what_leaks, tenant_closed, tenant_opened, text,
    };

    fn nothing() -> ConfigureTenant {
        ConfigureTenant { tenant: acme(), name: None, prefix: None, leak_response: None }
    }

    fn named() -> TenantConfigured {
        TenantConfigured {
            name: Some(text("Acme")),
            prefix: "acme".parse().unwrap(),
            leak_response: LeakResponse::Revoke,
        }
    }

    fn given_named() -> GivenTenant {
        given_tenant([tenant_opened(), crate::event::Event::TenantConfigured(named())])
    }

    #[test]
    fn what_is_absent_stays() {
        for (command, after) in [
            (ConfigureTenant { name: Some(None), ..nothing() }, TenantConfigured { name: None, ..named() }),
            (
                ConfigureTenant { prefix: Some("snd".parse().unwrap()), ..nothing() },
                TenantConfigured { prefix: "snd".parse().unwrap(), ..named() },
            ),
            (
                ConfigureTenant { leak_response: Some(LeakResponse::Suspend), ..nothing() },
                TenantConfigured { leak_response: LeakResponse::Suspend, ..named() },
            ),
        ] {
            given_named().when(|tenant| command.decide(tenant)).then(after);
        }
    }

    #[test]
    fn what_is_so_already_is_refused() {
        given_named().when(|tenant| nothing().decide(tenant)).refuses(Refusal::Unchanged);
        let command = ConfigureTenant { leak_response: Some(LeakResponse::Suspend), ..nothing() };
        given_tenant([tenant_opened(), suspends_what_leaks()])
            .when(|tenant| command.decide(tenant))
            .refuses(Refusal::Unchanged);
    }

    #[test]
    fn a_closed_tenant_stays_as_it_was() {
        let command = ConfigureTenant { name: Some(Some(text("Acme"))), ..nothing() };
        given_tenant([tenant_opened(), tenant_closed()])
            .when(|tenant| command.decide(tenant))
            .refuses(Refusal::TenantClosed);
    }
}
