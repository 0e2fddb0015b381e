//! Carries out the commands of a rotation: it begins with a successor, is adopted, and is finished or called off.

use domain::{
    CancelRotation, Cause, CommandId, Event, FinishRotation, IssueKey, Issuer, KeyId, MarkFirstUsed,
    PlainKey, PlainSecret, Position, RequestTag, Revision, RevokeKey, RevokeReason, RotateKey, RotationRule,
    Standing, StreamName, TenantId, Timestamp, digest_key, format_key,
};
use eventlog::{Outcome, Queue};

use crate::append::Draft;
use crate::application::Application;
use crate::change_key::{MAX_ROUNDS, OnKey, Read, State, busy};
use crate::outcome::{Changed, CommandError, Request};

/// What is asked for.
#[derive(Clone, Debug)]
pub struct RotateRequest {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// The key that is to be replaced.
    pub key_id: KeyId,
    /// When it goes.
    pub rule: RotationRule,
    /// When the successor's time is up; none gives it as long as the predecessor was given.
    pub expires_at: Option<Timestamp>,
    /// Who asks.
    pub issuer: Option<Issuer>,
}

/// A rotation that began.
#[derive(Debug)]
pub struct Rotated {
    /// The key that is to take over.
    pub successor: KeyId,
    /// The whole new key, to be shown once; none when an earlier attempt began the rotation and showed it then.
    pub key: Option<PlainKey>,
    /// Where and when, in the predecessor's history.
    pub changed: Changed,
}

impl Application {
    /// Rotates a key: one unit tells it of its successor and issues that.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event. [`CommandError::OutcomeUnknown`] names the successor that may exist.
    pub async fn rotate_key(&self, request: &Request, asked: RotateRequest) -> Result<Rotated, CommandError> {
        let RotateRequest { tenant, key_id, rule, expires_at, issuer } = asked;
        let command = RotateKey { tenant, key_id, rule, expires_at, issuer };
        let tag = self.tag_secret(&command.tenant).await?.request_tag(&command);
        let successor = IssueKey::key_id(&command.tenant, &request.command_id);
        let on = OnKey::new(&command.tenant, key_id);
        if successor == key_id {
            return Err(CommandError::CommandIdReused);
        }
        for _ in 0..MAX_ROUNDS {
            let heard = self.index.applied();
            let mut state = match self.read(request, on, tag).await? {
                Read::Repeated(changed) => return self.rotated_before(request, &command, tag, changed).await,
                Read::State(state) => *state,
            };
            check_revision(request, &state)?;
            self.open_name(&mut state).await?;
            state.drop_sealed_name();
            let tenant = self.tenant_state(&command.tenant).await?.tenant;
            let now = self.ambient.now();
            let secret = PlainSecret::draw(|bytes| self.ambient.fill(bytes));
            let life = state.life()?;
            let environment = life.grant.environment;
            let digest = digest_key(&tenant.prefix, environment, successor, &secret);
            let (rotated, issued) = command.decide(&tenant, &state.key, life, (successor, digest), now)?;
            let drafts = [
                self.draft_on(request, tag, on, &state, now, Event::KeyRotated(rotated)),
                self.draft(
                    (request, tag),
                    StreamName::Key(command.tenant.clone(), successor),
                    (Position::NONE, Revision::NONE),
                    now,
                    vec![Event::KeyIssued(Box::new(issued))],
                ),
            ];
            match self.append(drafts, Queue::Normal, &request.command_id, Some(successor)).await? {
                Outcome::Appended { positions } => {
                    let position = positions.into_iter().max().unwrap_or(state.last);
                    let revision = state.key.revision.next();
                    let changed = Changed { position, revision, occurred_at: now, repeated: false };
                    self.unless_overtaken(request, &command, (successor, position), Some(heard)).await?;
                    let key = format_key(&tenant.prefix, environment, successor, &secret);
                    return Ok(Rotated { successor, key: Some(key), changed });
                }
                // Nobody else derives this id, unless the command id was used to issue a key.
                Outcome::Conflict { .. }
                    if self.key_and_life(&command.tenant, successor).await?.is_some() =>
                {
                    return match self.read(request, on, tag).await? {
                        Read::Repeated(changed) => self.rotated_before(request, &command, tag, changed).await,
                        Read::State(_) => Err(CommandError::CommandIdReused),
                    };
                }
                Outcome::Conflict { .. } => {}
            }
        }
        Err(busy())
    }

    /// What an earlier attempt began, or what became of it.
    async fn rotated_before(
        &self,
        request: &Request,
        command: &RotateKey,
        tag: RequestTag,
        changed: Changed,
    ) -> Result<Rotated, CommandError> {
        let successor = IssueKey::key_id(&command.tenant, &request.command_id);
        let changed = self.whole(request, tag, changed, &command.tenant, successor).await?;
        self.unless_overtaken(request, command, (successor, changed.position), None).await?;
        Ok(Rotated { successor, key: None, changed })
    }

    /// A recall that came between decision and append covers the predecessor and not its successor, which was issued after
    /// it: then the successor goes too, and that is told. If we stop before it went, whoever asks again lets it go.
    ///
    /// `heard` is what the index had when the rotation was decided; none for a repeat, which does not know.
    async fn unless_overtaken(
        &self,
        request: &Request,
        command: &RotateKey,
        (successor, position): (KeyId, Position),
        heard: Option<Position>,
    ) -> Result<(), CommandError> {
        let overtaken = async {
            if !self.is_overtaken(command, position, heard).await? {
                return Ok(false);
            }
            let id = format!("retire-{successor}").parse().expect("a word and an id are printable ASCII");
            let retire = RevokeKey {
                tenant: command.tenant.clone(),
                key_id: successor,
                reason: RevokeReason::Superseded,
                note: None,
            };
            match self.revoke_key(&Request::system(Cause::Cascade, id), retire).await {
                // Ended otherwise is ended as well.
                Ok(_) | Err(CommandError::Refused(_)) => Ok(true),
                Err(error) => Err(error),
            }
        };
        match overtaken.await {
            Ok(false) => Ok(()),
            Ok(true) => Err(CommandError::RotationOvertaken { successor, position }),
            Err(error) => Err(error.after_a_part_of(request, Some(successor))),
        }
    }

    /// Whether a recall of the predecessor stands below its rotation. A later one is none of the rotation's matter.
    async fn is_overtaken(
        &self,
        command: &RotateKey,
        position: Position,
        heard: Option<Position>,
    ) -> Result<bool, CommandError> {
        let RotateKey { tenant, key_id, .. } = command;
        let is_shown = self.wait_shown(position).await;
        let is_recalled =
            || self.index.key(tenant, *key_id).is_some_and(|state| state.key.standing == Standing::Recalled);
        if heard.is_none() && is_shown && !is_recalled() {
            return Ok(false);
        }
        let recalls =
            self.history_after(StreamName::Tenant(tenant.clone()), heard.unwrap_or(Position::NONE)).await?;
        if recalls.last() == Position::NONE {
            return Ok(false);
        }
        let history = self.history(StreamName::Key(tenant.clone(), *key_id)).await?;
        Ok(recalls.recalled_below(position, |at| history.key_at(at)))
    }

    /// Records a successor's first use. Every server may ask; the command id follows from the key, so one event comes of it.
    ///
    /// # Errors
    /// [`CommandError`]; `already_adopted` when it is recorded.
    pub async fn mark_first_used(&self, command: MarkFirstUsed) -> Result<Changed, CommandError> {
        let id = format!("first-used-{}", command.key_id);
        let id: CommandId = id.parse().expect("an id is printable ASCII");
        let request = Request::system(Cause::Rotation, id);
        let on = OnKey::new(&command.tenant, command.key_id).background().with_life();
        self.change_key(&request, on, &command, |state, _now| {
            Ok(vec![Event::KeyFirstUsed(command.decide(&state.key, state.life()?)?)])
        })
        .await
    }

    /// Finishes a rotation. On return this server refuses the predecessor.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn finish_rotation(
        &self,
        request: &Request,
        command: FinishRotation,
    ) -> Result<Changed, CommandError> {
        let tag = self.tag_secret(&command.tenant).await?.request_tag(&command);
        let on = OnKey::new(&command.tenant, command.key_id);
        let alone = self.alone_among_operators(&command.tenant).await;
        for _ in 0..MAX_ROUNDS {
            let state = match self.read(request, on, tag).await? {
                Read::Repeated(changed) => return Ok(self.finished(on.tenant, command.key_id, changed)),
                Read::State(state) => *state,
            };
            check_revision(request, &state)?;
            // Read in every round: who came first may have changed it.
            let successor = self.heir_of(on.tenant, &state).await?;
            let heir = successor.as_ref().and_then(|heir| Some((&heir.key, heir.life().ok()?)));
            let now = self.ambient.now();
            let last_operator = self.is_last_operator(&state.key);
            let finished = command.decide(&state.key, state.life()?, heir, last_operator, now)?;
            let draft = self.draft_on(request, tag, on, &state, now, Event::RotationFinished(finished));
            if let Outcome::Appended { positions } =
                self.append([draft], on.queue, &request.command_id, None).await?
            {
                let (position, revision) = (positions[0], state.key.revision.next());
                let changed = Changed { position, revision, occurred_at: now, repeated: false };
                let changed = self.finished(on.tenant, command.key_id, changed);
                if alone.is_some() {
                    self.wait_shown(changed.position).await;
                }
                return Ok(changed);
            }
        }
        Err(busy())
    }

    /// From here on this server refuses the predecessor.
    fn finished(&self, tenant: &TenantId, key_id: KeyId, changed: Changed) -> Changed {
        self.refuse(tenant, key_id, changed.position, changed.occurred_at);
        changed
    }

    /// Calls a rotation off: one unit frees the predecessor and retires the successor, which this server refuses on return.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn cancel_rotation(
        &self,
        request: &Request,
        command: CancelRotation,
    ) -> Result<Changed, CommandError> {
        let tag = self.tag_secret(&command.tenant).await?.request_tag(&command);
        let on = OnKey::new(&command.tenant, command.key_id);
        for _ in 0..MAX_ROUNDS {
            let state = match self.read(request, on, tag).await? {
                Read::Repeated(changed) => return self.cancelled_before(request, on, tag, changed).await,
                Read::State(state) => *state,
            };
            check_revision(request, &state)?;
            let life = state.life()?;
            let heir = self.heir_of(on.tenant, &state).await?;
            let now = self.ambient.now();
            let heir_key = heir.as_ref().map(|heir| &heir.key);
            let last_operator = heir_key.is_some_and(|key| self.is_last_operator(key));
            let (cancelled, retired) = command.decide(&state.key, life, heir_key, last_operator)?;
            let mut drafts =
                vec![self.draft_on(request, tag, on, &state, now, Event::RotationCancelled(cancelled))];
            let retires = heir.as_ref().zip(retired);
            let retired_id = retires.as_ref().map(|(heir, _)| heir.key.key_id);
            if let Some((heir, revoked)) = retires {
                let heir_on = OnKey::new(on.tenant, heir.key.key_id);
                drafts.push(self.draft_on(request, tag, heir_on, heir, now, Event::KeyRevoked(revoked)));
            }
            if let Outcome::Appended { positions } =
                self.append(drafts, Queue::Urgent, &request.command_id, None).await?
            {
                let position = positions.into_iter().max().unwrap_or(state.last);
                if let Some(key_id) = retired_id {
                    self.refuse(on.tenant, key_id, position, now);
                }
                let revision = state.key.revision.next();
                return Ok(Changed { position, revision, occurred_at: now, repeated: false });
            }
        }
        Err(busy())
    }

    fn draft_on(
        &self,
        request: &Request,
        tag: RequestTag,
        on: OnKey<'_>,
        state: &State,
        now: Timestamp,
        event: Event,
    ) -> Draft {
        let at = (state.last, state.key.revision);
        self.draft((request, tag), on.stream(), at, now, vec![event]).about(state.key.owner)
    }

    /// A rotation that was called off before: this server refuses its successor as well, if it was retired by that.
    async fn cancelled_before(
        &self,
        request: &Request,
        on: OnKey<'_>,
        tag: RequestTag,
        changed: Changed,
    ) -> Result<Changed, CommandError> {
        let history = self.history(on.stream()).await?;
        let Some(successor) = history.cancelled_successor(&request.command_id) else { return Ok(changed) };
        let whole = self.whole(request, tag, changed, on.tenant, successor).await?;
        if whole.position != changed.position {
            self.refuse(on.tenant, successor, whole.position, whole.occurred_at);
        }
        Ok(whole)
    }

    /// An outcome in the predecessor's history, at the position where its unit ends: in the successor's, if that is part of it.
    async fn whole(
        &self,
        request: &Request,
        tag: RequestTag,
        changed: Changed,
        tenant: &TenantId,
        successor: KeyId,
    ) -> Result<Changed, CommandError> {
        let history = self.history(StreamName::Key(tenant.clone(), successor)).await?;
        let there = history.repeated(&request.command_id, tag)?;
        let position = there.map_or(changed.position, |there| there.position.max(changed.position));
        Ok(Changed { position, ..changed })
    }

    /// The successor of a rotation that is under way.
    async fn heir_of(&self, tenant: &TenantId, state: &State) -> Result<Option<State>, CommandError> {
        match state.life().ok().and_then(|life| life.rotation.as_ref()) {
            Some(rotation) => self.key_and_life(tenant, rotation.successor).await,
            None => Ok(None),
        }
    }
}

fn check_revision(request: &Request, state: &State) -> Result<(), CommandError> {
    match request.if_match {
        Some(wanted) if wanted != state.key.revision => {
            Err(CommandError::RevisionMismatch { actual: state.key.revision })
        }
        _ => Ok(()),
    }
}
