//! `RotateKey`: a successor is issued with the same grants, and both are valid until the rotation ends.

use crate::admission;
use crate::event::{KeyIssued, KeyRotated};
use crate::grant::Grant;
use crate::ids::{KeyId, TenantId, Timestamp};
use crate::issue_key::Issuer;
use crate::key::{Key, Standing};
use crate::life::Life;
use crate::refusal::Refusal;
use crate::rotation::RotationRule;
use crate::secret::SecretDigest;
use crate::tenant::Tenant;

/// Rotates a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotateKey {
    /// Where the key belongs.
    pub tenant: TenantId,
    /// The key that is to be replaced.
    pub key_id: KeyId,
    /// When it goes.
    pub rule: RotationRule,
    /// When the successor's time is up; none gives it as long as the predecessor was given.
    pub expires_at: Option<Timestamp>,
    /// Who asks.
    pub issuer: Option<Issuer>,
}

impl RotateKey {
    /// Decides on the key, its life and its tenant as they are at `now`. `successor` is the derived id of the new key,
    /// `digest` that of the secret just drawn.
    ///
    /// # Errors
    /// [`Refusal::TenantClosed`], [`Refusal::AlreadyRotating`], [`Refusal::KeySuspended`], [`Refusal::ExpiryInPast`], [`Refusal::RotationInPast`],
    /// [`Refusal::PolicyDenies`], in the operators' tenant [`Refusal::ScopeNotHeld`]; those of a key that has ended or
    /// cannot be read, and [`Refusal::AlreadyExpired`] as soon as its time is up.
    pub fn decide(
        &self,
        tenant: &Tenant,
        key: &Key,
        life: &Life,
        (successor, digest): (KeyId, SecretDigest),
        now: Timestamp,
    ) -> Result<(KeyRotated, KeyIssued), Refusal> {
        tenant.open()?;
        key.changeable()?;
        // Nobody could go over to a successor while this key is refused.
        if key.is_past(now) {
            return Err(Refusal::AlreadyExpired);
        }
        if key.standing == Standing::Suspended {
            return Err(Refusal::KeySuspended);
        }
        if let Some(rotation) = &life.rotation {
            return Err(Refusal::AlreadyRotating { successor: rotation.successor });
        }
        if let RotationRule::At(at) = self.rule
            && at <= now
        {
            return Err(Refusal::RotationInPast { at });
        }
        if let Some(expires_at) = self.expires_at.filter(|at| *at <= now) {
            return Err(Refusal::ExpiryInPast { expires_at });
        }
        if let Some(issuer) = &self.issuer {
            issuer.may_grant(&self.tenant, life.grant.scopes.iter())?;
        }
        let expires_at = self.expires_at.or_else(|| same_lifetime(life, now));
        let issuer = self.issuer.as_ref().map(|issuer| issuer.key_id);
        let grant = Grant { expires_at, ..life.grant.clone() };
        let issued = KeyIssued {
            prefix: tenant.prefix.clone(),
            digest,
            grant: admission::admit(&tenant.policies, grant, issuer, now)?,
            issuer,
            predecessor: Some(self.key_id),
        };
        Ok((KeyRotated { successor, rule: self.rule }, issued))
    }
}

fn same_lifetime(life: &Life, now: Timestamp) -> Option<Timestamp> {
    let expires_at = life.grant.expires_at?;
    let lifetime_ms = expires_at.as_millis().saturating_sub(life.issued_at.as_millis());
    Some(now.plus_millis(lifetime_ms).min(Timestamp::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, KeyExpiryChanged, RotationCancelled};
    use crate::given::{
        DIGEST, EXPIRES_AT, GivenKey, KEY_ID, LATER, NOW, SUCCESSOR, acme, denied_by, given_key, grant,
        issued, issued_as, issued_for_ever, policy, policy_set, refused_in_a_closed_tenant,
        refused_on_ended_keys, rotated, scopes, suspended,
    };
    use crate::policy::PolicyRules;
    use crate::selector::Selector;

    fn rotate() -> RotateKey {
        RotateKey {
            tenant: acme(),
            key_id: KEY_ID,
            rule: RotationRule::DEFAULT,
            expires_at: None,
            issuer: None,
        }
    }

    fn by(command: RotateKey) -> impl Fn(&GivenKey) -> Result<(KeyRotated, KeyIssued), Refusal> {
        move |given| command.decide(&given.tenant, given.key(), given.life(), (SUCCESSOR, DIGEST), given.now)
    }

    fn expiry_of_successor(given: &GivenKey) -> Option<Timestamp> {
        given.when(by(rotate())).done().1.grant.expires_at
    }

    #[test]
    fn a_successor_gets_what_the_key_has_and_names_it() {
        let issuer = KeyId::from_u128(9);
        let command = RotateKey { issuer: Some(Issuer { key_id: issuer, scopes: scopes(&[]) }), ..rotate() };
        let (rotated, successor) = given_key([issued()]).when(by(command)).done();
        assert_eq!(rotated, KeyRotated { successor: SUCCESSOR, rule: RotationRule::DEFAULT });
        assert_eq!((successor.predecessor, successor.issuer), (Some(KEY_ID), Some(issuer)));
        assert_eq!(successor.grant, Grant { expires_at: successor.grant.expires_at, ..grant() });
    }

    #[test]
    fn a_successor_lives_as_long_as_the_key_was_given_unless_told_otherwise() {
        let at = NOW.plus_millis(5_000);
        let given = given_key([issued()]).at(at);
        assert_eq!(expiry_of_successor(&given), Some(EXPIRES_AT.plus_millis(5_000)));
        let command = RotateKey { expires_at: Some(LATER), ..rotate() };
        assert_eq!(given.when(by(command)).done().1.grant.expires_at, Some(LATER));
        assert_eq!(expiry_of_successor(&given_key([issued_for_ever()])), None);
        let moved = Event::KeyExpiryChanged(KeyExpiryChanged { expires_at: Some(LATER) });
        let moved = given_key([issued(), moved]).at(at);
        assert_eq!(expiry_of_successor(&moved), Some(LATER.plus_millis(5_000)));
        let for_centuries = issued_as(Grant { expires_at: Some(Timestamp::MAX), ..grant() });
        assert_eq!(expiry_of_successor(&given_key([for_centuries]).at(at)), Some(Timestamp::MAX));
    }

    #[test]
    fn one_rotation_at_a_time() {
        let given = given_key([issued(), rotated(RotationRule::ByHand)]);
        given.when(by(rotate())).refuses(Refusal::AlreadyRotating { successor: SUCCESSOR });
        let cancelled = Event::RotationCancelled(RotationCancelled { successor: SUCCESSOR });
        given_key([issued(), rotated(RotationRule::ByHand), cancelled]).when(by(rotate())).done();
    }

    #[test]
    fn a_key_that_is_refused_gets_no_successor() {
        given_key([issued(), suspended(None)]).when(by(rotate())).refuses(Refusal::KeySuspended);
        given_key([issued()]).at(EXPIRES_AT).when(by(rotate())).refuses(Refusal::AlreadyExpired);
        refused_on_ended_keys(by(rotate()));
        refused_in_a_closed_tenant(by(rotate()));
    }

    #[test]
    fn the_past_is_refused() {
        for at in [NOW, Timestamp::from_millis(1)] {
            let rule = RotationRule::At(at);
            given_key([issued()])
                .when(by(RotateKey { rule, ..rotate() }))
                .refuses(Refusal::RotationInPast { at });
            given_key([issued()])
                .when(by(RotateKey { expires_at: Some(at), ..rotate() }))
                .refuses(Refusal::ExpiryInPast { expires_at: at });
        }
        let rule = RotationRule::At(LATER);
        given_key([issued()]).when(by(RotateKey { rule, ..rotate() })).done();
    }

    #[test]
    fn an_operator_rotates_only_what_it_could_issue() {
        let admin = issued_as(Grant { scopes: scopes(&["tenants:admin"]), ..grant() });
        let with = |held: &[&str]| {
            let issuer = Some(Issuer { key_id: KeyId::from_u128(9), scopes: scopes(held) });
            given_key([admin.clone()]).when(by(RotateKey {
                tenant: TenantId::operators(),
                issuer,
                ..rotate()
            }))
        };
        with(&["tenants:admin"]).done();
        with(&["verify"]).refuses(Refusal::ScopeNotHeld { scope: "tenants:admin".parse().unwrap() });
    }

    #[test]
    fn a_successor_is_a_new_key_to_policies() {
        let day_ms = 24 * 60 * 60 * 1_000;
        let rules = PolicyRules { longest_lifetime_ms: Some(day_ms), ..PolicyRules::default() };
        let given = given_key([issued()]).in_tenant([policy_set(policy("a-day", Selector::ALL, rules))]);
        given.when(by(rotate())).refuses(denied_by("a-day", "longest_lifetime"));
        given.when(by(RotateKey { expires_at: Some(NOW.plus_millis(day_ms)), ..rotate() })).done();
    }
}
