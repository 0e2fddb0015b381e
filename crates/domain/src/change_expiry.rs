//! `ChangeExpiry`: the key's time is up at another moment.

use crate::admission;
use crate::event::KeyExpiryChanged;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Moves a key's expiry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChangeExpiry {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// When its time will be up; none means never.
    pub expires_at: Option<Timestamp>,
}

impl ChangeExpiry {
    /// Decides on the key and its tenant as they are at `now`. A key whose time is up may be given more as long as its
    /// expiry was not recorded. `last_operator` says that the service would be left without an administrator that stays.
    ///
    /// # Errors
    /// [`Refusal::Unchanged`], [`Refusal::ExpiryInPast`], [`Refusal::PolicyDenies`], [`Refusal::LastOperator`]; those of a
    /// key that has ended or cannot be read.
    pub fn decide(
        &self,
        tenant: &Tenant,
        key: &Key,
        last_operator: bool,
        now: Timestamp,
    ) -> Result<KeyExpiryChanged, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.expires_at == self.expires_at {
            return Err(Refusal::Unchanged);
        }
        if let Some(expires_at) = self.expires_at.filter(|at| *at <= now) {
            return Err(Refusal::ExpiryInPast { expires_at });
        }
        if last_operator && self.expires_at.is_some() {
            return Err(Refusal::LastOperator);
        }
        admission::admit_expiry(&tenant.policies, key, self.expires_at, now)?;
        Ok(KeyExpiryChanged { expires_at: self.expires_at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{
        EXPIRES_AT, GivenKey, KEY_ID, LATER, NOW, acme, denied_by, given_key, issued, issued_for_ever,
        policy, policy_set, refused_in_a_closed_tenant, refused_on_ended_keys,
    };
    use crate::policy::PolicyRules;
    use crate::selector::Selector;

    fn change_to(expires_at: Option<Timestamp>) -> impl Fn(&GivenKey) -> Result<KeyExpiryChanged, Refusal> {
        let command = ChangeExpiry { tenant: acme(), key_id: KEY_ID, expires_at };
        move |given| command.decide(&given.tenant, given.key(), given.last_operator, given.now)
    }

    #[test]
    fn an_expiry_is_moved_set_or_taken_away() {
        for (before, expires_at) in
            [(issued(), Some(LATER)), (issued(), None), (issued_for_ever(), Some(EXPIRES_AT))]
        {
            given_key([before]).when(change_to(expires_at)).then(KeyExpiryChanged { expires_at });
        }
    }

    #[test]
    fn a_key_whose_time_is_up_gets_more_until_that_is_recorded() {
        let longer = EXPIRES_AT.plus_millis(2);
        given_key([issued()])
            .at(EXPIRES_AT.plus_millis(1))
            .when(change_to(Some(longer)))
            .then(KeyExpiryChanged { expires_at: Some(longer) });
    }

    #[test]
    fn the_past_is_refused() {
        for expires_at in [NOW, Timestamp::from_millis(1)] {
            given_key([issued()])
                .when(change_to(Some(expires_at)))
                .refuses(Refusal::ExpiryInPast { expires_at });
        }
    }

    #[test]
    fn the_expiry_that_it_has_is_refused() {
        given_key([issued()]).when(change_to(Some(EXPIRES_AT))).refuses(Refusal::Unchanged);
        given_key([issued_for_ever()]).when(change_to(None)).refuses(Refusal::Unchanged);
    }

    #[test]
    fn the_last_operator_never_expires() {
        given_key([issued_for_ever()])
            .being_the_last_operator()
            .when(change_to(Some(LATER)))
            .refuses(Refusal::LastOperator);
    }

    #[test]
    fn a_policy_bounds_it_from_now() {
        let rules = PolicyRules { longest_lifetime_ms: Some(10_000), ..PolicyRules::default() };
        let given = given_key([issued()]).in_tenant([policy_set(policy("short", Selector::ALL, rules))]);
        given.when(change_to(Some(NOW.plus_millis(10_000)))).done();
        given.when(change_to(Some(NOW.plus_millis(10_001)))).refuses(denied_by("short", "longest_lifetime"));
        given.when(change_to(None)).refuses(denied_by("short", "longest_lifetime"));
    }

    #[test]
    fn a_key_that_has_ended_keeps_its_expiry() {
        refused_on_ended_keys(change_to(Some(LATER)));
        refused_in_a_closed_tenant(change_to(Some(LATER)));
    }
}
