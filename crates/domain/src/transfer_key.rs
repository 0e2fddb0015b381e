//! `TransferKey`: the key belongs to another owner.

use crate::admission;
use crate::attributes::Owner;
use crate::event::KeyTransferred;
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Gives a key to another owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// Whom it will belong to.
    pub owner: Owner,
}

impl TransferKey {
    /// Decides on the key and its tenant as they are.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`], [`Refusal::PolicyDenies`] by a policy that is about the key only
    /// then; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key) -> Result<KeyTransferred, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.owner == self.owner.tag {
            return Err(Refusal::Unchanged);
        }
        let changed = Key { owner: self.owner.tag, ..key.clone() };
        admission::admit_change(&tenant.policies, key, &changed)?;
        Ok(KeyTransferred { owner: self.owner.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{
        GivenKey, KEY_ID, acme, denied_by, given_key, issued, owner, policy, policy_set,
        refused_in_a_closed_tenant, refused_on_ended_keys, scopes, suspended,
    };
    use crate::policy::PolicyRules;
    use crate::selector::Selector;

    fn transfer(owner: Owner) -> impl Fn(&GivenKey) -> Result<KeyTransferred, Refusal> {
        let command = TransferKey { tenant: acme(), key_id: KEY_ID, owner };
        move |given| command.decide(&given.tenant, given.key())
    }

    #[test]
    fn a_key_goes_to_another_owner() {
        let lists = owner(6, "lists-team");
        given_key([issued()]).when(transfer(lists.clone())).then(KeyTransferred { owner: lists.clone() });
        given_key([issued(), suspended(None)]).when(transfer(lists)).done();
    }

    #[test]
    fn its_own_owner_is_refused_however_written() {
        given_key([issued()]).when(transfer(owner(5, "Sender Team"))).refuses(Refusal::Unchanged);
    }

    #[test]
    fn an_owner_whose_policy_the_key_breaks_is_refused() {
        let lists = owner(6, "lists-team");
        let selector = Selector { owner: Some(lists.clone()), ..Selector::default() };
        let rules = PolicyRules { scopes_denied: scopes(&["campaigns:*"]), ..PolicyRules::default() };
        given_key([issued()])
            .in_tenant([policy_set(policy("no-campaigns", selector, rules))])
            .when(transfer(lists))
            .refuses(denied_by("no-campaigns", "scopes_denied"));
    }

    #[test]
    fn a_key_that_has_ended_keeps_its_owner() {
        refused_on_ended_keys(transfer(owner(6, "lists-team")));
        refused_in_a_closed_tenant(transfer(owner(6, "lists-team")));
    }
}
