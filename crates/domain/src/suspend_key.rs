//! `SuspendKey`: the key may not be used until it is reinstated.

use crate::attributes::Personal;
use crate::event::KeySuspended;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::{Key, Standing};
use crate::reason::SuspendReason;
use crate::refusal::Refusal;

/// Suspends a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspendKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// Why.
    pub reason: SuspendReason,
    /// In somebody's words.
    pub note: Option<Personal>,
    /// When the service is to reinstate it by itself.
    pub until: Option<Timestamp>,
}

impl SuspendKey {
    /// Decides on the key as it is at `now`. `last_operator` says that the service would be left without an administrator.
    ///
    /// # Errors
    /// [`Refusal::AlreadySuspended`], [`Refusal::SuspensionInPast`], [`Refusal::LastOperator`];
    /// those of a key that has ended or cannot be read.
    pub fn decide(&self, key: &Key, last_operator: bool, now: Timestamp) -> Result<KeySuspended, Refusal> {
        key.changeable()?;
        if key.standing == Standing::Suspended {
            return Err(Refusal::AlreadySuspended);
        }
        if let Some(until) = self.until.filter(|until| *until <= now) {
            return Err(Refusal::SuspensionInPast { until });
        }
        if last_operator {
            return Err(Refusal::LastOperator);
        }
        Ok(KeySuspended { reason: self.reason, note: self.note.clone(), until: self.until })
    }
}
