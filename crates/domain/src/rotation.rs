//! Rotation: by which rule a key gives way to its successor.

use thiserror::Error;

use crate::ids::{KeyId, Timestamp};

/// Spans from which no evidence can come.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error(
    "quiet is at least a second, and the look back at least as long and at most 90 days, as far as usage is kept"
)]
pub struct RotationRuleError;

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

    const SHORTEST_QUIET_MS: u64 = 1_000;
    /// Usage is kept by day for so long; beyond, who used the key before is not known.
    const LONGEST_LOOK_BACK_MS: u64 = 90 * Self::DAY_MS;

    /// On evidence, with these spans.
    ///
    /// # Errors
    /// [`RotationRuleError`] for spans that usage can say nothing about.
    pub const fn on_evidence(quiet_ms: u64, look_back_ms: u64) -> Result<Self, RotationRuleError> {
        let fits = quiet_ms >= Self::SHORTEST_QUIET_MS
            && quiet_ms <= look_back_ms
            && look_back_ms <= Self::LONGEST_LOOK_BACK_MS;
        if fits { Ok(Self::OnEvidence { quiet_ms, look_back_ms }) } else { Err(RotationRuleError) }
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_needs_spans_that_usage_covers() {
        let day = RotationRule::DAY_MS;
        assert_eq!(RotationRule::on_evidence(day, 30 * day), Ok(RotationRule::DEFAULT));
        for (quiet_ms, look_back_ms, fits) in [
            (1_000, 1_000, true),
            (999, day, false),
            (0, 0, false),
            (2_000, 1_999, false),
            (day, 90 * day, true),
            (day, 90 * day + 1, false),
        ] {
            assert_eq!(
                RotationRule::on_evidence(quiet_ms, look_back_ms).is_ok(),
                fits,
                "{quiet_ms} {look_back_ms}"
            );
        }
    }
}
