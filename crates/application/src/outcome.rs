//! What a command comes with and how it can end.

use domain::{Actor, Cause, CommandId, KeyId, Position, Refusal, Revision, TenantId, Timestamp};
use thiserror::Error;

/// Who asks, and under which command id.
#[derive(Clone, Debug)]
pub struct Request {
    /// Who.
    pub actor: Actor,
    /// What set it off.
    pub cause: Cause,
    /// What makes it repeatable.
    pub command_id: CommandId,
    /// Whether the command id may have been sent before. One just made up cannot have been, which saves reading the stream.
    pub may_be_repeat: bool,
    /// The revision that the key must have for the command to be decided at all.
    pub if_match: Option<Revision>,
    /// The W3C `traceparent` it came with.
    pub trace_context: Option<Box<str>>,
}

impl Request {
    /// What the service asks of itself. Its command ids are derived, so every server asks under the same one.
    #[must_use]
    pub const fn system(cause: Cause, command_id: CommandId) -> Self {
        Self {
            actor: Actor::System,
            cause,
            command_id,
            may_be_repeat: true,
            if_match: None,
            trace_context: None,
        }
    }
}

/// A change that stands in the log, made now or by an earlier attempt under the same command id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Where the event stands; the last one, where the command made several.
    pub position: Position,
    /// Its place in its stream.
    pub revision: Revision,
    /// When it was decided.
    pub occurred_at: Timestamp,
    /// Whether an earlier attempt made it.
    pub repeated: bool,
}

/// Why a command was not carried out, or is not known to be.
#[derive(Debug, Error)]
pub enum CommandError {
    /// A rule said no.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// There is no such tenant or key for whoever asks.
    #[error("there is no such tenant or key")]
    NotFound,
    /// The command id was used before for something else.
    #[error("the command id was used before with another request")]
    CommandIdReused,
    /// The key is at another revision than the command was meant for.
    #[error("the key is at revision {actual}, not at the one asked for")]
    RevisionMismatch {
        /// Where it is.
        actual: Revision,
    },
    /// The token of a preview was altered, is of another tenant or selector, or too old.
    #[error("the token is not of a recent preview of this recall")]
    PreviewInvalid,
    /// More keys would be recalled than the preview showed.
    #[error("{count} keys would be recalled that the preview did not show")]
    PreviewOutdated {
        /// How many.
        count: usize,
        /// Some of them.
        sample: Vec<KeyId>,
    },
    /// A recall came before the rotation that was decided before it: both stand, and the successor was revoked at once.
    #[error("the key was recalled while it was rotated; its successor {successor} was revoked at once")]
    RotationOvertaken {
        /// The successor, which nobody was given.
        successor: KeyId,
        /// Where the rotation stands.
        position: Position,
    },
    /// The tenant stands in the log, its seal is gone.
    #[error(
        "the seal of tenant {tenant} is lost; put seals/{tenant}, or the bucket RESCIND_SEALS, back from the backup"
    )]
    SealMissing {
        /// Whose.
        tenant: TenantId,
    },
    /// Nothing happened; later may do.
    #[error("nothing was changed: {reason}")]
    Unavailable {
        /// What stood in the way, one lower-case clause.
        reason: String,
    },
    /// This server's clock and the log's differ too much to date an event.
    #[error("nothing was changed: this server's clock differs from the log's by {skew_ms} ms")]
    ClockSkew {
        /// By how much; positive when this server is ahead.
        skew_ms: i64,
    },
    /// Nobody knows yet whether it happened. Asking again with the same command id settles it.
    #[error("it is not known whether the change was made: {reason}")]
    OutcomeUnknown {
        /// The id to ask again with.
        command_id: CommandId,
        /// The key that may exist, for an issue.
        key_id: Option<KeyId>,
        /// What went wrong, one lower-case clause.
        reason: String,
    },
}

impl CommandError {
    /// The same once a part of the command stands, which then must not be said to have changed nothing: asking again with
    /// the command's own id does the rest.
    pub(crate) fn after_a_part_of(self, request: &Request, key_id: Option<KeyId>) -> Self {
        let reason = match self {
            Self::Unavailable { reason } | Self::OutcomeUnknown { reason, .. } => reason,
            error => error.to_string(),
        };
        Self::OutcomeUnknown { command_id: request.command_id.clone(), key_id, reason }
    }

    pub(crate) fn unavailable(error: &impl ToString) -> Self {
        Self::Unavailable { reason: error.to_string() }
    }
}
