//! `RevokeKey`: the key may never be used again.

use crate::attributes::Personal;
use crate::event::KeyRevoked;
use crate::ids::{KeyId, TenantId};
use crate::key::{Key, Standing};
use crate::reason::RevokeReason;
use crate::refusal::Refusal;

/// Revokes a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// Why.
    pub reason: RevokeReason,
    /// In somebody's words.
    pub note: Option<Personal>,
}

impl RevokeKey {
    /// Decides on the key as it is. A suspended, expired or quarantined key can be revoked: taking away is always possible.
    /// `last_operator` says that the service would be left without an administrator.
    ///
    /// # Errors
    /// [`Refusal::AlreadyRevoked`], [`Refusal::AlreadyRecalled`], [`Refusal::LastOperator`].
    pub fn decide(&self, key: &Key, last_operator: bool) -> Result<KeyRevoked, Refusal> {
        match key.standing {
            Standing::Revoked => Err(Refusal::AlreadyRevoked),
            Standing::Recalled => Err(Refusal::AlreadyRecalled),
            Standing::Active | Standing::Suspended | Standing::Expired | Standing::Quarantined => {
                if last_operator {
                    return Err(Refusal::LastOperator);
                }
                Ok(KeyRevoked { reason: self.reason, note: self.note.clone() })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{GivenKey, KEY_ID, acme, expired, given_key, issued, revoked};

    fn revoke(reason: RevokeReason) -> impl Fn(&GivenKey) -> Result<KeyRevoked, Refusal> {
        let command = RevokeKey { tenant: acme(), key_id: KEY_ID, reason, note: None };
        move |given| command.decide(given.key(), given.last_operator)
    }

    fn done(reason: RevokeReason) -> KeyRevoked {
        KeyRevoked { reason, note: None }
    }

    #[test]
    fn an_active_key_is_revoked_for_every_reason() {
        for reason in RevokeReason::ALL {
            given_key([issued()]).when(revoke(reason)).then(done(reason));
        }
    }

    #[test]
    fn revoking_twice_is_refused() {
        given_key([issued(), revoked(RevokeReason::Unused)])
            .when(revoke(RevokeReason::Compromised))
            .refuses(Refusal::AlreadyRevoked);
    }

    #[test]
    fn an_expired_key_can_still_be_revoked() {
        given_key([issued(), expired()])
            .when(revoke(RevokeReason::Compromised))
            .then(done(RevokeReason::Compromised));
    }

    #[test]
    fn what_was_taken_away_otherwise_can_still_be_revoked_and_a_recalled_key_not() {
        for (standing, refusal) in [
            (Standing::Suspended, None),
            (Standing::Quarantined, None),
            (Standing::Recalled, Some(Refusal::AlreadyRecalled)),
        ] {
            let outcome = given_key([issued()]).standing(standing).when(revoke(RevokeReason::Leaked));
            match refusal {
                None => outcome.then(done(RevokeReason::Leaked)),
                Some(refusal) => outcome.refuses(refusal),
            }
        }
    }

    #[test]
    fn the_last_operator_stays() {
        given_key([issued()])
            .being_the_last_operator()
            .when(revoke(RevokeReason::Requested))
            .refuses(Refusal::LastOperator);
    }
}
