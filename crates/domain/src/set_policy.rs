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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{acme, given_tenant, policy, policy_set, tenant_closed, tenant_opened};
    use crate::policy::PolicyRules;
    use crate::selector::Selector;

    fn idle_after(name: &str, ms: u64) -> Policy {
        let rules = PolicyRules { suspend_idle_after_ms: Some(ms), ..PolicyRules::default() };
        policy(name, Selector::ALL, rules)
    }

    fn set(policy: Policy) -> impl Fn(&Tenant) -> Result<PolicySet, Refusal> {
        let command = SetPolicy { tenant: acme(), policy };
        move |tenant| command.decide(tenant)
    }

    #[test]
    fn a_policy_is_set_and_replaced_by_one_of_its_name() {
        let (before, after) = (idle_after("idle", 5_000), idle_after("idle", 6_000));
        given_tenant([tenant_opened()]).when(set(before.clone())).then(PolicySet { policy: before.clone() });
        given_tenant([tenant_opened(), policy_set(before)])
            .when(set(after.clone()))
            .then(PolicySet { policy: after });
    }

    #[test]
    fn the_same_policy_again_is_refused() {
        let policy = idle_after("idle", 5_000);
        given_tenant([tenant_opened(), policy_set(policy.clone())])
            .when(set(policy))
            .refuses(Refusal::Unchanged);
    }

    #[test]
    fn a_full_tenant_takes_no_other_policy_but_replaces_one() {
        let all = (0..Policy::MAX_PER_TENANT).map(|n| policy_set(idle_after(&format!("idle-{n}"), 5_000)));
        let full = given_tenant([tenant_opened()].into_iter().chain(all));
        full.when(set(idle_after("one-more", 5_000))).refuses(Refusal::TooManyPolicies);
        full.when(set(idle_after("idle-7", 6_000))).done();
    }

    #[test]
    fn a_closed_tenant_takes_no_policy() {
        given_tenant([tenant_opened(), tenant_closed()])
            .when(set(idle_after("idle", 5_000)))
            .refuses(Refusal::TenantClosed);
    }
}
