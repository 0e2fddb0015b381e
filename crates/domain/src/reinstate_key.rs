//! `ReinstateKey`: a suspended key may be used again.

use crate::attributes::Personal;
use crate::event::KeyReinstated;
use crate::ids::{KeyId, TenantId};
use crate::key::{Key, Standing};
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Reinstates a suspended key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReinstateKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// In somebody's words.
    pub note: Option<Personal>,
}

impl ReinstateKey {
    /// Decides on the key and its tenant as they are.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::NotSuspended`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, tenant: &Tenant, key: &Key) -> Result<KeyReinstated, Refusal> {
        tenant.open()?;
        key.changeable()?;
        if key.standing != Standing::Suspended {
            return Err(Refusal::NotSuspended);
        }
        Ok(KeyReinstated { note: self.note.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{
        GivenKey, KEY_ID, LATER, acme, given_key, issued, refused_in_a_closed_tenant, refused_on_ended_keys,
        suspended, text,
    };

    fn reinstate(given: &GivenKey) -> Result<KeyReinstated, Refusal> {
        let command = ReinstateKey { tenant: acme(), key_id: KEY_ID, note: Some(text("all well")) };
        command.decide(&given.tenant, given.key())
    }

    #[test]
    fn a_suspended_key_is_reinstated_with_or_without_an_end_in_sight() {
        for until in [None, Some(LATER)] {
            given_key([issued(), suspended(until)])
                .when(reinstate)
                .then(KeyReinstated { note: Some(text("all well")) });
        }
    }

    #[test]
    fn a_key_that_is_not_suspended_is_refused() {
        given_key([issued()]).when(reinstate).refuses(Refusal::NotSuspended);
    }

    #[test]
    fn a_key_that_has_ended_does_not_come_back() {
        refused_on_ended_keys(reinstate);
        refused_in_a_closed_tenant(reinstate);
    }
}
