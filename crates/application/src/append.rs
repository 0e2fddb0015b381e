//! Append and settle: no command is answered before its fate is known, or known to be unknown.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use domain::{
    About, Actor, CommandId, Envelope, Event, EventId, KeyId, OwnerTag, Position, RequestTag, Revision,
    StreamName, TenantId, Timestamp,
};
use eventlog::{AppendError, NewEvent, Outcome, Queue, StreamId, StreamWrite, Unit};
use tokio::time::{Instant, sleep, timeout_at};

use crate::application::Application;
use crate::outcome::{CommandError, Request};
use crate::seals::{Need, Seals, subjects_of};

/// How long a command may stay in doubt before its client is told so: longer than a NATS leader election (about 4 s), shorter
/// than the time-outs of the usual HTTP clients (10 s and up).
const SETTLE_WITHIN: Duration = Duration::from_secs(6);
/// The pause before the same unit is sent again; doubled each time up to the last.
const RESEND_AFTER: Duration = Duration::from_millis(20);
const RESEND_AFTER_MAX: Duration = Duration::from_millis(500);
/// How long a seal is waited for by what takes something away. After that it goes on without its texts.
const SEAL_WITHIN: Duration = Duration::from_millis(500);

/// The next events of one stream, on their way into the log.
pub(crate) struct Draft {
    pub(crate) stream: StreamName,
    /// The position of the stream's last event.
    pub(crate) expected: Position,
    pub(crate) envelopes: Vec<Envelope>,
    /// Whose key it is about; none for a tenant, and where the events say it themselves.
    owner: Option<OwnerTag>,
}

impl Draft {
    /// The draft of a key of this owner.
    pub(crate) fn about(self, owner: OwnerTag) -> Self {
        Self { owner: Some(owner), ..self }
    }

    /// Whose texts it holds: a name that comes with a transfer is the new owner's.
    fn whose(&self, operator: Option<OwnerTag>) -> About {
        let transferred = self.envelopes.iter().find_map(|envelope| match &envelope.event {
            Event::KeyTransferred(transferred) => Some(transferred.owner.tag),
            _ => None,
        });
        About { owner: transferred.or(self.owner), operator }
    }

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
        Draft { stream, expected, envelopes, owner: None }
    }

    /// The drafts with every text about a person sealed: nothing readable goes into the log.
    ///
    /// Without its seal nothing is written, but by what takes something away: a lost seal must not keep anybody from that. Then
    /// notes, and where the request came from, are left out for good; so is an owner's name where the tag beside it says it.
    async fn sealed(&self, mut drafts: Vec<Draft>, queue: Queue) -> Result<Vec<Draft>, CommandError> {
        let (mut needed, mut whole) = (BTreeMap::new(), HashMap::new());
        for draft in &mut drafts {
            let about = draft.whose(self.operator_of(draft));
            for envelope in &mut draft.envelopes {
                for (subject, need) in subjects_of(envelope, about) {
                    let stays = needed.entry(subject).or_insert(need);
                    *stays = need.min(*stays);
                }
            }
        }
        for (subject, need) in needed {
            let wait = if queue == Queue::Urgent { SEAL_WITHIN } else { SETTLE_WITHIN };
            let asked = tokio::time::timeout(wait, self.seals.whole(&subject, &*self.ambient)).await;
            let reason = match asked {
                Ok(Ok(seal)) => {
                    whole.insert(subject, seal);
                    continue;
                }
                Ok(Err(error)) => error.to_string(),
                Err(_elapsed) => "the seals did not answer in time".to_owned(),
            };
            match (queue, need) {
                (Queue::Urgent, _) | (Queue::Background, Need::Beside) => {
                    tracing::warn!(tenant = %subject.tenant, reason, "an event goes without its texts");
                }
                _ => return Err(CommandError::Unavailable { reason }),
            }
        }
        for draft in &mut drafts {
            let about = draft.whose(self.operator_of(draft));
            for envelope in &mut draft.envelopes {
                Seals::seal(envelope, about, &whole);
            }
        }
        Ok(drafts)
    }

    /// Whose key the operator presented that asked; an operator that this index does not know is the tenant's own.
    fn operator_of(&self, draft: &Draft) -> Option<OwnerTag> {
        let Actor::Operator { key_id, network: Some(_) } = &draft.envelopes.first()?.actor else {
            return None;
        };
        self.index.owner_of(&TenantId::operators(), *key_id)
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
        let mut drafts = drafts.into_iter().collect();
        if !self.planted.leaves_unsealed(queue) {
            drafts = self.sealed(drafts, queue).await?;
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
