//! `WarnExpiry`: notice is given that a key's time will soon be up.

use crate::event::ExpiryWarned;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::Key;
use crate::refusal::Refusal;

/// Gives notice of an expiry. The service asks this of itself, once for each span that a policy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WarnExpiry {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// How long before the expiry.
    pub before_ms: u64,
}

impl WarnExpiry {
    /// Decides on the key as it is at `now`.
    ///
    /// # Errors
    /// [`Refusal::WarningNotDue`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, key: &Key, now: Timestamp) -> Result<ExpiryWarned, Refusal> {
        key.changeable()?;
        match key.expires_at {
            Some(expires_at) if now < expires_at && now.plus_millis(self.before_ms) >= expires_at => {
                Ok(ExpiryWarned { expires_at })
            }
            _ => Err(Refusal::WarningNotDue),
        }
    }
}
