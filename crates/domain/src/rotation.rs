//! Rotation: by which rule a key gives way to its successor.

use crate::ids::{KeyId, Timestamp};

/// When the predecessor of a rotation goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RotationRule {
    /// At this time, whatever was seen.
    At(Timestamp),
    /// Once the successor was used, and the predecessor was quiet for each service that used it before.
    OnEvidence {
        /// For how long the predecessor must have been quiet.
        quiet_ms: u64,
        /// How far back a use makes a service one that must have moved.
        look_back_ms: u64,
    },
    /// Only when somebody finishes it.
    ByHand,
}

impl RotationRule {
    const DAY_MS: u64 = 24 * 60 * 60 * 1000;

    /// What holds when nothing was asked for: quiet for a day, of the services seen in the last 30 days.
    pub const DEFAULT: Self = Self::OnEvidence { quiet_ms: Self::DAY_MS, look_back_ms: 30 * Self::DAY_MS };
}

/// A rotation that is under way, as the predecessor knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rotation {
    /// The key that is to take over.
    pub successor: KeyId,
    /// When this key goes.
    pub rule: RotationRule,
    /// When it began.
    pub started_at: Timestamp,
}
