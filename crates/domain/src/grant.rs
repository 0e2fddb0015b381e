//! What is granted with a key: the part that issuing, importing and rotating have in common.

use crate::attributes::{Labels, Networks, Owner, Personal};
use crate::ids::Timestamp;
use crate::key_format::Environment;
use crate::scope::ScopeSet;

/// Whose a key is, what it may do, where and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    /// Live or test.
    pub environment: Environment,
    /// What people call it.
    pub name: Option<Personal>,
    /// Whom it belongs to.
    pub owner: Owner,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Its labels.
    pub labels: Labels,
    /// Where it may be used from.
    pub networks: Networks,
    /// When its time is up.
    pub expires_at: Option<Timestamp>,
}
