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
    /// Which expiry. Another one is another warning.
    pub expires_at: Timestamp,
    /// How long before the expiry.
    pub before_ms: u64,
}

impl WarnExpiry {
    /// Decides on the key as it is at `now`.
    ///
    /// # Errors
    /// [`Refusal::WarningNotDue`], also when somebody moved the expiry; those of a key that has ended or cannot be read.
    pub fn decide(&self, key: &Key, now: Timestamp) -> Result<ExpiryWarned, Refusal> {
        key.changeable()?;
        let expires_at = self.expires_at;
        let due = now < expires_at && now.plus_millis(self.before_ms) >= expires_at;
        if due && key.expires_at == Some(expires_at) {
            Ok(ExpiryWarned { expires_at })
        } else {
            Err(Refusal::WarningNotDue)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, KeyExpiryChanged};
    use crate::given::{
        EXPIRES_AT, GivenKey, KEY_ID, acme, given_key, issued, issued_for_ever, refused_on_ended_keys,
        suspended,
    };

    const BEFORE_MS: u64 = 60_000;

    fn warn(given: &GivenKey) -> Result<ExpiryWarned, Refusal> {
        let command =
            WarnExpiry { tenant: acme(), key_id: KEY_ID, expires_at: EXPIRES_AT, before_ms: BEFORE_MS };
        command.decide(given.key(), given.now)
    }

    #[test]
    fn notice_is_given_within_the_span_and_not_outside() {
        let expiry = EXPIRES_AT.as_millis();
        for (at, due) in
            [(expiry - BEFORE_MS - 1, false), (expiry - BEFORE_MS, true), (expiry - 1, true), (expiry, false)]
        {
            let outcome = given_key([issued(), suspended(None)]).at(Timestamp::from_millis(at)).when(warn);
            match due {
                true => outcome.then(ExpiryWarned { expires_at: EXPIRES_AT }),
                false => outcome.refuses(Refusal::WarningNotDue),
            }
        }
    }

    #[test]
    fn an_expiry_that_was_moved_or_taken_away_is_not_warned_of() {
        // Within the span, too: that is another warning.
        let (moved, a_little) = (EXPIRES_AT.plus_millis(BEFORE_MS), EXPIRES_AT.plus_millis(1));
        for expires_at in [Some(moved), Some(a_little), None] {
            let changed = Event::KeyExpiryChanged(KeyExpiryChanged { expires_at });
            given_key([issued(), changed])
                .at(Timestamp::from_millis(EXPIRES_AT.as_millis() - 1))
                .when(warn)
                .refuses(Refusal::WarningNotDue);
        }
        given_key([issued_for_ever()]).when(warn).refuses(Refusal::WarningNotDue);
    }

    #[test]
    fn a_key_that_has_ended_is_not_warned_of() {
        refused_on_ended_keys(warn);
    }
}
