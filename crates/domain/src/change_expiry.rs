//! `ChangeExpiry`: the key's time is up at another moment.

use crate::event::KeyExpiryChanged;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::Key;
use crate::policy;
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
        policy::admit_expiry(&tenant.policies, key, self.expires_at, now)?;
        Ok(KeyExpiryChanged { expires_at: self.expires_at })
    }
}
