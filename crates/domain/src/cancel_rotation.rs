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
