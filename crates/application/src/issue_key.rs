//! Carries out `IssueKey`: the id is derived, the secret drawn, and shown only by the attempt whose event stands.

use std::time::Duration;

use domain::{
    Envelope, Environment, Event, IssueKey, Issuer, KeyId, Labels, Networks, Owner, Personal, PersonalText,
    PlainKey, PlainSecret, Position, Revision, ScopeSet, StreamName, TenantId, Timestamp, digest_key,
    format_key,
};
use eventlog::{Outcome, Queue};

use crate::append::Draft;
use crate::application::Application;
use crate::outcome::{Changed, CommandError, Request};

/// How long an issue waits for this server's own index, so that a verify right after the answer finds the key. The index is
/// microseconds behind; if it takes longer, the answer's position lets the client wait for it.
const READABLE_WITHIN: Duration = Duration::from_secs(1);

/// What is asked for, with the owner still as text.
#[derive(Clone, Debug)]
pub struct IssueRequest {
    /// Where the key will belong.
    pub tenant: TenantId,
    /// Live or test.
    pub environment: Environment,
    /// What people call it.
    pub name: Option<PersonalText>,
    /// Whom it belongs to.
    pub owner: PersonalText,
    /// What it may do.
    pub scopes: ScopeSet,
    /// Its labels.
    pub labels: Labels,
    /// Where it may be used from.
    pub networks: Networks,
    /// When its time is up.
    pub expires_at: Option<Timestamp>,
    /// The key that issues it.
    pub issuer: Option<Issuer>,
}

/// A key that stands in the log.
#[derive(Debug)]
pub struct Issued {
    /// Its id.
    pub key_id: KeyId,
    /// The whole key, to be shown once; none when an earlier attempt issued it and showed it then.
    pub key: Option<PlainKey>,
    /// Where and when.
    pub changed: Changed,
}

impl Application {
    /// Issues a key.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event. [`CommandError::OutcomeUnknown`] names the key id that may exist.
    pub async fn issue_key(&self, request: &Request, asked: IssueRequest) -> Result<Issued, CommandError> {
        let tag_secret = self.tag_secret(&asked.tenant).await?;
        let tenant = self.tenant(&asked.tenant).await?;
        let key_id = IssueKey::key_id(&asked.tenant, &request.command_id);
        let owner =
            Owner { tag: tag_secret.owner_tag(asked.owner.as_str()), name: Personal::Plain(asked.owner) };
        let command = IssueKey {
            tenant: asked.tenant,
            environment: asked.environment,
            name: asked.name.map(Personal::Plain),
            owner,
            scopes: asked.scopes,
            labels: asked.labels,
            networks: asked.networks,
            expires_at: asked.expires_at,
            issuer: asked.issuer,
        };
        let tag = tag_secret.request_tag(&command);
        let stream = StreamName::Key(command.tenant.clone(), key_id);
        let repeated = |changed| Issued { key_id, key: None, changed };

        // A refusal (a past expiry, say) must not hide that the first attempt went through.
        if request.may_be_repeat
            && let Some(changed) = self.history(stream.clone()).await?.repeated(&request.command_id, tag)?
        {
            return Ok(repeated(changed));
        }
        let now = self.ambient.now();
        let secret = PlainSecret::draw(|bytes| self.ambient.fill(bytes));
        let digest = digest_key(&tenant.prefix, command.environment, key_id, &secret);
        let issued = command.decide(&tenant, None, digest, now)?;
        let revision = Revision::new(1);
        let envelope = Envelope {
            event_id: self.draw_event_id(),
            stream: stream.clone(),
            revision,
            occurred_at: now,
            actor: request.actor.clone(),
            command_id: request.command_id.clone(),
            request_tag: tag,
            cause: request.cause,
            trace_context: request.trace_context.clone(),
            event: Event::KeyIssued(Box::new(issued)),
        };
        let draft = Draft { envelope, expected: Position::NONE };
        match self.append([draft], Queue::Normal, &request.command_id, Some(key_id)).await? {
            Outcome::Appended { positions } => {
                // On disk, and ours: the event that stands carries the digest of the secret drawn here.
                let changed = Changed { position: positions[0], revision, occurred_at: now, repeated: false };
                self.wait_applied(changed.position, READABLE_WITHIN).await;
                let key = format_key(&tenant.prefix, command.environment, key_id, &secret);
                Ok(Issued { key_id, key: Some(key), changed })
            }
            Outcome::Conflict { .. } => {
                let before = self.history(stream).await?.repeated(&request.command_id, tag)?;
                before.map(repeated).ok_or(CommandError::Refused(domain::Refusal::KeyAlreadyIssued))
            }
        }
    }
}
