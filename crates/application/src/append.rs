//! Append and settle: no command is answered before its fate is known, or known to be unknown.

use std::time::Duration;

use domain::{CommandId, Envelope, EventId, KeyId};
use eventlog::{AppendError, NewEvent, Outcome, Queue, StreamId, StreamWrite, Unit};
use tokio::time::{Instant, sleep, timeout_at};

use crate::application::Application;
use crate::outcome::CommandError;

/// How long a command may stay in doubt before its client is told so: longer than a NATS leader election (about 4 s), shorter
/// than the time-outs of the usual HTTP clients (10 s and up).
const SETTLE_WITHIN: Duration = Duration::from_secs(6);
/// The pause before the same unit is sent again; doubled each time up to the last.
const RESEND_AFTER: Duration = Duration::from_millis(20);
const RESEND_AFTER_MAX: Duration = Duration::from_millis(500);

/// One event on its way into the log.
pub(crate) struct Draft {
    pub(crate) envelope: Envelope,
    pub(crate) expected: domain::Position,
}

impl Draft {
    fn into_write(self) -> StreamWrite {
        let payload = wire::encode(&self.envelope).into();
        StreamWrite {
            stream: StreamId::from(&self.envelope.stream),
            expected: self.expected,
            events: vec![NewEvent { id: self.envelope.event_id, payload }],
        }
    }
}

impl Application {
    pub(crate) fn draw_event_id(&self) -> EventId {
        EventId::from_u128(self.ambient.draw_ulid())
    }

    /// Appends the drafts as one unit. In doubt the identical unit is sent again: the log answers a unit that stands
    /// already with its positions, and only a conflict proves that it never will.
    ///
    /// If we stop here, the unit is in the log or not; the client's repeat finds out which.
    pub(crate) async fn append(
        &self,
        drafts: impl IntoIterator<Item = Draft>,
        queue: Queue,
        command_id: &CommandId,
        key_id: Option<KeyId>,
    ) -> Result<Outcome, CommandError> {
        if let Some(skew_ms) = self.lease.excessive_skew_ms() {
            return Err(CommandError::ClockSkew { skew_ms });
        }
        let unit = Unit { writes: drafts.into_iter().map(Draft::into_write).collect(), queue };
        let deadline = Instant::now() + SETTLE_WITHIN;
        let mut pause = RESEND_AFTER;
        let mut in_doubt: Option<String> = None;
        loop {
            match timeout_at(deadline, self.log.append(unit.clone())).await {
                Ok(Ok(outcome)) => return Ok(outcome),
                Ok(Err(AppendError::DidNotHappen { reason })) if in_doubt.is_none() => {
                    return Err(CommandError::Unavailable { reason });
                }
                // This attempt did nothing, an earlier one may have: still in doubt.
                Ok(Err(AppendError::DidNotHappen { reason } | AppendError::MayHaveHappened { reason })) => {
                    in_doubt = Some(reason);
                }
                Err(_elapsed) => {
                    in_doubt.get_or_insert_with(|| "the log did not answer in time".to_owned());
                }
            }
            if Instant::now() + pause >= deadline {
                let reason = in_doubt.unwrap_or_default();
                return Err(CommandError::OutcomeUnknown { command_id: command_id.clone(), key_id, reason });
            }
            sleep(pause).await;
            pause = (pause * 2).min(RESEND_AFTER_MAX);
        }
    }
}
