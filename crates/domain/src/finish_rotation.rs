//! `FinishRotation`: the successor takes over, and the predecessor may never be used again.

use crate::event::RotationFinished;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::{Key, Standing};
use crate::life::Life;
use crate::refusal::Refusal;
use crate::rotation::RotationRule;

/// On what grounds a rotation is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finish {
    /// Its rule is met. The usage record says whether the predecessor was quiet for each service that had to move.
    ByRule {
        /// Every such service was quiet for long enough, and every verifier had reported.
        quiet: bool,
    },
    /// Somebody says so, and the successor was used.
    ByHand,
    /// Somebody insists.
    Forced,
}

/// Finishes a rotation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FinishRotation {
    /// Where both keys belong.
    pub tenant: TenantId,
    /// The predecessor.
    pub key_id: KeyId,
    /// On what grounds.
    pub finish: Finish,
}

impl FinishRotation {
    /// Decides on the predecessor and its successor as they are at `now`. `last_operator` says that the predecessor is the
    /// last administrator: its successor, never used, does not count unless it is one too.
    ///
    /// # Errors
    /// [`Refusal::NotRotating`], [`Refusal::RotationNotDue`], [`Refusal::SuccessorUnused`], [`Refusal::SuccessorEnded`],
    /// [`Refusal::LastOperator`]; those of a key that has ended or cannot be read.
    pub fn decide(
        &self,
        key: &Key,
        life: &Life,
        successor: Option<(&Key, &Life)>,
        last_operator: bool,
        now: Timestamp,
    ) -> Result<RotationFinished, Refusal> {
        key.changeable()?;
        let Some(rotation) = &life.rotation else { return Err(Refusal::NotRotating) };
        let heir = rotation.successor;
        let usable = successor.is_some_and(|(key, _)| key.standing == Standing::Active && !key.is_past(now));
        let used = successor.is_some_and(|(_, life)| life.first_used_at.is_some());
        if self.finish != Finish::Forced && !usable {
            return Err(Refusal::SuccessorEnded { successor: heir });
        }
        match (self.finish, rotation.rule) {
            (Finish::Forced, _) => {}
            (Finish::ByRule { .. }, RotationRule::At(at)) if at <= now => {}
            (Finish::ByRule { quiet: true }, RotationRule::OnEvidence { .. }) if used => {}
            (Finish::ByRule { .. }, _) => return Err(Refusal::RotationNotDue),
            (Finish::ByHand, _) if used => {}
            (Finish::ByHand, _) => return Err(Refusal::SuccessorUnused { successor: heir }),
        }
        if last_operator {
            return Err(Refusal::LastOperator);
        }
        Ok(RotationFinished { successor: heir, forced: self.finish == Finish::Forced })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::given::{
        EXPIRES_AT, GivenKey, KEY_ID, LATER, NOW, SUCCESSOR, acme, first_used, given_key, issued,
        issued_as_successor, issued_for_ever, refused_on_ended_keys, revoked, rotated, suspended,
    };
    use crate::reason::RevokeReason;

    const BY_RULE: Finish = Finish::ByRule { quiet: true };
    const UNUSED: Refusal = Refusal::SuccessorUnused { successor: SUCCESSOR };
    const ENDED: Refusal = Refusal::SuccessorEnded { successor: SUCCESSOR };

    fn finish(finish: Finish) -> impl Fn(&GivenKey) -> Result<RotationFinished, Refusal> {
        let command = FinishRotation { tenant: acme(), key_id: KEY_ID, finish };
        move |given| {
            let successor = given.known_successor();
            command.decide(given.key(), given.life(), successor, given.last_operator, given.now)
        }
    }

    fn given_rotation(rule: RotationRule, more: impl IntoIterator<Item = Event>) -> GivenKey {
        given_key([issued(), rotated(rule)]).successor([issued_as_successor()].into_iter().chain(more))
    }

    #[test]
    fn a_rotation_at_a_time_ends_then_and_not_before_whatever_was_seen() {
        let given = given_rotation(RotationRule::At(LATER), []);
        for quiet in [true, false] {
            given.when(finish(Finish::ByRule { quiet })).refuses(Refusal::RotationNotDue);
            given
                .clone()
                .at(LATER)
                .when(finish(Finish::ByRule { quiet }))
                .then(RotationFinished { successor: SUCCESSOR, forced: false });
        }
    }

    #[test]
    fn a_rotation_on_evidence_needs_a_first_use_and_quiet() {
        for (used, quiet, due) in [(true, true, true), (true, false, false), (false, true, false)] {
            let outcome = given_rotation(RotationRule::DEFAULT, used.then(first_used))
                .when(finish(Finish::ByRule { quiet }));
            match due {
                true => outcome.then(RotationFinished { successor: SUCCESSOR, forced: false }),
                false => outcome.refuses(Refusal::RotationNotDue),
            }
        }
    }

    #[test]
    fn a_rotation_by_hand_waits_for_a_hand() {
        given_rotation(RotationRule::ByHand, [first_used()])
            .when(finish(BY_RULE))
            .refuses(Refusal::RotationNotDue);
    }

    #[test]
    fn finishing_by_hand_needs_a_first_use_or_force_under_every_rule() {
        for rule in [RotationRule::ByHand, RotationRule::DEFAULT, RotationRule::At(LATER)] {
            given_rotation(rule, []).when(finish(Finish::ByHand)).refuses(UNUSED);
            given_rotation(rule, [first_used()])
                .when(finish(Finish::ByHand))
                .then(RotationFinished { successor: SUCCESSOR, forced: false });
            given_rotation(rule, [])
                .when(finish(Finish::Forced))
                .then(RotationFinished { successor: SUCCESSOR, forced: true });
        }
    }

    #[test]
    fn nobody_is_handed_over_to_a_successor_that_is_refused() {
        let used = || given_rotation(RotationRule::At(NOW), [first_used()]);
        let refused = [
            used().successor_standing(Standing::Suspended),
            used().successor_standing(Standing::Expired),
            used().successor_standing(Standing::Revoked),
            used().successor_standing(Standing::Recalled),
            used().successor_standing(Standing::Quarantined),
            used().at(EXPIRES_AT),
            given_key([issued(), rotated(RotationRule::At(NOW))]),
        ];
        for given in refused {
            given.when(finish(BY_RULE)).refuses(ENDED);
            given.when(finish(Finish::ByHand)).refuses(ENDED);
            assert!(given.when(finish(Finish::Forced)).done().forced, "{given:?}");
        }
    }

    #[test]
    fn a_suspended_predecessor_is_replaced_too() {
        given_key([issued(), rotated(RotationRule::ByHand), suspended(None)])
            .successor([issued_as_successor(), first_used()])
            .when(finish(Finish::ByHand))
            .done();
    }

    #[test]
    fn the_last_operator_is_replaced_by_another_one_only() {
        given_key([issued_for_ever(), rotated(RotationRule::ByHand)])
            .successor([issued_as_successor(), first_used()])
            .being_the_last_operator()
            .when(finish(Finish::Forced))
            .refuses(Refusal::LastOperator);
    }

    #[test]
    fn a_key_that_is_not_being_rotated_is_refused() {
        given_key([issued()]).when(finish(Finish::Forced)).refuses(Refusal::NotRotating);
        given_key([issued(), rotated(RotationRule::ByHand), revoked(RevokeReason::Compromised)])
            .when(finish(Finish::Forced))
            .refuses(Refusal::AlreadyRevoked);
        refused_on_ended_keys(finish(Finish::Forced));
    }
}
