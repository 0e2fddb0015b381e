//! `ReportLeak`: the key was found where it should not be, and the tenant's response follows at once.

use crate::attributes::Personal;
use crate::event::KeyLeaked;
use crate::ids::{KeyId, TenantId};
use crate::key::{Key, Standing};
use crate::leak::{LeakResponse, LeakSource};
use crate::life::Life;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Reports a key as leaked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportLeak {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// Who found it.
    pub source: LeakSource,
    /// Where.
    pub url: Option<Personal>,
}

impl ReportLeak {
    /// Decides on the key and its tenant as they are. Unlike other commands it works on a quarantined key and in a closed
    /// tenant: what leaked goes. A suspension that would have ended by itself no longer does; `life` is what could be read.
    /// `last_operator` says that the service would be left without an administrator.
    ///
    /// # Errors
    /// [`Refusal::AlreadyRevoked`], [`Refusal::AlreadyRecalled`], [`Refusal::AlreadyExpired`],
    /// [`Refusal::AlreadySuspended`] where the response is to suspend and that is so for good, [`Refusal::LastOperator`].
    pub fn decide(
        &self,
        tenant: &Tenant,
        key: &Key,
        life: Option<&Life>,
        last_operator: bool,
    ) -> Result<KeyLeaked, Refusal> {
        let ends_by_itself = life.is_some_and(|life| life.suspended_until.is_some());
        match key.standing {
            Standing::Active | Standing::Quarantined => {}
            Standing::Suspended if tenant.leak_response == LeakResponse::Suspend && !ends_by_itself => {
                return Err(Refusal::AlreadySuspended);
            }
            Standing::Suspended => {}
            Standing::Revoked => return Err(Refusal::AlreadyRevoked),
            Standing::Recalled => return Err(Refusal::AlreadyRecalled),
            Standing::Expired => return Err(Refusal::AlreadyExpired),
        }
        if last_operator {
            return Err(Refusal::LastOperator);
        }
        Ok(KeyLeaked { source: self.source.clone(), url: self.url.clone(), response: tenant.leak_response })
    }
}
