//! Carries out `OpenTenant`: the tenant's seal first, then its first event.

use domain::{Event, OpenTenant, Position, Refusal, Revision, StreamName};
use eventlog::{Outcome, Queue};

use crate::application::Application;
use crate::outcome::{Changed, CommandError, Request};

impl Application {
    /// Opens a tenant.
    ///
    /// # Errors
    /// [`CommandError`]; `tenant_already_open` unless it was this very command that opened it.
    pub async fn open_tenant(&self, request: &Request, command: OpenTenant) -> Result<Changed, CommandError> {
        if let Some(changed) = self.tenant_opened_before(request, &command).await? {
            return Ok(changed);
        }
        // The seal is durable before any event carries a tag made with it. If we stop here, a later open finds and uses it.
        let secret = self
            .tag_secrets
            .of_new(&command.tenant, &*self.ambient)
            .await
            .map_err(|error| CommandError::unavailable(&error))?;
        let now = self.ambient.now();
        let revision = Revision::new(1);
        let event = Event::TenantOpened(command.decide(None)?);
        let (tag, stream) = (secret.request_tag(&command), StreamName::Tenant(command.tenant.clone()));
        let draft = self.draft((request, tag), stream, (Position::NONE, Revision::NONE), now, vec![event]);
        match self.append([draft], Queue::Normal, &request.command_id, None).await? {
            Outcome::Appended { positions } => {
                Ok(Changed { position: positions[0], revision, occurred_at: now, repeated: false })
            }
            Outcome::Conflict { .. } => {
                let before = self.tenant_opened_before(request, &command).await?;
                before.ok_or(CommandError::Refused(Refusal::TenantAlreadyOpen))
            }
        }
    }

    /// The outcome of this very command if it opened the tenant before; none if nobody did.
    async fn tenant_opened_before(
        &self,
        request: &Request,
        command: &OpenTenant,
    ) -> Result<Option<Changed>, CommandError> {
        let history = self.history(StreamName::Tenant(command.tenant.clone())).await?;
        if history.last() == Position::NONE {
            return Ok(None);
        }
        let tag = self.tag_secret(&command.tenant).await?.request_tag(command);
        match history.repeated(&request.command_id, tag)? {
            Some(changed) => Ok(Some(changed)),
            None => Err(Refusal::TenantAlreadyOpen.into()),
        }
    }
}
