//! `RestrictKey`: the key may be used from other networks.

use crate::admission;
use crate::attributes::Networks;
use crate::event::KeyRestricted;
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::rescope_key::Widening;
use crate::tenant::Tenant;

/// Changes where a key may be used from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RestrictKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// All networks that it may be used from; none means anywhere.
    pub networks: Networks,
    /// Whether who asks may let it be used from more places than before.
    pub widening: Widening,
}

impl RestrictKey {
    /// Decides on the key and its tenant as they are.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`], [`Refusal::WideningNeedsIssue`], [`Refusal::PolicyDenies`]; those of
    /// a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key) -> Result<KeyRestricted, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.networks == self.networks {
            return Err(Refusal::Unchanged);
        }
        if self.widening == Widening::Refused && !key.networks.contain(&self.networks) {
            return Err(Refusal::WideningNeedsIssue);
        }
        let changed = Key { networks: self.networks.clone(), ..key.clone() };
        admission::admit_change(&tenant.policies, key, &changed)?;
        Ok(KeyRestricted { networks: self.networks.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{
        GivenKey, KEY_ID, acme, denied_by, given_key, grant, issued, issued_as, networks, policy, policy_set,
        refused_in_a_closed_tenant, refused_on_ended_keys, scopes,
    };
    use crate::grant::Grant;
    use crate::policy::PolicyRules;
    use crate::selector::Selector;

    fn restrict(to: &[&str], widening: Widening) -> impl Fn(&GivenKey) -> Result<KeyRestricted, Refusal> {
        let command = RestrictKey { tenant: acme(), key_id: KEY_ID, networks: networks(to), widening };
        move |given| command.decide(&given.tenant, given.key())
    }

    fn given_networks(texts: &[&str]) -> GivenKey {
        given_key([issued_as(Grant { networks: networks(texts), ..grant() })])
    }

    #[test]
    fn fewer_places_need_no_right_to_issue() {
        for (from, to) in [
            (&["192.0.2.0/24"][..], &["192.0.2.0/25", "192.0.2.200"][..]),
            (&["192.0.2.0/24", "2001:db8::/32"], &["2001:db8:1::/48"]),
            (&[], &["192.0.2.0/24"]),
        ] {
            given_networks(from)
                .when(restrict(to, Widening::Refused))
                .then(KeyRestricted { networks: networks(to) });
        }
    }

    #[test]
    fn more_places_need_the_right_to_issue() {
        for (from, to) in [
            (&["192.0.2.0/24"][..], &["192.0.0.0/16"][..]),
            (&["192.0.2.0/24"], &["192.0.2.0/24", "198.51.100.7"]),
            (&["192.0.2.0/24"], &["::/0"]),
            (&["192.0.2.0/24"], &[]),
        ] {
            let given = given_networks(from);
            given.when(restrict(to, Widening::Refused)).refuses(Refusal::WideningNeedsIssue);
            given.when(restrict(to, Widening::Allowed)).then(KeyRestricted { networks: networks(to) });
        }
    }

    #[test]
    fn the_networks_that_it_has_are_refused() {
        given_key([issued()])
            .when(restrict(&["192.0.2.0/24"], Widening::Allowed))
            .refuses(Refusal::Unchanged);
    }

    #[test]
    fn a_policy_about_networks_counts_and_one_about_scopes_does_not() {
        let rules = PolicyRules {
            networks_required: true,
            networks_allowed: networks(&["192.0.0.0/16"]),
            scopes_denied: scopes(&["campaigns:*"]),
            ..PolicyRules::default()
        };
        let given = given_key([issued()]).in_tenant([policy_set(policy("at-home", Selector::ALL, rules))]);
        given.when(restrict(&[], Widening::Allowed)).refuses(denied_by("at-home", "networks_required"));
        given
            .when(restrict(&["198.51.100.7"], Widening::Allowed))
            .refuses(denied_by("at-home", "networks_allowed"));
        given.when(restrict(&["192.0.3.0/24"], Widening::Allowed)).done();
    }

    #[test]
    fn a_key_that_has_ended_keeps_its_networks() {
        refused_on_ended_keys(restrict(&[], Widening::Allowed));
        refused_in_a_closed_tenant(restrict(&[], Widening::Allowed));
    }
}
