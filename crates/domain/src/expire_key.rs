//! `ExpireKey`: records that a key's time was up; final from here on.

use crate::event::KeyExpired;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::Key;
use crate::refusal::Refusal;

/// Records an expiry. Verifiers judge a key's time by themselves; this makes it part of history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpireKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// Which expiry.
    pub expires_at: Timestamp,
}

impl ExpireKey {
    /// Decides on the key as it is at `now`.
    ///
    /// # Errors
    /// [`Refusal::NotYetExpired`] while its time is not up, when it has none or another; [`Refusal::AlreadyExpired`],
    /// [`Refusal::AlreadyRevoked`], [`Refusal::AlreadyRecalled`], [`Refusal::KeyQuarantined`].
    pub fn decide(&self, key: &Key, now: Timestamp) -> Result<KeyExpired, Refusal> {
        key.changeable()?;
        let expires_at = self.expires_at;
        if expires_at <= now && key.expires_at == Some(expires_at) {
            Ok(KeyExpired { expires_at })
        } else {
            Err(Refusal::NotYetExpired)
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

    fn expire(given: &GivenKey) -> Result<KeyExpired, Refusal> {
        ExpireKey { tenant: acme(), key_id: KEY_ID, expires_at: EXPIRES_AT }.decide(given.key(), given.now)
    }

    #[test]
    fn a_key_expires_when_its_time_is_up_and_not_before() {
        let expired = KeyExpired { expires_at: EXPIRES_AT };
        given_key([issued()]).at(EXPIRES_AT).when(expire).then(expired.clone());
        given_key([issued(), suspended(None)]).at(EXPIRES_AT).when(expire).then(expired);
        let just_before = Timestamp::from_millis(EXPIRES_AT.as_millis() - 1);
        given_key([issued()]).at(just_before).when(expire).refuses(Refusal::NotYetExpired);
    }

    #[test]
    fn an_expiry_that_was_moved_is_not_recorded() {
        let earlier = Some(Timestamp::from_millis(EXPIRES_AT.as_millis() - 1));
        let moved = Event::KeyExpiryChanged(KeyExpiryChanged { expires_at: earlier });
        given_key([issued(), moved]).at(EXPIRES_AT).when(expire).refuses(Refusal::NotYetExpired);
    }

    #[test]
    fn a_key_without_expiry_never_expires() {
        given_key([issued_for_ever()]).at(Timestamp::MAX).when(expire).refuses(Refusal::NotYetExpired);
    }

    #[test]
    fn a_key_that_has_ended_does_not_expire() {
        refused_on_ended_keys(expire);
    }
}
