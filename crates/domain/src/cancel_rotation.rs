//! `CancelRotation`: the predecessor stays, and its successor is retired instead.

use crate::event::{KeyRevoked, RotationCancelled};
use crate::ids::{KeyId, TenantId};
use crate::key::{Key, Standing};
use crate::life::Life;
use crate::reason::RevokeReason;
use crate::refusal::Refusal;

/// Calls a rotation off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CancelRotation {
    /// Where both keys belong.
    pub tenant: TenantId,
    /// The predecessor.
    pub key_id: KeyId,
}

impl CancelRotation {
    /// Decides on the predecessor and its successor as they are. A successor that has ended already is left as it is; one that
    /// cannot be read goes, as taking away is always possible. `last_operator` says that the service would be left without an
    /// administrator if the successor went.
    ///
    /// # Errors
    /// [`Refusal::NotRotating`], [`Refusal::LastOperator`]; those of a predecessor that has ended or cannot be read.
    pub fn decide(
        &self,
        key: &Key,
        life: &Life,
        successor: Option<&Key>,
        last_operator: bool,
    ) -> Result<(RotationCancelled, Option<KeyRevoked>), Refusal> {
        key.changeable()?;
        let Some(rotation) = &life.rotation else { return Err(Refusal::NotRotating) };
        let retire = successor.is_some_and(|key| match key.standing {
            Standing::Active | Standing::Suspended | Standing::Quarantined => true,
            Standing::Expired | Standing::Revoked | Standing::Recalled => false,
        });
        if retire && last_operator {
            return Err(Refusal::LastOperator);
        }
        let revoked = retire.then_some(KeyRevoked { reason: RevokeReason::Superseded, note: None });
        Ok((RotationCancelled { successor: rotation.successor }, revoked))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::given::{
        GivenKey, KEY_ID, SUCCESSOR, acme, first_used, given_key, issued, issued_as_successor,
        refused_on_ended_keys, rotated, suspended,
    };
    use crate::rotation::RotationRule;

    type Cancelled = (RotationCancelled, Option<KeyRevoked>);

    fn cancel(given: &GivenKey) -> Result<Cancelled, Refusal> {
        let successor = given.known_successor().map(|(key, _)| key);
        let command = CancelRotation { tenant: acme(), key_id: KEY_ID };
        command.decide(given.key(), given.life(), successor, given.last_operator)
    }

    fn given_rotation() -> GivenKey {
        given_key([issued(), rotated(RotationRule::DEFAULT)]).successor([issued_as_successor(), first_used()])
    }

    fn cancelled(retired: bool) -> Cancelled {
        let revoked = retired.then_some(KeyRevoked { reason: RevokeReason::Superseded, note: None });
        (RotationCancelled { successor: SUCCESSOR }, revoked)
    }

    #[test]
    fn the_predecessor_stays_and_the_successor_goes_used_or_not() {
        given_rotation().when(cancel).then(cancelled(true));
        given_rotation().successor([issued_as_successor()]).when(cancel).then(cancelled(true));
    }

    #[test]
    fn a_successor_that_has_ended_is_left_as_it_is_and_one_that_cannot_be_read_goes() {
        for (standing, retired) in [
            (Standing::Suspended, true),
            (Standing::Quarantined, true),
            (Standing::Expired, false),
            (Standing::Revoked, false),
            (Standing::Recalled, false),
        ] {
            given_rotation().successor_standing(standing).when(cancel).then(cancelled(retired));
        }
        given_key([issued(), rotated(RotationRule::ByHand)]).when(cancel).then(cancelled(false));
    }

    #[test]
    fn a_suspended_predecessor_stays_suspended() {
        given_key([issued(), rotated(RotationRule::ByHand), suspended(None)])
            .successor([issued_as_successor()])
            .when(cancel)
            .then(cancelled(true));
    }

    #[test]
    fn a_successor_that_is_the_last_operator_stays() {
        let given = given_rotation().being_the_last_operator();
        given.when(cancel).refuses(Refusal::LastOperator);
        given.successor_standing(Standing::Revoked).when(cancel).then(cancelled(false));
    }

    #[test]
    fn cancelling_twice_is_refused() {
        let once = Event::RotationCancelled(RotationCancelled { successor: SUCCESSOR });
        given_key([issued(), rotated(RotationRule::ByHand), once]).when(cancel).refuses(Refusal::NotRotating);
        given_key([issued()]).when(cancel).refuses(Refusal::NotRotating);
        refused_on_ended_keys(cancel);
    }
}
