//! `EndSuspension`: a suspension that was to last until a time is over.

use crate::event::KeyReinstated;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::{Key, Standing};
use crate::life::Life;
use crate::refusal::Refusal;

/// Reinstates a key whose suspension had an end. The service asks this of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndSuspension {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
}

impl EndSuspension {
    /// Decides on the key as it is at `now`.
    ///
    /// # Errors
    /// [`Refusal::NotSuspended`], [`Refusal::SuspensionNotOver`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, key: &Key, life: &Life, now: Timestamp) -> Result<KeyReinstated, Refusal> {
        key.changeable()?;
        if key.standing != Standing::Suspended {
            return Err(Refusal::NotSuspended);
        }
        match life.suspended_until {
            Some(until) if until <= now => Ok(KeyReinstated { note: None }),
            _ => Err(Refusal::SuspensionNotOver),
        }
    }
}
