//! The loop that every command on an existing tenant goes through: state, decide, append, settle.

use domain::{Event, Refusal, StreamName, Tenant, TenantId, Timestamp};
use eventlog::{Outcome, Queue};
use wire::Canonical;

use crate::application::Application;
use crate::change_key::{MAX_ROUNDS, busy};
use crate::outcome::{Changed, CommandError, Request};
use crate::seals::Closed;

impl Application {
    /// Decides and appends until the event stands, a rule says no, or the rounds are used up. The state is the log's own:
    /// commands on tenants are few.
    pub(crate) async fn change_tenant<D>(
        &self,
        request: &Request,
        tenant: &TenantId,
        queue: Queue,
        command: &(impl Canonical + Sync),
        decide: D,
    ) -> Result<Changed, CommandError>
    where
        D: Fn(&Tenant, Timestamp) -> Result<Event, Refusal> + Send + Sync,
    {
        let tag = self.tag_secret_in(queue, tenant).await?.request_tag(command);
        let stream = StreamName::Tenant(tenant.clone());
        for _ in 0..MAX_ROUNDS {
            let state = self.latest_tenant_state(tenant).await?;
            // After the state: what came between the two makes the append a conflict, so no repeat slips in unseen.
            if request.may_be_repeat
                && let Some(changed) =
                    self.history(stream.clone()).await?.repeated(&request.command_id, tag)?
            {
                return Ok(changed);
            }
            let now = self.ambient.now();
            let event = match queue {
                // What is asked for is compared with what stands.
                Queue::Normal => decide(&self.readable(&state.tenant).await?, now)?,
                Queue::Urgent | Queue::Background => decide(&state.tenant, now)?,
            };
            let at = (state.last, state.tenant.revision);
            let draft = self.draft((request, tag), stream.clone(), at, now, vec![event]);
            let revision = state.tenant.revision.next();
            match self.append([draft], queue, &request.command_id, None).await? {
                Outcome::Appended { positions } => {
                    let position = positions[0];
                    return Ok(Changed { position, revision, occurred_at: now, repeated: false });
                }
                Outcome::Conflict { .. } => {}
            }
        }
        Err(busy())
    }

    /// A tenant with its texts opened, as far as anybody can.
    ///
    /// # Errors
    /// [`CommandError::Unavailable`] when the seals cannot be read now.
    pub async fn readable(&self, tenant: &Tenant) -> Result<Tenant, CommandError> {
        let mut tenant = tenant.clone();
        let Tenant { id, name, policies, .. } = &mut tenant;
        let name = name.as_mut().map(|value| Closed::Text { tenant: id, key_id: None, value });
        let owners = policies.iter_mut().filter_map(|policy| policy.selector.owner.as_mut());
        let texts = name.into_iter().chain(owners.map(|owner| Closed::Owner(id, owner))).collect();
        self.seals.open(texts).await.map_err(|error| CommandError::unavailable(&error))?;
        Ok(tenant)
    }
}
