//! `MarkFirstUsed`: the successor of a rotation was found valid for the first time.

use crate::event::KeyFirstUsed;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::Key;
use crate::life::Life;
use crate::refusal::Refusal;

/// Records that a successor is in use. The service asks this of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MarkFirstUsed {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// The successor.
    pub key_id: KeyId,
    /// When it was first found valid.
    pub first_used_at: Timestamp,
}

impl MarkFirstUsed {
    /// Decides on the key as it is.
    ///
    /// # Errors
    /// [`Refusal::NotASuccessor`], [`Refusal::AlreadyAdopted`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, key: &Key, life: &Life) -> Result<KeyFirstUsed, Refusal> {
        key.changeable()?;
        if life.predecessor.is_none() {
            return Err(Refusal::NotASuccessor);
        }
        if life.first_used_at.is_some() {
            return Err(Refusal::AlreadyAdopted);
        }
        Ok(KeyFirstUsed { first_used_at: self.first_used_at })
    }
}
