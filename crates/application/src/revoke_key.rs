//! Carries out `RevokeKey`: durable in the log, then effective on this server before the answer.

use domain::{Event, RevokeKey};

use crate::application::Application;
use crate::change_key::OnKey;
use crate::outcome::{Changed, CommandError, Request};

impl Application {
    /// Revokes a key. On return no verify that starts later on this server says valid.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn revoke_key(&self, request: &Request, command: RevokeKey) -> Result<Changed, CommandError> {
        let on = OnKey::new(&command.tenant, command.key_id).queued_for(request.cause);
        let alone = self.alone_among_operators(&command.tenant).await;
        let changed = self
            .change_key(request, on, &command, |state, _now| {
                let revoked = command.decide(&state.key, self.is_last_operator(&state.key))?;
                Ok(vec![Event::KeyRevoked(revoked)])
            })
            .await?;
        // Appended: on disk. From here on this server refuses the key, however far behind its index is. If we stop before
        // this line, the index applies the event when it starts again, before it answers anything.
        self.index.refuse(command.key_id, changed.position, changed.occurred_at);
        if alone.is_some() {
            self.wait_shown(changed.position).await;
        }
        Ok(changed)
    }
}
