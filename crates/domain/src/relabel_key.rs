//! `RelabelKey`: the key has other labels.

use crate::attributes::Labels;
use crate::event::KeyRelabelled;
use crate::ids::{KeyId, TenantId};
use crate::key::Key;
use crate::refusal::Refusal;

/// Gives a key other labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// All its labels from then on.
    pub labels: Labels,
}

impl RelabelKey {
    /// Decides on the key as it is.
    ///
    /// # Errors
    /// [`Refusal::Unchanged`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, key: &Key) -> Result<KeyRelabelled, Refusal> {
        key.changeable()?;
        if key.labels == self.labels {
            return Err(Refusal::Unchanged);
        }
        Ok(KeyRelabelled { labels: self.labels.clone() })
    }
}
