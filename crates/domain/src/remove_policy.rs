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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::given::{acme, given_tenant, policy, policy_set, tenant_closed, tenant_opened};
    use crate::policy::PolicyRules;
    use crate::selector::Selector;

    fn named(name: &str) -> Event {
        let rules = PolicyRules { networks_required: true, ..PolicyRules::default() };
        policy_set(policy(name, Selector::ALL, rules))
    }

    fn remove(tenant: &Tenant) -> Result<PolicyRemoved, Refusal> {
        RemovePolicy { tenant: acme(), name: "at-home".parse().unwrap() }.decide(tenant)
    }

    #[test]
    fn a_policy_is_removed_once() {
        let removed = PolicyRemoved { name: "at-home".parse().unwrap() };
        given_tenant([tenant_opened(), named("at-home")]).when(remove).then(removed.clone());
        given_tenant([tenant_opened(), named("at-home"), Event::PolicyRemoved(removed)])
            .when(remove)
            .refuses(Refusal::NoSuchPolicy { policy: "at-home".parse().unwrap() });
    }

    #[test]
    fn a_policy_that_is_not_there_is_refused() {
        given_tenant([tenant_opened(), named("elsewhere")])
            .when(remove)
            .refuses(Refusal::NoSuchPolicy { policy: "at-home".parse().unwrap() });
    }

    #[test]
    fn a_closed_tenant_keeps_its_policies() {
        given_tenant([tenant_opened(), named("at-home"), tenant_closed()])
            .when(remove)
            .refuses(Refusal::TenantClosed);
    }
}
