//! What decisions read from the index: keys and tenants with the position of their stream's last event.

use std::sync::Arc;

use domain::{Key, Owner, Position, Revision, Timestamp};

/// A key and where its history stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyState {
    /// The key.
    pub key: Key,
    /// The position of its stream's last event: what the next append expects.
    pub last: Position,
}

/// All that a verifier elsewhere needs to judge a key by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// The key, recalls and refusals included that the rows do not say yet.
    pub key: Key,
    /// The position of its stream's last event: recalls above it that match hit the key.
    pub settled_at: Position,
    /// The first 16 bytes of its digest.
    pub digest: [u8; 16],
    /// Another system's key, opened by the digest of the whole token.
    pub imported: bool,
    /// Whom it belongs to.
    pub owner: Arc<Owner>,
    /// Since when it is revoked, recalled or expired.
    pub ended_at: Option<Timestamp>,
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
    /// The position of the last event of the tenant or its keys that cannot be read here, or a later one: it may have no
    /// notice, so whoever holds keys has to ask for them again above it.
    pub last_unread: Position,
}
