//! `RotateKey`: a successor is issued with the same grants, and both are valid until the rotation ends.

use crate::event::{KeyIssued, KeyRotated};
use crate::grant::Grant;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::issue_key::Issuer;
use crate::key::{Key, Standing};
use crate::life::Life;
use crate::policy;
use crate::refusal::Refusal;
use crate::rotation::RotationRule;
use crate::secret::SecretDigest;
use crate::tenant::Tenant;

/// Rotates a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotateKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// The key that is to be replaced.
    pub key_id: KeyId,
    /// When it goes.
    pub rule: RotationRule,
    /// When the successor's time is up; none gives it as long as the predecessor was given.
    pub expires_at: Option<Timestamp>,
    /// Who asks.
    pub issuer: Option<Issuer>,
}

impl RotateKey {
    /// Decides on the key, its life and its tenant as they are at `now`. `successor` is the derived id of the new key,
    /// `digest` that of the secret just drawn.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::AlreadyRotating`], [`Refusal::KeySuspended`], [`Refusal::ExpiryInPast`], [`Refusal::RotationInPast`],
    /// [`Refusal::PolicyDenies`], in the operators' tenant [`Refusal::ScopeNotHeld`]; those of a key that has ended or
    /// cannot be read, and [`Refusal::AlreadyExpired`] as soon as its time is up.
    pub fn decide(
        &self,
        tenant: &Tenant,
        key: &Key,
        life: &Life,
        (successor, digest): (KeyId, SecretDigest),
        now: Timestamp,
    ) -> Result<(KeyRotated, KeyIssued), Refusal> {
        tenant.open()?;
        key.changeable()?;
        // Nobody could go over to a successor while this key is refused.
        if key.is_past(now) {
            return Err(Refusal::AlreadyExpired);
        }
        if key.standing == Standing::Suspended {
            return Err(Refusal::KeySuspended);
        }
        if let Some(rotation) = &life.rotation {
            return Err(Refusal::AlreadyRotating { successor: rotation.successor });
        }
        if let RotationRule::At(at) = self.rule
            && at <= now
        {
            return Err(Refusal::RotationInPast { at });
        }
        if let Some(expires_at) = self.expires_at.filter(|at| *at <= now) {
            return Err(Refusal::ExpiryInPast { expires_at });
        }
        if let Some(issuer) = &self.issuer {
            issuer.may_grant(&self.tenant, life.grant.scopes.iter())?;
        }
        let expires_at = self.expires_at.or_else(|| same_lifetime(life, now));
        let issuer = self.issuer.as_ref().map(|issuer| issuer.key_id);
        let grant = Grant { expires_at, ..life.grant.clone() };
        let issued = KeyIssued {
            prefix: tenant.prefix.clone(),
            digest,
            grant: policy::admit(&tenant.policies, grant, issuer, now)?,
            issuer,
            predecessor: Some(self.key_id),
        };
        Ok((KeyRotated { successor, rule: self.rule }, issued))
    }
}

fn same_lifetime(life: &Life, now: Timestamp) -> Option<Timestamp> {
    let expires_at = life.grant.expires_at?;
    let lifetime_ms = expires_at.as_millis().saturating_sub(life.issued_at.as_millis());
    Some(now.plus_millis(lifetime_ms).min(Timestamp::MAX))
}
