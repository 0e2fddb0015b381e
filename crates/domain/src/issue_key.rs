//! `IssueKey`: a key exists from here on; who asked sees its secret once.

use sha2::{Digest, Sha256};
use ulid::Ulid;

use crate::admission;
use crate::event::KeyIssued;
use crate::grant::Grant;
use crate::ids::{CommandId, KeyId, TenantId, Timestamp};
use crate::key::Key;
use crate::operator;
use crate::refusal::Refusal;
use crate::scope::{Scope, ScopeSet};
use crate::secret::SecretDigest;
use crate::tenant::Tenant;

/// Issues a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssueKey {
    /// Where it will belong.
    pub tenant: TenantId,
    /// What comes with it.
    pub grant: Grant,
    /// The key that issues it; none for the first operator.
    pub issuer: Option<Issuer>,
}

/// Who issues a key, as far as the decision needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Issuer {
    /// The issuing key.
    pub key_id: KeyId,
    /// What that key may do.
    pub scopes: ScopeSet,
}

impl IssueKey {
    /// The id of the key that this command id makes in this tenant: derived, not drawn, so that a repeat meets the stream of
    /// the first attempt. Where the command id is a ULID its time is kept, so that keys sort by age.
    #[must_use]
    pub fn key_id(tenant: &TenantId, command_id: &CommandId) -> KeyId {
        let mut hash = Sha256::new();
        hash.update(b"rescind key id\0");
        hash.update(tenant.as_str());
        hash.update(b"\0");
        hash.update(command_id.as_str());
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash.finalize()[..16]);
        let hashed = u128::from_be_bytes(bits);
        let random = (1 << Ulid::RAND_BITS) - 1;
        // The library wraps a text beyond 128 bits around; such a text is no ULID.
        match Ulid::from_string(command_id.as_str()) {
            Ok(ulid) if command_id.as_str().as_bytes()[0] <= b'7' => {
                KeyId::from_u128((ulid.0 & !random) | (hashed & random))
            }
            _ => KeyId::from_u128(hashed),
        }
    }

    /// Decides on the tenant and on the stream that the key's derived id names. `digest` is of the secret just drawn.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::KeyAlreadyIssued`], [`Refusal::ExpiryInPast`], [`Refusal::PolicyDenies`]; in the operators' tenant
    /// [`Refusal::ScopeNotHeld`].
    pub fn decide(
        &self,
        tenant: &Tenant,
        key: Option<&Key>,
        digest: SecretDigest,
        now: Timestamp,
    ) -> Result<KeyIssued, Refusal> {
        tenant.open()?;
        if key.is_some() {
            return Err(Refusal::KeyAlreadyIssued);
        }
        if let Some(expires_at) = self.grant.expires_at.filter(|at| *at <= now) {
            return Err(Refusal::ExpiryInPast { expires_at });
        }
        if let Some(issuer) = &self.issuer {
            issuer.may_grant(&self.tenant, self.grant.scopes.iter())?;
        }
        let issuer = self.issuer.as_ref().map(|issuer| issuer.key_id);
        Ok(KeyIssued {
            prefix: tenant.prefix.clone(),
            digest,
            grant: admission::admit(&tenant.policies, self.grant.clone(), issuer, now)?,
            issuer,
            predecessor: None,
        })
    }
}

impl Issuer {
    /// Operators grant other operators only what they hold; what keys of other tenants may do is not theirs to hold.
    pub(crate) fn may_grant<'a>(
        &self,
        tenant: &TenantId,
        scopes: impl IntoIterator<Item = &'a Scope>,
    ) -> Result<(), Refusal> {
        if !tenant.is_operators() {
            return Ok(());
        }
        match scopes.into_iter().find(|scope| !operator::holds(&self.scopes, scope)) {
            Some(scope) => Err(Refusal::ScopeNotHeld { scope: scope.clone() }),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::given::{
        DIGEST, GivenKey, NOW, given_key, grant, issue, issued, refused_in_a_closed_tenant, scopes,
    };

    fn by(command: IssueKey) -> impl Fn(&GivenKey) -> Result<KeyIssued, Refusal> {
        move |given| command.decide(&given.tenant, given.known_key(), DIGEST, given.now)
    }

    #[test]
    fn a_key_is_issued_with_what_was_asked() {
        let issued_key = given_key([]).when(by(issue())).done();
        assert_eq!(Event::KeyIssued(Box::new(issued_key)), issued());
    }

    #[test]
    fn a_key_id_follows_from_tenant_and_command_id() {
        let derive =
            |tenant: &str, id: &str| IssueKey::key_id(&tenant.parse().unwrap(), &id.parse().unwrap());
        let ulid = "01JDA7W5W6M4Q0T3S8V2N9X1YZ";
        assert_eq!(derive("acme", ulid), derive("acme", ulid));
        assert_ne!(derive("acme", ulid), derive("other", ulid));
        assert_eq!(derive("acme", ulid).to_string()[..10], ulid[..10], "the time is kept");
        assert_ne!(derive("acme", "spring"), derive("acme", "autumn"));
        // A vector: a server of another version must meet the same stream.
        assert_eq!(derive("acme", "spring").to_string(), "6D5PQWFQGZFJP8D0M2HH25QXKA");
    }

    #[test]
    fn a_taken_key_id_is_refused() {
        given_key([issued()]).when(by(issue())).refuses(Refusal::KeyAlreadyIssued);
    }

    #[test]
    fn an_expiry_in_the_past_is_refused() {
        for (expires_at, fine) in
            [(NOW, false), (Timestamp::from_millis(1), false), (NOW.plus_millis(1), true)]
        {
            let grant = Grant { expires_at: Some(expires_at), ..grant() };
            let outcome = given_key([]).when(by(IssueKey { grant, ..issue() }));
            match fine {
                true => drop(outcome.done()),
                false => outcome.refuses(Refusal::ExpiryInPast { expires_at }),
            }
        }
    }

    #[test]
    fn a_closed_tenant_issues_nothing() {
        refused_in_a_closed_tenant(by(issue()));
    }

    #[test]
    fn an_operator_grants_only_scopes_that_it_holds() {
        let with = |held: &[&str], wanted: &[&str]| {
            let issuer = Some(Issuer { key_id: KeyId::from_u128(9), scopes: scopes(held) });
            let grant = Grant { scopes: scopes(wanted), ..grant() };
            given_key([]).when(by(IssueKey { tenant: TenantId::operators(), grant, issuer }))
        };
        with(&["tenants:admin", "keys:read"], &["acme/keys:read"]).done();
        with(&["tenants:admin"], &["verify"])
            .refuses(Refusal::ScopeNotHeld { scope: "verify".parse().unwrap() });
        with(&["acme/verify"], &["verify"])
            .refuses(Refusal::ScopeNotHeld { scope: "verify".parse().unwrap() });
    }
}
