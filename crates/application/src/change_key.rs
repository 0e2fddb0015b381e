//! The loop that every command on an existing key goes through: state, decide, append, settle.

use std::sync::Arc;

use domain::{
    Envelope, Event, Key, KeyId, Position, Refusal, RequestTag, Revision, Standing, StreamName, TenantId,
    Timestamp,
};
use eventlog::{Outcome, Queue};
use wire::TagSecret;

use crate::append::Draft;
use crate::application::Application;
use crate::history::History;
use crate::outcome::{Changed, CommandError, Request};

/// How often a command is decided anew because another event came first. Each round lost means that some other command on
/// the same key won; ten in a row is a client in a loop.
const MAX_ROUNDS: u32 = 10;

/// A command on one existing key, without what it decides.
pub(crate) struct KeyCommand<'a> {
    pub(crate) request: &'a Request,
    pub(crate) tenant: &'a TenantId,
    pub(crate) key_id: KeyId,
    pub(crate) tag: RequestTag,
    pub(crate) queue: Queue,
}

/// The state that one round decides on.
struct State {
    key: Key,
    last: Position,
    /// Read from the log's own stream rather than from the index.
    read: bool,
}

impl Application {
    /// The tag secret of a tenant that must exist.
    pub(crate) async fn tag_secret(&self, tenant: &TenantId) -> Result<Arc<TagSecret>, CommandError> {
        let secret = self.tag_secrets.of(tenant).await.map_err(|error| CommandError::unavailable(&error))?;
        secret.ok_or(CommandError::NotFound)
    }

    /// Decides and appends until the event stands, a rule says no, or the rounds are used up. A refusal or a miss is
    /// answered only on what the log itself says, since another server may be ahead of this index.
    pub(crate) async fn change_key(
        &self,
        command: &KeyCommand<'_>,
        decide: impl Fn(&Key, Timestamp) -> Result<Event, Refusal> + Send + Sync,
    ) -> Result<Changed, CommandError> {
        let mut known = self.known(command)?;
        for _ in 0..MAX_ROUNDS {
            let state = match known.take() {
                Some(state) => state,
                None => match self.read(command).await? {
                    Read::Repeated(changed) => return Ok(changed),
                    Read::State(state) => state,
                },
            };
            let now = self.ambient.now();
            let event = match decide(&state.key, now) {
                Ok(event) => event,
                Err(refusal) if state.read => return Err(refusal.into()),
                Err(_) => continue,
            };
            let revision = state.key.revision.next();
            let envelope = self.envelope(command, revision, now, event);
            let draft = Draft { envelope, expected: state.last };
            match self.append([draft], command.queue, &command.request.command_id, None).await? {
                Outcome::Appended { positions } => {
                    let position = positions[0];
                    return Ok(Changed { position, revision, occurred_at: now, repeated: false });
                }
                Outcome::Conflict { .. } => {}
            }
        }
        Err(CommandError::Unavailable { reason: "other commands on this key keep coming first".to_owned() })
    }

    /// The index's state, when that is enough to decide on: not for a command id that may stand in the stream already, and
    /// not for a quarantined key, of which the index knows too little.
    fn known(&self, command: &KeyCommand<'_>) -> Result<Option<State>, CommandError> {
        let Some(state) = self.index.key(command.tenant, command.key_id) else { return Ok(None) };
        let first = Revision::new(1);
        if command.request.may_be_repeat {
            // The stream's first event stands under the command id that the key id was derived from.
            if domain::IssueKey::key_id(command.tenant, &command.request.command_id) == command.key_id {
                return Err(CommandError::CommandIdReused);
            }
            if state.key.revision != first {
                return Ok(None);
            }
        }
        let usable = state.key.standing != Standing::Quarantined;
        Ok(usable.then_some(State { key: state.key, last: state.last, read: false }))
    }

    async fn read(&self, command: &KeyCommand<'_>) -> Result<Read, CommandError> {
        let stream = StreamName::Key(command.tenant.clone(), command.key_id);
        let history: History = self.history(stream).await?;
        if let Some(changed) = history.repeated(&command.request.command_id, command.tag)? {
            return Ok(Read::Repeated(changed));
        }
        let last = history.last();
        let key = history.key().ok_or(CommandError::NotFound)?;
        Ok(Read::State(State { key, last, read: true }))
    }

    fn envelope(
        &self,
        command: &KeyCommand<'_>,
        revision: Revision,
        now: Timestamp,
        event: Event,
    ) -> Envelope {
        Envelope {
            event_id: self.draw_event_id(),
            stream: StreamName::Key(command.tenant.clone(), command.key_id),
            revision,
            occurred_at: now,
            actor: command.request.actor.clone(),
            command_id: command.request.command_id.clone(),
            request_tag: command.tag,
            cause: command.request.cause,
            trace_context: command.request.trace_context.clone(),
            event,
        }
    }
}

enum Read {
    Repeated(Changed),
    State(State),
}
