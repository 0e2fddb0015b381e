//! Carries out the commands on a tenant as a whole: its settings, its policies, its end.

use domain::{CloseTenant, ConfigureTenant, Event, RemovePolicy, SetPolicy};
use eventlog::Queue;

use crate::application::Application;
use crate::outcome::{Changed, CommandError, Request};

impl Application {
    /// Changes a tenant's settings.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn configure_tenant(
        &self,
        request: &Request,
        command: ConfigureTenant,
    ) -> Result<Changed, CommandError> {
        self.change_tenant(request, &command.tenant, Queue::Normal, &command, |tenant, _now| {
            command.decide(tenant).map(Event::TenantConfigured)
        })
        .await
    }

    /// Closes a tenant for good. On return this server refuses its keys, unless its index is more than a second behind.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn close_tenant(
        &self,
        request: &Request,
        command: CloseTenant,
    ) -> Result<Changed, CommandError> {
        let changed = self
            .change_tenant(request, &command.tenant, Queue::Urgent, &command, |tenant, _now| {
                command.decide(tenant).map(Event::TenantClosed)
            })
            .await?;
        self.wait_shown(changed.position).await;
        Ok(changed)
    }

    /// Sets a policy.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn set_policy(&self, request: &Request, command: SetPolicy) -> Result<Changed, CommandError> {
        let changed = self
            .change_tenant(request, &command.tenant, Queue::Normal, &command, |tenant, _now| {
                command.decide(tenant).map(|set| Event::PolicySet(Box::new(set)))
            })
            .await?;
        self.wait_shown(changed.position).await;
        Ok(changed)
    }

    /// Removes a policy.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn remove_policy(
        &self,
        request: &Request,
        command: RemovePolicy,
    ) -> Result<Changed, CommandError> {
        self.change_tenant(request, &command.tenant, Queue::Normal, &command, |tenant, _now| {
            command.decide(tenant).map(Event::PolicyRemoved)
        })
        .await
    }
}
