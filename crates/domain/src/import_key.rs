//! `ImportKey`: a key of another system is known from here on, by the digest of its whole token.

use sha2::{Digest, Sha256};

use crate::admission;
use crate::event::KeyImported;
use crate::grant::Grant;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::Key;
use crate::refusal::Refusal;
use crate::secret::SecretDigest;
use crate::tenant::Tenant;

/// Imports a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportKey {
    /// Where it will belong.
    pub tenant: TenantId,
    /// SHA-256 of the whole token.
    pub digest: SecretDigest,
    /// What comes with it.
    pub grant: Grant,
    /// The key that imports it.
    pub issuer: Option<KeyId>,
}

impl ImportKey {
    /// The id of the key that this digest makes in this tenant: derived, so that importing twice meets the same stream, and
    /// so that a verifier finds it by the token alone.
    #[must_use]
    pub fn key_id(tenant: &TenantId, digest: &SecretDigest) -> KeyId {
        let mut hash = Sha256::new();
        hash.update(b"rescind import id\0");
        hash.update(tenant.as_str());
        hash.update(b"\0");
        hash.update(digest.to_bytes());
        let mut bits = [0; 16];
        bits.copy_from_slice(&hash.finalize()[..16]);
        KeyId::from_u128(u128::from_be_bytes(bits))
    }

    /// Decides on the tenant and on the stream that the derived id names.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::NotForOperators`], [`Refusal::KeyAlreadyIssued`], [`Refusal::ExpiryInPast`],
    /// [`Refusal::PolicyDenies`].
    pub fn decide(&self, tenant: &Tenant, key: Option<&Key>, now: Timestamp) -> Result<KeyImported, Refusal> {
        tenant.open()?;
        if self.tenant.is_operators() {
            return Err(Refusal::NotForOperators);
        }
        if key.is_some() {
            return Err(Refusal::KeyAlreadyIssued);
        }
        if let Some(expires_at) = self.grant.expires_at.filter(|at| *at <= now) {
            return Err(Refusal::ExpiryInPast { expires_at });
        }
        let grant = admission::admit(&tenant.policies, self.grant.clone(), self.issuer, now)?;
        Ok(KeyImported { digest: self.digest, grant, issuer: self.issuer })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::given::{
        DIGEST, GivenKey, LATER, NOW, acme, denied_by, given_key, grant, issued, policy, policy_set,
        refused_in_a_closed_tenant,
    };
    use crate::policy::PolicyRules;
    use crate::selector::Selector;

    fn import() -> ImportKey {
        ImportKey { tenant: acme(), digest: DIGEST, grant: grant(), issuer: Some(KeyId::from_u128(9)) }
    }

    fn by(command: ImportKey) -> impl Fn(&GivenKey) -> Result<KeyImported, Refusal> {
        move |given| command.decide(&given.tenant, given.known_key(), given.now)
    }

    #[test]
    fn a_key_is_imported_with_what_it_had() {
        let ImportKey { digest, grant, issuer, .. } = import();
        given_key([]).when(by(import())).then(KeyImported { digest, grant, issuer });
    }

    #[test]
    fn a_key_id_follows_from_tenant_and_digest() {
        let derive = |tenant: &str, token: &str| {
            ImportKey::key_id(&tenant.parse().unwrap(), &SecretDigest::of_token(token)).to_string()
        };
        assert_ne!(derive("acme", "old-token"), derive("other", "old-token"));
        assert_ne!(derive("acme", "old-token"), derive("acme", "old-token-2"));
        // A vector: a server of another version must meet the same stream.
        assert_eq!(derive("acme", "old-token"), "6PCTGVT1WVX7RMS87ACAKM8MNS");
    }

    #[test]
    fn importing_twice_is_refused() {
        let once = Event::KeyImported(Box::new(given_key([]).when(by(import())).done()));
        for before in [once, issued()] {
            given_key([before]).when(by(import())).refuses(Refusal::KeyAlreadyIssued);
        }
    }

    #[test]
    fn an_expiry_in_the_past_is_refused() {
        let expiring =
            |expires_at| ImportKey { grant: Grant { expires_at: Some(expires_at), ..grant() }, ..import() };
        given_key([]).when(by(expiring(NOW))).refuses(Refusal::ExpiryInPast { expires_at: NOW });
        given_key([]).when(by(expiring(LATER))).done();
    }

    #[test]
    fn operators_are_issued_and_never_imported() {
        let command = ImportKey { tenant: TenantId::operators(), ..import() };
        given_key([]).when(by(command)).refuses(Refusal::NotForOperators);
    }

    #[test]
    fn policies_hold_for_imported_keys() {
        let rules = PolicyRules { longest_lifetime_ms: Some(1_000), ..PolicyRules::default() };
        given_key([])
            .in_tenant([policy_set(policy("short", Selector::ALL, rules))])
            .when(by(import()))
            .refuses(denied_by("short", "longest_lifetime"));
    }

    #[test]
    fn a_closed_tenant_imports_nothing() {
        refused_in_a_closed_tenant(by(import()));
    }
}
