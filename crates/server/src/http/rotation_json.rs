//! A rotation, and the rule by which it ends, as they stand in JSON.

use domain::{RotationRule, Timestamp};
use projection::{RotationRow, RotationState};
use serde::Serialize;
use utoipa::ToSchema;
use wire::format_rfc3339;

/// When the predecessor of a rotation goes.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "on", rename_all = "snake_case")]
#[schema(as = RotationRule)]
pub(crate) enum RuleJson {
    /// At a time, whatever was seen.
    Time {
        /// When, RFC 3339.
        at: String,
    },
    /// Once the successor was used and each service that used the predecessor has moved.
    Evidence {
        /// For how long the predecessor must have been quiet, in seconds.
        quiet_s: u64,
        /// How far back a use makes a service one that must have moved, in seconds.
        look_back_s: u64,
    },
    /// When somebody finishes it.
    Hand,
}

impl From<RotationRule> for RuleJson {
    fn from(rule: RotationRule) -> Self {
        match rule {
            RotationRule::At(at) => Self::Time { at: format_rfc3339(at) },
            RotationRule::OnEvidence { quiet_ms, look_back_ms } => {
                Self::Evidence { quiet_s: quiet_ms / 1000, look_back_s: look_back_ms / 1000 }
            }
            RotationRule::ByHand => Self::Hand,
        }
    }
}

/// A rotation, as its predecessor shows it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(as = Rotation)]
pub(crate) struct RotationJson {
    /// The key that is to take over.
    pub(crate) successor: String,
    /// When the predecessor goes.
    pub(crate) rule: RuleJson,
    /// running, finished, cancelled, or overtaken: the predecessor ended by other means.
    pub(crate) state: &'static str,
    /// When it began, RFC 3339.
    pub(crate) started_at: String,
    /// When the successor was first found valid, RFC 3339.
    pub(crate) adopted_at: Option<String>,
    /// When it ended, RFC 3339.
    pub(crate) ended_at: Option<String>,
    /// Whether somebody insisted although the successor had not been used.
    pub(crate) forced: bool,
}

impl From<&RotationRow> for RotationJson {
    fn from(row: &RotationRow) -> Self {
        let (ended_at, forced): (Option<Timestamp>, bool) = match row.state {
            RotationState::Finished { at, forced } => (Some(at), forced),
            RotationState::Cancelled { at } => (Some(at), false),
            RotationState::Running | RotationState::Overtaken => (None, false),
        };
        Self {
            successor: row.successor.to_string(),
            rule: row.rule.into(),
            state: row.state.phase().as_str(),
            started_at: format_rfc3339(row.started_at),
            adopted_at: row.adopted_at.map(format_rfc3339),
            ended_at: ended_at.map(format_rfc3339),
            forced,
        }
    }
}
