//! `EndSuspension`: a suspension that was to last until a time is over.

use crate::event::KeyReinstated;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::{Key, Standing};
use crate::life::Life;
use crate::refusal::Refusal;

/// Reinstates a key whose suspension had an end. The service asks this of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndSuspension {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
}

impl EndSuspension {
    /// Decides on the key as it is at `now`.
    ///
    /// # Errors
    /// [`Refusal::NotSuspended`], [`Refusal::SuspensionNotOver`]; those of a key that has ended or cannot be read.
    pub fn decide(&self, key: &Key, life: &Life, now: Timestamp) -> Result<KeyReinstated, Refusal> {
        key.changeable()?;
        if key.standing != Standing::Suspended {
            return Err(Refusal::NotSuspended);
        }
        match life.suspended_until {
            Some(until) if until <= now => Ok(KeyReinstated { note: None }),
            _ => Err(Refusal::SuspensionNotOver),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, KeyLeaked};
    use crate::given::{
        GivenKey, KEY_ID, LATER, NOW, acme, given_key, issued, refused_on_ended_keys, reinstated, suspended,
    };
    use crate::leak::LeakResponse;

    fn end(given: &GivenKey) -> Result<KeyReinstated, Refusal> {
        let command = EndSuspension { tenant: acme(), key_id: KEY_ID };
        command.decide(given.key(), given.life(), given.now)
    }

    #[test]
    fn a_suspension_ends_at_its_time_and_not_before() {
        let given = given_key([issued(), suspended(Some(LATER))]);
        given.clone().at(NOW).when(end).refuses(Refusal::SuspensionNotOver);
        given.at(LATER).when(end).then(KeyReinstated { note: None });
    }

    #[test]
    fn a_suspension_without_an_end_goes_on() {
        given_key([issued(), suspended(None)])
            .at(Timestamp::MAX)
            .when(end)
            .refuses(Refusal::SuspensionNotOver);
        // The end of an earlier suspension says nothing about this one.
        given_key([issued(), suspended(Some(LATER)), reinstated(), suspended(None)])
            .at(LATER)
            .when(end)
            .refuses(Refusal::SuspensionNotOver);
    }

    #[test]
    fn a_key_that_leaked_meanwhile_waits_for_a_person() {
        let leaked = Event::KeyLeaked(KeyLeaked {
            source: "github".parse().unwrap(),
            url: None,
            response: LeakResponse::Suspend,
        });
        given_key([issued(), suspended(Some(LATER)), leaked])
            .at(LATER)
            .when(end)
            .refuses(Refusal::SuspensionNotOver);
    }

    #[test]
    fn a_key_that_is_not_suspended_is_refused() {
        given_key([issued()]).at(LATER).when(end).refuses(Refusal::NotSuspended);
        given_key([issued(), suspended(Some(LATER)), reinstated()])
            .at(LATER)
            .when(end)
            .refuses(Refusal::NotSuspended);
    }

    #[test]
    fn a_key_that_has_ended_does_not_come_back() {
        refused_on_ended_keys(end);
    }
}
