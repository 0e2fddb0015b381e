//! `ImportKey`: a key of another system is known from here on, by the digest of its whole token.

use sha2::{Digest, Sha256};

use crate::event::KeyImported;
use crate::grant::Grant;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::Key;
use crate::policy;
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
        let grant = policy::admit(&tenant.policies, self.grant.clone(), self.issuer, now)?;
        Ok(KeyImported { digest: self.digest, grant, issuer: self.issuer })
    }
}
