//! `ReportLeak`: the key was found where it should not be, and the tenant's response follows at once.

use crate::attributes::Personal;
use crate::event::KeyLeaked;
use crate::ids::{KeyId, TenantId};
use crate::key::{Key, Standing};
use crate::leak::{LeakResponse, LeakSource};
use crate::life::Life;
use crate::refusal::Refusal;
use crate::tenant::Tenant;

/// Reports a key as leaked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportLeak {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// Who found it.
    pub source: LeakSource,
    /// Where.
    pub url: Option<Personal>,
}

impl ReportLeak {
    /// Decides on the key and its tenant as they are. Unlike other commands it works on a quarantined key and in a closed
    /// tenant: what leaked goes. A suspension that would have ended by itself no longer does; `life` is what could be read.
    /// `last_operator` says that the service would be left without an administrator.
    ///
    /// # Errors
    /// [`Refusal::AlreadyRevoked`], [`Refusal::AlreadyRecalled`], [`Refusal::AlreadyExpired`],
    /// [`Refusal::AlreadySuspended`] where the response is to suspend and that is so for good, [`Refusal::LastOperator`].
    pub fn decide(
        &self,
        tenant: &Tenant,
        key: &Key,
        life: Option<&Life>,
        last_operator: bool,
    ) -> Result<KeyLeaked, Refusal> {
        let ends_by_itself = life.is_some_and(|life| life.suspended_until.is_some());
        match key.standing {
            Standing::Active | Standing::Quarantined => {}
            Standing::Suspended if tenant.leak_response == LeakResponse::Suspend && !ends_by_itself => {
                return Err(Refusal::AlreadySuspended);
            }
            Standing::Suspended => {}
            Standing::Revoked => return Err(Refusal::AlreadyRevoked),
            Standing::Recalled => return Err(Refusal::AlreadyRecalled),
            Standing::Expired => return Err(Refusal::AlreadyExpired),
        }
        if last_operator {
            return Err(Refusal::LastOperator);
        }
        Ok(KeyLeaked { source: self.source.clone(), url: self.url.clone(), response: tenant.leak_response })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::given::{
        GivenKey, KEY_ID, LATER, acme, expired, given_key, issued, revoked, suspended, suspends_what_leaks,
        tenant_closed, text,
    };
    use crate::reason::RevokeReason;

    fn report(given: &GivenKey) -> Result<KeyLeaked, Refusal> {
        let command = ReportLeak {
            tenant: acme(),
            key_id: KEY_ID,
            source: "github".parse().unwrap(),
            url: Some(text("https://example.com/acme/mailer/blob/main/.env")),
        };
        command.decide(&given.tenant, given.key(), given.life.as_ref(), given.last_operator)
    }

    fn leaked(response: LeakResponse) -> KeyLeaked {
        KeyLeaked {
            source: "github".parse().unwrap(),
            url: Some(text("https://example.com/acme/mailer/blob/main/.env")),
            response,
        }
    }

    #[test]
    fn a_leaked_key_is_revoked_or_suspended_as_its_tenant_wants() {
        given_key([issued()]).when(report).then(leaked(LeakResponse::Revoke));
        given_key([issued()])
            .in_tenant([suspends_what_leaks()])
            .when(report)
            .then(leaked(LeakResponse::Suspend));
    }

    #[test]
    fn a_suspended_key_is_revoked_and_suspended_again_only_where_that_changes_something() {
        given_key([issued(), suspended(None)]).when(report).then(leaked(LeakResponse::Revoke));
        given_key([issued(), suspended(Some(LATER))])
            .in_tenant([suspends_what_leaks()])
            .when(report)
            .then(leaked(LeakResponse::Suspend));
        for before in [suspended(None), Event::KeyLeaked(leaked(LeakResponse::Suspend))] {
            given_key([issued(), before])
                .in_tenant([suspends_what_leaks()])
                .when(report)
                .refuses(Refusal::AlreadySuspended);
        }
    }

    #[test]
    fn what_cannot_be_read_or_lies_in_a_closed_tenant_goes_as_well() {
        given_key([issued()]).standing(Standing::Quarantined).when(report).then(leaked(LeakResponse::Revoke));
        given_key([issued()]).in_tenant([tenant_closed()]).when(report).then(leaked(LeakResponse::Revoke));
    }

    #[test]
    fn a_key_that_has_ended_is_refused_with_how() {
        given_key([issued(), revoked(RevokeReason::Other)]).when(report).refuses(Refusal::AlreadyRevoked);
        given_key([issued(), expired()]).when(report).refuses(Refusal::AlreadyExpired);
        given_key([issued()]).standing(Standing::Recalled).when(report).refuses(Refusal::AlreadyRecalled);
        given_key([issued(), Event::KeyLeaked(leaked(LeakResponse::Revoke))])
            .when(report)
            .refuses(Refusal::AlreadyRevoked);
    }

    #[test]
    fn the_last_operator_stays() {
        given_key([issued()]).being_the_last_operator().when(report).refuses(Refusal::LastOperator);
    }
}
