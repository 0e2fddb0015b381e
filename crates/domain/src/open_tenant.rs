//! `OpenTenant`: from here on keys can be issued in it.

use crate::attributes::Personal;
use crate::event::TenantOpened;
use crate::ids::TenantId;
use crate::key_format::Prefix;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Opens a tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenTenant {
    /// The id it will have for ever.
    pub tenant: TenantId,
    /// What people call it.
    pub name: Option<Personal>,
    /// What its keys begin with.
    pub prefix: Prefix,
}

impl OpenTenant {
    /// Decides on the tenant as it is.
    ///
    /// # Errors
    /// [`Refusal::TenantAlreadyOpen`] when it exists, closed or not.
    pub fn decide(&self, tenant: Option<&Tenant>) -> Result<TenantOpened, Refusal> {
        match tenant {
            Some(_) => Err(Refusal::TenantAlreadyOpen),
            None => Ok(TenantOpened { name: self.name.clone(), prefix: self.prefix.clone() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{Decided, acme, given_tenant, tenant_closed, tenant_opened};

    fn open(tenant: Option<&Tenant>) -> Decided<TenantOpened> {
        Decided(OpenTenant { tenant: acme(), name: None, prefix: Prefix::default() }.decide(tenant))
    }

    #[test]
    fn a_new_tenant_is_opened() {
        open(None).then(TenantOpened { name: None, prefix: Prefix::default() });
    }

    #[test]
    fn opening_twice_is_refused_also_when_it_was_closed() {
        let open_still = given_tenant([tenant_opened()]);
        let closed = given_tenant([tenant_opened(), tenant_closed()]);
        for tenant in [open_still, closed] {
            open(tenant.0.as_ref()).refuses(Refusal::TenantAlreadyOpen);
        }
    }
}
