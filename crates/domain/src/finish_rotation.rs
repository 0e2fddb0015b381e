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
