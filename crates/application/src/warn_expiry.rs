//! Carries out `WarnExpiry`, which the service asks of itself when a policy wants a warning.

use domain::{Cause, CommandId, Event, WarnExpiry};

use crate::application::Application;
use crate::change_key::OnKey;
use crate::outcome::{Changed, CommandError, Request};

impl Application {
    /// Gives notice that a key expires. Every server may ask; the command id follows from key, expiry and
    /// span, so one event comes of it.
    ///
    /// # Errors
    /// [`CommandError`]; `warning_not_due` when somebody moved the expiry meanwhile.
    pub async fn warn_expiry(&self, command: WarnExpiry) -> Result<Changed, CommandError> {
        let id = format!("warn-{}-{}-{}", command.key_id, command.expires_at.as_millis(), command.before_ms);
        let id: CommandId = id.parse().expect("an id and numbers are printable ASCII");
        let request = Request::system(Cause::Policy, id);
        let on = OnKey::new(&command.tenant, command.key_id).background();
        self.change_key(&request, on, &command, |state, now| {
            Ok(vec![Event::ExpiryWarned(command.decide(&state.key, now)?)])
        })
        .await
    }
}
