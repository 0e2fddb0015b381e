//! Carries out `RevokeKey`: durable in the log, then effective on this server before the answer.

use std::collections::HashSet;

use domain::{Event, RevokeKey};

use crate::application::Application;
use crate::cascade::{Cascaded, Like};
use crate::change_key::OnKey;
use crate::outcome::{Changed, CommandError, Request};

impl Application {
    /// Revokes a key. On return no verify that starts later on this server says valid.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn revoke_key(&self, request: &Request, command: RevokeKey) -> Result<Changed, CommandError> {
        let _alone = self.alone_among_operators(&command.tenant).await;
        self.revoke_alone(request, &command).await
    }

    /// Revokes a key and takes along what it had issued, generation by generation until none is found.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event, also where the cascade would end the last operator. A cascade that is cut
    /// short leaves what stands by then; asked again it goes on.
    pub async fn revoke_key_and_issued(
        &self,
        request: &Request,
        command: RevokeKey,
    ) -> Result<(Changed, Vec<Cascaded>), CommandError> {
        let _alone = self.alone_if(true).await;
        let issuers = HashSet::from([command.key_id]);
        self.check_cascade(&issuers)?;
        let changed = self.revoke_alone(request, &command).await?;
        let like = Like { reason: command.reason, note: None };
        Ok((changed, self.cascade(request, issuers, &like).await?))
    }

    /// With [`Self::alone_among_operators`] held.
    async fn revoke_alone(&self, request: &Request, command: &RevokeKey) -> Result<Changed, CommandError> {
        let on = OnKey::new(&command.tenant, command.key_id).queued_for(request.cause);
        let changed = self
            .change_key(request, on, command, |state, _now| {
                let revoked = command.decide(&state.key, self.is_last_operator(&state.key))?;
                Ok(vec![Event::KeyRevoked(revoked)])
            })
            .await?;
        // Appended: on disk. If we stop before this line, the index applies the event when it starts again, before it answers
        // anything.
        self.refuse(&command.tenant, command.key_id, changed.position, changed.occurred_at);
        if command.tenant.is_operators() {
            self.wait_shown(changed.position).await;
        }
        Ok(changed)
    }
}
