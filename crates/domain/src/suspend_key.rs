//! `SuspendKey`: the key may not be used until it is reinstated.

use crate::attributes::Personal;
use crate::event::KeySuspended;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::key::{Key, Standing};
use crate::reason::SuspendReason;
use crate::refusal::Refusal;

/// Suspends a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SuspendKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// Which key.
    pub key_id: KeyId,
    /// Why.
    pub reason: SuspendReason,
    /// In somebody's words.
    pub note: Option<Personal>,
    /// When the service is to reinstate it by itself.
    pub until: Option<Timestamp>,
}

impl SuspendKey {
    /// Decides on the key as it is at `now`. `last_operator` says that the service would be left without an administrator.
    ///
    /// # Errors
    /// [`Refusal::AlreadySuspended`], [`Refusal::SuspensionInPast`], [`Refusal::LastOperator`];
    /// those of a key that has ended or cannot be read.
    pub fn decide(&self, key: &Key, last_operator: bool, now: Timestamp) -> Result<KeySuspended, Refusal> {
        key.changeable()?;
        if key.standing == Standing::Suspended {
            return Err(Refusal::AlreadySuspended);
        }
        if let Some(until) = self.until.filter(|until| *until <= now) {
            return Err(Refusal::SuspensionInPast { until });
        }
        if last_operator {
            return Err(Refusal::LastOperator);
        }
        Ok(KeySuspended { reason: self.reason, note: self.note.clone(), until: self.until })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::{
        GivenKey, KEY_ID, LATER, NOW, acme, given_key, issued, refused_on_ended_keys, reinstated, suspended,
        text,
    };

    fn suspend(until: Option<Timestamp>) -> SuspendKey {
        SuspendKey { tenant: acme(), key_id: KEY_ID, reason: SuspendReason::Investigating, note: None, until }
    }

    fn suspend_until(until: Option<Timestamp>) -> impl Fn(&GivenKey) -> Result<KeySuspended, Refusal> {
        move |given| suspend(until).decide(given.key(), given.last_operator, given.now)
    }

    #[test]
    fn a_key_is_suspended_for_every_reason() {
        for reason in SuspendReason::ALL {
            let note = Some(text("odd senders"));
            let command = SuspendKey { reason, note: note.clone(), ..suspend(None) };
            given_key([issued()])
                .when(|given| command.decide(given.key(), given.last_operator, given.now))
                .then(KeySuspended { reason, note, until: None });
        }
    }

    #[test]
    fn a_suspension_ends_in_the_future_or_never() {
        assert_eq!(given_key([issued()]).when(suspend_until(Some(LATER))).done().until, Some(LATER));
        given_key([issued()])
            .when(suspend_until(Some(NOW)))
            .refuses(Refusal::SuspensionInPast { until: NOW });
    }

    #[test]
    fn suspending_twice_is_refused_and_again_after_reinstating_is_not() {
        given_key([issued(), suspended(None)])
            .when(suspend_until(Some(LATER)))
            .refuses(Refusal::AlreadySuspended);
        given_key([issued(), suspended(None), reinstated()]).when(suspend_until(None)).done();
    }

    #[test]
    fn the_last_operator_stays() {
        given_key([issued()])
            .being_the_last_operator()
            .when(suspend_until(None))
            .refuses(Refusal::LastOperator);
    }

    #[test]
    fn a_key_that_has_ended_is_not_suspended() {
        refused_on_ended_keys(suspend_until(None));
    }
}
