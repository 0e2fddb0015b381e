//! Append and settle: no command is answered before its fate is known, or known to be unknown.

use std::time::Duration;

use domain::{
    CommandId, Envelope, Event, EventId, KeyId, Position, RequestTag, Revision, StreamName, Timestamp,
};
use eventlog::{AppendError, NewEvent, Outcome, Queue, StreamId, StreamWrite, Unit};
use tokio::time::{Instant, sleep, timeout_at};

use crate::application::Application;
use crate::outcome::{CommandError, Request};

/// How long a command may stay in doubt before its client is told so: longer than a NATS leader election (about 4 s), shorter
/// than the time-outs of the usual HTTP clients (10 s and up).
const SETTLE_WITHIN: Duration = Duration::from_secs(6);
/// The pause before the same unit is sent again; doubled each time up to the last.
const RESEND_AFTER: Duration = Duration::from_millis(20);
const RESEND_AFTER_MAX: Duration = Duration::from_millis(500);

/// The next events of one stream, on their way into the log.
pub(crate) struct Draft {
    pub(crate) stream: StreamName,
    /// The position of the stream's last event.
    pub(crate) expected: Position,
    pub(crate) envelopes: Vec<Envelope>,
}

impl Draft {
    fn into_write(self) -> StreamWrite {
        let new =
            |envelope: &Envelope| NewEvent { id: envelope.event_id, payload: wire::encode(envelope).into() };
        StreamWrite {
            stream: StreamId::from(&self.stream),
            expected: self.expected,
            events: self.envelopes.iter().map(new).collect(),
        }
    }
}

impl Application {
    pub(crate) fn draw_event_id(&self) -> EventId {
        EventId::from_u128(self.ambient.draw_ulid())
    }

    /// The events that a command made at `now`, as they follow a stream's `expected` event of revision `after`.
    pub(crate) fn draft(
        &self,
        (request, tag): (&Request, RequestTag),
        stream: StreamName,
        (expected, after): (Position, Revision),
        now: Timestamp,
        events: Vec<Event>,
    ) -> Draft {
        let mut revision = after;
        let envelope = |event| {
            revision = revision.next();
            Envelope {
                event_id: self.draw_event_id(),
                stream: stream.clone(),
                revision,
                occurred_at: now,
                actor: request.actor.clone(),
                command_id: request.command_id.clone(),
                request_tag: tag,
                cause: request.cause,
                trace_context: request.trace_context.clone(),
                event,
            }
        };
        let envelopes = events.into_iter().map(envelope).collect();
        Draft { stream, expected, envelopes }
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
                Ok(Ok(outcome)) => {
                    self.note_append(None);
                    return Ok(outcome);
                }
                Ok(Err(AppendError::DidNotHappen { reason })) if in_doubt.is_none() => {
                    self.note_append(Some(&reason));
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
                self.note_append(Some(&reason));
                return Err(CommandError::OutcomeUnknown { command_id: command_id.clone(), key_id, reason });
            }
            sleep(pause).await;
            pause = (pause * 2).min(RESEND_AFTER_MAX);
        }
    }
}
