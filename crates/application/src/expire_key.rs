//! Carries out `ExpireKey`, which the service asks of itself when a key's time is up.

use domain::{Cause, CommandId, Event, ExpireKey};

use crate::application::Application;
use crate::change_key::OnKey;
use crate::outcome::{Changed, CommandError, Request};

impl Application {
    /// Records that a key's time was up. Every server may ask; the command id follows from key and expiry, so one event
    /// comes of it.
    ///
    /// # Errors
    /// [`CommandError`]; `not_yet_expired` when somebody moved the expiry meanwhile.
    pub async fn expire_key(&self, command: ExpireKey) -> Result<Changed, CommandError> {
        let id = format!("expiry-{}-{}", command.key_id, command.expires_at.as_millis());
        let id: CommandId = id.parse().expect("an id and a number are printable ASCII");
        let request = Request::system(Cause::Expiry, id);
        let on = OnKey::new(&command.tenant, command.key_id).background();
        self.change_key(&request, on, &command, |state, now| {
            Ok(vec![Event::KeyExpired(command.decide(&state.key, now)?)])
        })
        .await
    }
}
