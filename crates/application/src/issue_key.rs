//! Carries out `IssueKey`: the id is derived, the secret drawn, and shown only by the attempt whose event stands.

use domain::{
    Event, IssueKey, Issuer, KeyId, PlainKey, PlainSecret, Position, Revision, StreamName, TenantId,
    Timestamp, digest_key, format_key,
};
use eventlog::{Outcome, Queue};

use crate::application::Application;
use crate::asked_grant::AskedGrant;
use crate::outcome::{Changed, CommandError, Request};

/// What is asked for, with the owner still as text.
#[derive(Clone, Debug)]
pub struct IssueRequest {
    /// Where the key will belong.
    pub tenant: TenantId,
    /// What comes with it.
    pub grant: AskedGrant,
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
    /// When its time is up: as asked for, or as a policy gives it.
    pub expires_at: Option<Timestamp>,
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
        let tenant = self.tenant_state(&asked.tenant).await?.tenant;
        let key_id = IssueKey::key_id(&asked.tenant, &request.command_id);
        let environment = asked.grant.environment;
        let command =
            IssueKey { tenant: asked.tenant, grant: asked.grant.tagged(&tag_secret), issuer: asked.issuer };
        let tag = tag_secret.request_tag(&command);
        let stream = StreamName::Key(command.tenant.clone(), key_id);
        let repeated = |changed| {
            let known = self.index.key(&command.tenant, key_id);
            let expires_at = known.map_or(command.grant.expires_at, |state| state.key.expires_at);
            Issued { key_id, key: None, expires_at, changed }
        };

        // A refusal (a past expiry, say) must not hide that the first attempt went through.
        if request.may_be_repeat
            && let Some(changed) = self.history(stream.clone()).await?.repeated(&request.command_id, tag)?
        {
            return Ok(repeated(changed));
        }
        let now = self.ambient.now();
        let secret = PlainSecret::draw(|bytes| self.ambient.fill(bytes));
        let digest = digest_key(&tenant.prefix, environment, key_id, &secret);
        let issued = command.decide(&tenant, None, digest, now)?;
        let revision = Revision::new(1);
        let expires_at = issued.grant.expires_at;
        let at = (Position::NONE, Revision::NONE);
        let events = vec![Event::KeyIssued(Box::new(issued))];
        let draft = self.draft((request, tag), stream.clone(), at, now, events);
        match self.append([draft], Queue::Normal, &request.command_id, Some(key_id)).await? {
            Outcome::Appended { positions } => {
                // On disk, and ours: the event that stands carries the digest of the secret drawn here.
                let changed = Changed { position: positions[0], revision, occurred_at: now, repeated: false };
                self.wait_shown(changed.position).await;
                let key = format_key(&tenant.prefix, environment, key_id, &secret);
                Ok(Issued { key_id, key: Some(key), expires_at, changed })
            }
            Outcome::Conflict { .. } => {
                let before = self.history(stream).await?.repeated(&request.command_id, tag)?;
                before.map(repeated).ok_or(CommandError::Refused(domain::Refusal::KeyAlreadyIssued))
            }
        }
    }
}
