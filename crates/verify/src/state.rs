//! What decisions read from the index: keys and tenants with the position of their stream's last event.

use domain::{Key, Position, Tenant};

/// A key and where its history stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The key.
    pub key: Key,
    /// The position of its stream's last event: what the next append expects.
    pub last: Position,
}

/// A tenant and where its history stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TenantState {
    /// The tenant. Of one whose opening cannot be read here, only the id means anything.
    pub tenant: Tenant,
    /// The position of its stream's last event: what the next append expects.
    pub last: Position,
    /// The position of its last notice.
    pub last_notice: Position,
    /// Whether an event of its history cannot be read here: all its keys are refused.
    pub quarantined: bool,
}
