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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{
        GivenKey, KEY_ID, NOW, acme, first_used, given_key, issued, issued_as_successor,
        refused_on_ended_keys, suspended,
    };

    fn mark(given: &GivenKey) -> Result<KeyFirstUsed, Refusal> {
        let command = MarkFirstUsed { tenant: acme(), key_id: KEY_ID, first_used_at: NOW };
        command.decide(given.key(), given.life())
    }

    #[test]
    fn the_first_use_of_a_successor_is_recorded_once() {
        given_key([issued_as_successor()]).when(mark).then(KeyFirstUsed { first_used_at: NOW });
        given_key([issued_as_successor(), first_used()]).when(mark).refuses(Refusal::AlreadyAdopted);
    }

    #[test]
    fn a_use_that_was_valid_counts_although_the_key_was_suspended_since() {
        given_key([issued_as_successor(), suspended(None)]).when(mark).done();
    }

    #[test]
    fn other_keys_are_refused() {
        given_key([issued()]).when(mark).refuses(Refusal::NotASuccessor);
        refused_on_ended_keys(mark);
    }
}
