//! Carries out `SuspendKey`, `ReinstateKey` and `EndSuspension`.

use domain::{Cause, CommandId, EndSuspension, Event, ReinstateKey, SuspendKey, Timestamp};

use crate::application::Application;
use crate::change_key::OnKey;
use crate::outcome::{Changed, CommandError, Request};

impl Application {
    /// Suspends a key. On return this server refuses it, unless its index is more than a second behind.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn suspend_key(&self, request: &Request, command: SuspendKey) -> Result<Changed, CommandError> {
        let on = OnKey::new(&command.tenant, command.key_id).queued_for(request.cause);
        let alone = self.alone_among_operators(&command.tenant).await;
        let changed = self
            .change_key(request, on, &command, |state, now| {
                let suspended = command.decide(&state.key, self.is_last_operator(&state.key), now)?;
                Ok(vec![Event::KeySuspended(suspended)])
            })
            .await?;
        self.wait_shown(changed.position).await;
        drop(alone);
        Ok(changed)
    }

    /// Reinstates a suspended key.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn reinstate_key(
        &self,
        request: &Request,
        command: ReinstateKey,
    ) -> Result<Changed, CommandError> {
        let tenant = self.tenant_state(&command.tenant).await?.tenant;
        let on = OnKey::new(&command.tenant, command.key_id);
        let changed = self
            .change_key(request, on, &command, |state, _now| {
                Ok(vec![Event::KeyReinstated(command.decide(&tenant, &state.key)?)])
            })
            .await?;
        self.wait_shown(changed.position).await;
        Ok(changed)
    }

    /// Reinstates a key whose suspension was to end at `until`. Every server may ask; the command id follows from key and
    /// end, so one event comes of it.
    ///
    /// # Errors
    /// [`CommandError`]; `suspension_not_over` when it was suspended anew meanwhile.
    pub async fn end_suspension(
        &self,
        command: EndSuspension,
        until: Timestamp,
    ) -> Result<Changed, CommandError> {
        let id = format!("reinstate-{}-{}", command.key_id, until.as_millis());
        let id: CommandId = id.parse().expect("an id and a number are printable ASCII");
        let request = Request::system(Cause::Expiry, id);
        let on = OnKey::new(&command.tenant, command.key_id).background().with_life();
        self.change_key(&request, on, &command, |state, now| {
            Ok(vec![Event::KeyReinstated(command.decide(&state.key, state.life()?, now)?)])
        })
        .await
    }
}
