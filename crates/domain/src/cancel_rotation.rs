//! `CancelRotation`: the predecessor stays, and its successor is retired instead.

use crate::event::{KeyRevoked, RotationCancelled};
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
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
    /// Decides on the predecessor and its successor as they are. A successor that has ended already is left as it is.
    ///
    /// # Errors
    /// [`Refusal::NotRotating`]; those of a key that has ended or cannot be read.
    pub fn decide(
        &self,
        key: &Key,
        life: &Life,
        successor: Option<&Key>,
    ) -> Result<(RotationCancelled, Option<KeyRevoked>), Refusal> {
        key.changeable()?;
        let Some(rotation) = &life.rotation else { return Err(Refusal::NotRotating) };
        let retire = successor.is_some_and(|key| key.changeable().is_ok());
        let revoked = retire.then_some(KeyRevoked { reason: RevokeReason::Superseded, note: None });
        Ok((RotationCancelled { successor: rotation.successor }, revoked))
    }
}
