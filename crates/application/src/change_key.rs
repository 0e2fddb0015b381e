//! The loop that every command on an existing key goes through: state, decide, append, settle.

use domain::{
    Cause, Event, IssueKey, Key, KeyId, Life, Position, Refusal, RequestTag, Revision, Standing, StreamName,
    TenantId, Timestamp,
};
use eventlog::{Outcome, Queue};
use wire::Canonical;

use crate::application::Application;
use crate::history::History;
use crate::outcome::{Changed, CommandError, Request};
use crate::seals::Closed;

/// How often a command is decided anew because another event came first. Each round lost means that some other command on
/// the same key won; ten in a row is a client in a loop.
pub(crate) const MAX_ROUNDS: u32 = 10;

/// Which key a command is about, and how.
#[derive(Clone, Copy)]
pub(crate) struct OnKey<'a> {
    pub(crate) tenant: &'a TenantId,
    pub(crate) key_id: KeyId,
    pub(crate) queue: Queue,
    pub(crate) needs: Needs,
}

/// What a command has to know of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// What the index keeps.
    Key,
    /// Its life too, which only its stream tells.
    Life,
}

impl<'a> OnKey<'a> {
    pub(crate) const fn new(tenant: &'a TenantId, key_id: KeyId) -> Self {
        Self { tenant, key_id, queue: Queue::Normal, needs: Needs::Key }
    }

    pub(crate) const fn urgent(self) -> Self {
        Self { queue: Queue::Urgent, ..self }
    }

    /// What takes a key away goes first; only what a policy asks for has time.
    pub(crate) const fn queued_for(self, cause: Cause) -> Self {
        match cause {
            Cause::Policy => self.background(),
            _ => self.urgent(),
        }
    }

    pub(crate) const fn background(self) -> Self {
        Self { queue: Queue::Background, ..self }
    }

    pub(crate) const fn with_life(self) -> Self {
        Self { needs: Needs::Life, ..self }
    }

    pub(crate) fn stream(&self) -> StreamName {
        StreamName::Key(self.tenant.clone(), self.key_id)
    }
}

/// The state that one round decides on.
pub(crate) struct State {
    pub(crate) key: Key,
    pub(crate) last: Position,
    /// Read from the log's own stream rather than from the index.
    pub(crate) read: bool,
    life: Option<Life>,
}

impl State {
    /// A name that nobody can read any more is none for a successor: sealed bytes open in their own place only.
    pub(crate) fn drop_sealed_name(&mut self) {
        if let Some(life) = &mut self.life
            && life.grant.name.as_ref().is_some_and(|name| name.plain().is_none())
        {
            life.grant.name = None;
        }
    }

    /// The key's life, which a command that asked for it can count on.
    ///
    /// # Errors
    /// [`Refusal::KeyQuarantined`] when the key's beginning cannot be read.
    pub(crate) fn life(&self) -> Result<&Life, Refusal> {
        self.life.as_ref().ok_or(Refusal::KeyQuarantined)
    }
}

pub(crate) enum Read {
    Repeated(Changed),
    State(Box<State>),
}

impl Application {
    /// Decides and appends until the events stand, a rule says no, or the rounds are used up. A refusal or a miss is
    /// answered only on what the log itself says, since another server may be ahead of this index.
    pub(crate) async fn change_key<D>(
        &self,
        request: &Request,
        on: OnKey<'_>,
        command: &(impl Canonical + Sync),
        decide: D,
    ) -> Result<Changed, CommandError>
    where
        D: Fn(&State, Timestamp) -> Result<Vec<Event>, Refusal> + Send + Sync,
    {
        let tag = self.tag_secret_in(on.queue, on.tenant).await?.request_tag(command);
        let mut known = self.known(request, on)?;
        for _ in 0..MAX_ROUNDS {
            let state = match known.take() {
                Some(state) => state,
                None => match self.read(request, on, tag).await? {
                    Read::Repeated(changed) => return Ok(changed),
                    Read::State(state) => *state,
                },
            };
            if request.if_match.is_some_and(|wanted| wanted != state.key.revision) {
                if state.read {
                    return Err(CommandError::RevisionMismatch { actual: state.key.revision });
                }
                continue;
            }
            let now = self.ambient.now();
            let events = match decide(&state, now) {
                Ok(events) => events,
                Err(refusal) if state.read => return Err(refusal.into()),
                Err(_) => continue,
            };
            let at = (state.last, state.key.revision);
            let draft = self.draft((request, tag), on.stream(), at, now, events).about(state.key.owner);
            let revision = draft.envelopes.last().map_or(state.key.revision, |last| last.revision);
            match self.append([draft], on.queue, &request.command_id, None).await? {
                Outcome::Appended { positions } => {
                    let position = positions.into_iter().max().unwrap_or(state.last);
                    return Ok(Changed { position, revision, occurred_at: now, repeated: false });
                }
                Outcome::Conflict { .. } => {}
            }
        }
        Err(busy())
    }

    /// The index's state, when that is enough to decide on: not for a command id that may stand in the stream already, and
    /// not for a quarantined key, of which the index knows too little.
    fn known(&self, request: &Request, on: OnKey<'_>) -> Result<Option<State>, CommandError> {
        let Some(state) = self.index.key(on.tenant, on.key_id) else { return Ok(None) };
        if request.may_be_repeat {
            // The stream's first event stands under the command id that the key id was derived from.
            if IssueKey::key_id(on.tenant, &request.command_id) == on.key_id {
                return Err(CommandError::CommandIdReused);
            }
            if state.key.revision != Revision::new(1) {
                return Ok(None);
            }
        }
        let usable = state.key.standing != Standing::Quarantined && on.needs == Needs::Key;
        Ok(usable.then_some(State { key: state.key, last: state.last, read: false, life: None }))
    }

    /// The state that the key's own stream tells, or the outcome that stands in it under this command id.
    pub(crate) async fn read(
        &self,
        request: &Request,
        on: OnKey<'_>,
        tag: RequestTag,
    ) -> Result<Read, CommandError> {
        let history = self.history(on.stream()).await?;
        if let Some(changed) = history.repeated(&request.command_id, tag)? {
            return Ok(Read::Repeated(changed));
        }
        let state = self.state_of(on, &history).await?;
        state.map(Box::new).map(Read::State).ok_or(CommandError::NotFound)
    }

    /// A key and its life as its stream tells them; none if there is no such key.
    pub(crate) async fn key_and_life(
        &self,
        tenant: &TenantId,
        key_id: KeyId,
    ) -> Result<Option<State>, CommandError> {
        let on = OnKey::new(tenant, key_id);
        let history = self.history(on.stream()).await?;
        self.state_of(on, &history).await
    }

    /// None if there is no such key.
    async fn state_of(&self, on: OnKey<'_>, history: &History) -> Result<Option<State>, CommandError> {
        let Some(mut key) = history.key() else { return Ok(None) };
        // A recall stands in the tenant's stream; what it covers is known to the index. While the key's row is behind its
        // stream the index errs on the side of refusing: the recall may not cover what the key had become before it, and that
        // may be newer than this history, too. So that it is recalled is said once the rows have reached the head.
        let recalled = || {
            let indexed = self.index.key(on.tenant, on.key_id);
            indexed.filter(|state| state.key.standing == Standing::Recalled)
        };
        if recalled().is_some_and(|state| state.last < history.last() || !key.has_ended()) {
            let caught_up = self.catch_up().await;
            if !key.has_ended() {
                caught_up?;
            }
        }
        if recalled().is_some_and(|state| state.last >= history.last() || !key.has_ended()) {
            key.standing = Standing::Recalled;
        }
        let mut state = State { key, last: history.last(), read: true, life: history.life() };
        // What takes a key away does not look at texts, and must not wait for them.
        if on.needs == Needs::Life && on.queue == Queue::Normal {
            self.open_name(&mut state).await?;
        }
        Ok(Some(state))
    }
}

impl Application {
    /// Makes a key's name readable, if anybody can still read it: to be compared with another, or given to a successor.
    pub(crate) async fn open_name(&self, state: &mut State) -> Result<(), CommandError> {
        let State { key, life: Some(life), .. } = state else { return Ok(()) };
        let Some(value) = life.grant.name.as_mut() else { return Ok(()) };
        let name = Closed::Text { tenant: &key.tenant, key_id: Some(key.key_id), value };
        self.seals.open(vec![name]).await.map_err(|error| CommandError::unavailable(&error))
    }
}

pub(crate) fn busy() -> CommandError {
    CommandError::Unavailable { reason: "other commands on the same stream keep coming first".to_owned() }
}
