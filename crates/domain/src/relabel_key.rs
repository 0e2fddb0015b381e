//! `RelabelKey`: the key has other labels.

use crate::attributes::Labels;
use crate::event::KeyRelabelled;
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
use crate::policy;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Gives a key other labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// All its labels from then on.
    pub labels: Labels,
}

impl RelabelKey {
    /// Decides on the key and its tenant as they are.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::Unchanged`], [`Refusal::PolicyDenies`] by a policy that is about the key only
    /// then; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key) -> Result<KeyRelabelled, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.labels == self.labels {
            return Err(Refusal::Unchanged);
        }
        let changed = Key { labels: self.labels.clone(), ..key.clone() };
        policy::admit_change(&tenant.policies, key, &changed)?;
        Ok(KeyRelabelled { labels: self.labels.clone() })
    }
}
