//! Carries out `ReportLeak`: what leaked is revoked or suspended at once, as its tenant wants.

use domain::{Event, LeakResponse, ReportLeak};

use crate::application::Application;
use crate::change_key::OnKey;
use crate::outcome::{Changed, CommandError, Request};

/// A report that stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaked {
    /// Where and when.
    pub changed: Changed,
    /// What became of the key.
    pub response: LeakResponse,
}

impl Application {
    /// Reports a key as leaked. On return this server refuses it.
    ///
    /// # Errors
    /// [`CommandError`]; a refusal leaves no event.
    pub async fn report_leak(&self, request: &Request, command: ReportLeak) -> Result<Leaked, CommandError> {
        let tenant = self.tenant_state(&command.tenant).await?.tenant;
        let on = OnKey::new(&command.tenant, command.key_id).urgent().with_life();
        let alone = self.alone_among_operators(&command.tenant).await;
        let changed = self
            .change_key(request, on, &command, |state, _now| {
                let (life, last_operator) = (state.life().ok(), self.is_last_operator(&state.key));
                let leaked = command.decide(&tenant, &state.key, life, last_operator)?;
                Ok(vec![Event::KeyLeaked(leaked)])
            })
            .await?;
        // A repeat answers what stands, whatever the tenant wants by now.
        let stands = match changed.repeated {
            true => self.history(on.stream()).await?.leak_response(&request.command_id),
            false => None,
        };
        let response = stands.unwrap_or(tenant.leak_response);
        if response == LeakResponse::Revoke {
            self.refuse(&command.tenant, command.key_id, changed.position, changed.occurred_at);
        }
        self.wait_shown(changed.position).await;
        drop(alone);
        Ok(Leaked { changed, response })
    }
}
