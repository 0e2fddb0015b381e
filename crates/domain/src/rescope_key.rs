//! `RescopeKey`: the key may do other things.

use crate::admission;
use crate::event::KeyRescoped;
use crate::ids::{KeyId, TenantId};
use crate::issue_key::Issuer;
use crate::key::Key;
use crate::operator::{self, Permission};
use crate::refusal::Refusal;
use crate::scope::{Scope, ScopeSet};
use crate::tenant::Tenant;

/// Whether who asks may give a key more than it has, which is a kind of issuing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Widening {
    /// Holds `keys:issue`.
    Allowed,
    /// May only take away.
    Refused,
}

/// Changes what a key may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RescopeKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// All that it will be able to do.
    pub scopes: ScopeSet,
    /// Who asks.
    pub by: Issuer,
    /// Whether that may give more than the key has.
    pub widening: Widening,
}

impl RescopeKey {
    /// Decides on the key and its tenant as they are. `last_operator` says that the service would be left without an
    /// administrator if the key lost `tenants:admin`.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`], [`Refusal::WideningNeedsIssue`], [`Refusal::PolicyDenies`], in the
    /// operators' tenant [`Refusal::ScopeNotHeld`], [`Refusal::LastOperator`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key, last_operator: bool) -> Result<KeyRescoped, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.scopes == self.scopes {
            return Err(Refusal::Unchanged);
        }
        let gained = self.gained(&key.scopes);
        if !gained.is_empty() && self.widening == Widening::Refused {
            return Err(Refusal::WideningNeedsIssue);
        }
        self.by.may_grant(&self.tenant, gained.iter().copied())?;
        if last_operator && !operator::permits_everywhere(&self.scopes, Permission::TenantsAdmin) {
            return Err(Refusal::LastOperator);
        }
        // Taking away is always possible, even where a policy that came later wants still less.
        if !gained.is_empty() {
            let changed = Key { scopes: self.scopes.clone(), ..key.clone() };
            admission::admit_change(&tenant.policies, key, &changed)?;
        }
        Ok(KeyRescoped { scopes: self.scopes.clone() })
    }

    /// The scopes that go beyond what the key holds. Among operators a scope bound to a tenant is less than the same one free.
    fn gained(&self, held: &ScopeSet) -> Vec<&Scope> {
        let goes_beyond = |scope: &&Scope| match self.tenant.is_operators() {
            true => !operator::holds(held, scope),
            false => !held.covers(scope),
        };
        self.scopes.iter().filter(goes_beyond).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{
        GivenKey, KEY_ID, acme, denied_by, given_key, grant, issued, issued_as, policy, policy_set,
        refused_in_a_closed_tenant, refused_on_ended_keys, scopes,
    };
    use crate::grant::Grant;
    use crate::policy::PolicyRules;
    use crate::selector::Selector;

    fn rescope(to: &[&str], widening: Widening) -> impl Fn(&GivenKey) -> Result<KeyRescoped, Refusal> {
        in_tenant(acme(), &[], to, widening)
    }

    fn in_tenant(
        tenant: TenantId,
        held: &[&str],
        to: &[&str],
        widening: Widening,
    ) -> impl Fn(&GivenKey) -> Result<KeyRescoped, Refusal> {
        let by = Issuer { key_id: KeyId::from_u128(9), scopes: scopes(held) };
        let command = RescopeKey { tenant, key_id: KEY_ID, scopes: scopes(to), by, widening };
        move |given| command.decide(&given.tenant, given.key(), given.last_operator)
    }

    fn given_scopes(texts: &[&str]) -> GivenKey {
        given_key([issued_as(Grant { scopes: scopes(texts), ..grant() })])
    }

    #[test]
    fn taking_away_needs_no_right_to_issue() {
        for (from, to) in [
            (&["campaigns:send", "lists:read"][..], &["lists:read"][..]),
            (&["lists:*"], &["lists:read", "lists:read:all"]),
            (&["*"], &["campaigns:*"]),
            (&["lists:read"], &[]),
        ] {
            given_scopes(from).when(rescope(to, Widening::Refused)).then(KeyRescoped { scopes: scopes(to) });
        }
    }

    #[test]
    fn giving_more_needs_the_right_to_issue() {
        for (from, to) in [
            (&["campaigns:send"][..], &["campaigns:send", "lists:read"][..]),
            (&["lists:read"], &["lists:*"]),
            (&["lists:*"], &["lists"]),
            (&["lists:*"], &["*"]),
            (&[], &["lists:read"]),
        ] {
            let given = given_scopes(from);
            given.when(rescope(to, Widening::Refused)).refuses(Refusal::WideningNeedsIssue);
            given.when(rescope(to, Widening::Allowed)).then(KeyRescoped { scopes: scopes(to) });
        }
    }

    #[test]
    fn the_scopes_that_it_has_are_refused() {
        given_key([issued()])
            .when(rescope(&["campaigns:send"], Widening::Allowed))
            .refuses(Refusal::Unchanged);
    }

    #[test]
    fn an_operator_gives_another_only_what_it_holds_itself() {
        let given = given_scopes(&["verify"]);
        let rescope = |held: &[&str], to: &[&str]| {
            given.when(in_tenant(TenantId::operators(), held, to, Widening::Allowed))
        };
        rescope(&["keys:read"], &["verify", "keys:read"]).done();
        rescope(&["keys:read"], &["keys:read", "feed"])
            .refuses(Refusal::ScopeNotHeld { scope: "feed".parse().unwrap() });
        rescope(&["acme/keys:read"], &["keys:read"])
            .refuses(Refusal::ScopeNotHeld { scope: "keys:read".parse().unwrap() });
    }

    #[test]
    fn binding_an_operator_to_one_tenant_takes_away() {
        given_scopes(&["verify"])
            .when(in_tenant(TenantId::operators(), &[], &["acme/verify"], Widening::Refused))
            .done();
        // Elsewhere the slash means nothing.
        given_scopes(&["verify"])
            .when(rescope(&["acme/verify"], Widening::Refused))
            .refuses(Refusal::WideningNeedsIssue);
    }

    #[test]
    fn the_last_operator_goes_on_administering() {
        let given = given_scopes(&["tenants:admin", "verify"]).being_the_last_operator();
        let to =
            |scopes: &[&str]| given.when(in_tenant(TenantId::operators(), &["*"], scopes, Widening::Allowed));
        to(&["verify"]).refuses(Refusal::LastOperator);
        to(&["acme/tenants:admin"]).refuses(Refusal::LastOperator);
        to(&["tenants:admin"]).done();
        to(&["*"]).done();
    }

    #[test]
    fn a_policy_stops_what_is_given_and_never_what_is_taken_away() {
        let rules = PolicyRules { scopes_denied: scopes(&["lists:delete"]), ..PolicyRules::default() };
        let given = given_scopes(&["lists:delete", "lists:read"]).in_tenant([policy_set(policy(
            "keep-lists",
            Selector::ALL,
            rules,
        ))]);
        given
            .when(rescope(&["lists:*"], Widening::Allowed))
            .refuses(denied_by("keep-lists", "scopes_denied"));
        given.when(rescope(&["lists:delete"], Widening::Refused)).done();
        given.when(rescope(&["lists:read", "campaigns:send"], Widening::Allowed)).done();
    }

    #[test]
    fn a_key_that_has_ended_keeps_its_scopes() {
        refused_on_ended_keys(rescope(&[], Widening::Allowed));
        refused_in_a_closed_tenant(rescope(&[], Widening::Allowed));
    }
}
