//! Carries out `RevokeKey`: durable in the log, then effective on this server before the answer.

use std::time::Duration;

use domain::{Event, RevokeKey};
use eventlog::Queue;

use crate::application::Application;
use crate::change_key::KeyCommand;
use crate::outcome::{Changed, CommandError, Request};

/// How long the revocation of an operator waits for this server's own index, from which the next one learns who is left. The
/// index is microseconds behind; past this, two in a row could leave nobody, which recovering the operator mends.
const SHOWN_WITHIN: Duration = Duration::from_secs(1);

impl Application {
    /// Revokes a key. On return no verify that starts later on this server says valid.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn revoke_key(&self, request: &Request, command: RevokeKey) -> Result<Changed, CommandError> {
        let tag = self.tag_secret(&command.tenant).await?.request_tag(&command);
        let key_command = KeyCommand {
            request,
            tenant: &command.tenant,
            key_id: command.key_id,
            tag,
            queue: Queue::Urgent,
        };
        let alone = match command.tenant.is_operators() {
            true => Some(self.last_operator.lock().await),
            false => None,
        };
        let decide =
            |key: &domain::Key, _now| command.decide(key, self.is_last_operator(key)).map(Event::KeyRevoked);
        let changed = self.change_key(&key_command, decide).await?;
        // Appended: on disk. From here on this server refuses the key, however far behind its index is. If we stop before
        // this line, the index applies the event when it starts again, before it answers anything.
        self.index.refuse(command.key_id, changed.position, changed.occurred_at);
        if alone.is_some() {
            self.wait_applied(changed.position, SHOWN_WITHIN).await;
        }
        Ok(changed)
    }
}
