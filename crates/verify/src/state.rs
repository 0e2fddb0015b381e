//! What decisions read from the index: keys and tenants with the position of their stream's last event.

use domain::{Key, Position, Revision};

/// A key and where its history stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The key.
    pub key: Key,
    /// The position of its stream's last event: what the next append expects.
    pub last: Position,
}

/// Where a tenant's history stands. What the tenant is called and asks of its keys is in its stream alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TenantState {
    /// Whether it was closed: its keys are refused and it takes no command.
    pub closed: bool,
    /// Whether an event of its history cannot be read here: all its keys are refused.
    pub quarantined: bool,
    /// How many events its history has.
    pub revision: Revision,
    /// The position of its stream's last event: what the next append expects.
    pub last: Position,
    /// The position of its last notice.
    pub last_notice: Position,
}
