//! The words of the domain's own tests: given a history, when a command comes, then this happens or is refused.

use std::fmt::Debug;

use crate::attributes::{Labels, Networks, Owner, OwnerTag, Personal, PersonalText};
use crate::event::{
    Actor, Cause, Envelope, Event, KeyExpired, KeyFirstUsed, KeyIssued, KeyReinstated, KeyRevoked,
    KeyRotated, KeySuspended, PolicySet, RequestTag, TenantClosed, TenantConfigured, TenantOpened,
};
use crate::grant::Grant;
use crate::ids::{CommandId, EventId, KeyId, Revision, StreamName, TenantId, Timestamp};
use crate::issue_key::IssueKey;
use crate::key::{Key, Standing};
use crate::key_format::{Environment, Prefix};
use crate::leak::LeakResponse;
use crate::life::Life;
use crate::policy::{Policy, PolicyRules};
use crate::reason::{RevokeReason, SuspendReason};
use crate::refusal::Refusal;
use crate::rotation::RotationRule;
use crate::scope::ScopeSet;
use crate::secret::SecretDigest;
use crate::selector::Selector;
use crate::tenant::Tenant;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const LATER: Timestamp = Timestamp::from_millis(1_790_000_600_000);
pub(crate) const EXPIRES_AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);
pub(crate) const KEY_ID: KeyId = KeyId::from_u128(7);
pub(crate) const SUCCESSOR: KeyId = KeyId::from_u128(8);
pub(crate) const DIGEST: SecretDigest = SecretDigest::from_bytes([3; 32]);

pub(crate) fn acme() -> TenantId {
    "acme".parse().unwrap()
}

pub(crate) fn text(text: &str) -> Personal {
    Personal::Plain(PersonalText::note(text).unwrap())
}

pub(crate) fn owner(tag: u8, name: &str) -> Owner {
    Owner { tag: OwnerTag::from_bytes([tag; 16]), name: text(name) }
}

pub(crate) fn scopes(texts: &[&str]) -> ScopeSet {
    ScopeSet::parse(texts).unwrap()
}

pub(crate) fn labels(texts: &[&str]) -> Labels {
    Labels::new(texts.iter().map(|text| text.parse().unwrap()).collect()).unwrap()
}

pub(crate) fn networks(texts: &[&str]) -> Networks {
    Networks::parse(texts).unwrap()
}

pub(crate) fn policy(name: &str, selector: Selector, rules: PolicyRules) -> Policy {
    Policy::new(name.parse().unwrap(), selector, rules).unwrap()
}

/// What the policy `name` says when it refuses.
pub(crate) fn denied_by(name: &str, rule: &'static str) -> Refusal {
    Refusal::PolicyDenies { policy: name.parse().unwrap(), rule }
}

pub(crate) fn grant() -> Grant {
    Grant {
        environment: Environment::Live,
        name: Some(text("spring campaign sender")),
        owner: owner(5, "sender-team"),
        scopes: scopes(&["campaigns:send"]),
        labels: labels(&["service=mailer"]),
        networks: networks(&["192.0.2.0/24"]),
        expires_at: Some(EXPIRES_AT),
    }
}

pub(crate) fn issue() -> IssueKey {
    IssueKey { tenant: acme(), grant: grant(), issuer: None }
}

pub(crate) fn issued_as(grant: Grant) -> Event {
    Event::KeyIssued(Box::new(KeyIssued {
        prefix: Prefix::default(),
        digest: DIGEST,
        grant,
        issuer: None,
        predecessor: None,
    }))
}

pub(crate) fn issued() -> Event {
    issued_as(grant())
}

pub(crate) fn issued_for_ever() -> Event {
    issued_as(Grant { expires_at: None, ..grant() })
}

/// The first event of the key that is to replace [`KEY_ID`].
pub(crate) fn issued_as_successor() -> Event {
    Event::KeyIssued(Box::new(KeyIssued {
        prefix: Prefix::default(),
        digest: DIGEST,
        grant: grant(),
        issuer: None,
        predecessor: Some(KEY_ID),
    }))
}

pub(crate) fn suspended(until: Option<Timestamp>) -> Event {
    Event::KeySuspended(KeySuspended { reason: SuspendReason::Investigating, note: None, until })
}

pub(crate) fn reinstated() -> Event {
    Event::KeyReinstated(KeyReinstated { note: None })
}

pub(crate) fn rotated(rule: RotationRule) -> Event {
    Event::KeyRotated(KeyRotated { successor: SUCCESSOR, rule })
}

pub(crate) fn first_used() -> Event {
    Event::KeyFirstUsed(KeyFirstUsed { first_used_at: NOW })
}

pub(crate) fn revoked(reason: RevokeReason) -> Event {
    Event::KeyRevoked(KeyRevoked { reason, note: None })
}

pub(crate) fn expired() -> Event {
    Event::KeyExpired(KeyExpired { expires_at: EXPIRES_AT })
}

pub(crate) fn tenant_opened() -> Event {
    Event::TenantOpened(TenantOpened { name: None, prefix: Prefix::default() })
}

pub(crate) fn tenant_closed() -> Event {
    Event::TenantClosed(TenantClosed { note: None })
}

pub(crate) fn suspends_what_leaks() -> Event {
    Event::TenantConfigured(TenantConfigured {
        name: None,
        prefix: Prefix::default(),
        leak_response: LeakResponse::Suspend,
    })
}

pub(crate) fn policy_set(policy: Policy) -> Event {
    Event::PolicySet(Box::new(PolicySet { policy }))
}

pub(crate) fn envelope(stream: StreamName, revision: u32, event: Event) -> Envelope {
    Envelope {
        event_id: EventId::from_u128(u128::from(revision)),
        stream,
        revision: Revision::new(revision),
        occurred_at: NOW,
        actor: Actor::System,
        command_id: CommandId::from_u128(u128::from(revision)),
        request_tag: RequestTag::from_bytes([0; 16]),
        cause: Cause::Command,
        trace_context: None,
        event,
    }
}

fn history(stream: StreamName, events: impl IntoIterator<Item = Event>) -> impl Iterator<Item = Envelope> {
    (1..).zip(events).map(move |(revision, event)| envelope(stream.clone(), revision, event))
}

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Decided<T>(pub(crate) Result<T, Refusal>);

impl<T: Debug + PartialEq> Decided<T> {
    #[track_caller]
    pub(crate) fn then(self, expected: T) {
        assert_eq!(self.0, Ok(expected));
    }

    #[track_caller]
    pub(crate) fn refuses(self, expected: Refusal) {
        assert_eq!(self.0, Err(expected));
    }

    #[track_caller]
    pub(crate) fn done(self) -> T {
        self.0.expect("the command is carried out")
    }
}

/// A key, its tenant, and what else a decision looks at.
#[derive(Clone, Debug)]
pub(crate) struct GivenKey {
    pub(crate) tenant: Tenant,
    pub(crate) life: Option<Life>,
    pub(crate) last_operator: bool,
    pub(crate) now: Timestamp,
    key: Option<Key>,
    successor: Option<(Key, Life)>,
}

fn lived(key_id: KeyId, events: impl IntoIterator<Item = Event>) -> (Option<Key>, Option<Life>) {
    history(StreamName::Key(acme(), key_id), events).fold((None, None), |(key, life), envelope| {
        (Some(Key::evolve(key, &envelope).unwrap()), Life::evolve(life, &envelope))
    })
}

pub(crate) fn given_key(events: impl IntoIterator<Item = Event>) -> GivenKey {
    let (key, life) = lived(KEY_ID, events);
    let tenant = Tenant::opened(acme(), None, Prefix::default());
    GivenKey { tenant, life, last_operator: false, now: NOW, key, successor: None }
}

impl GivenKey {
    pub(crate) fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    /// In a tenant that was opened, and then this.
    pub(crate) fn in_tenant(self, events: impl IntoIterator<Item = Event>) -> Self {
        let GivenTenant(tenant) = given_tenant([tenant_opened()].into_iter().chain(events));
        Self { tenant: tenant.unwrap(), ..self }
    }

    pub(crate) fn successor(self, events: impl IntoIterator<Item = Event>) -> Self {
        let (key, life) = lived(SUCCESSOR, events);
        Self { successor: Some((key.unwrap(), life.unwrap())), ..self }
    }

    pub(crate) fn being_the_last_operator(self) -> Self {
        Self { last_operator: true, ..self }
    }

    /// As a recall or damage, which stand elsewhere, would have it.
    pub(crate) fn standing(mut self, standing: Standing) -> Self {
        self.key.as_mut().unwrap().standing = standing;
        self
    }

    pub(crate) fn successor_standing(mut self, standing: Standing) -> Self {
        self.successor.as_mut().unwrap().0.standing = standing;
        self
    }

    pub(crate) fn known_key(&self) -> Option<&Key> {
        self.key.as_ref()
    }

    pub(crate) fn key(&self) -> &Key {
        self.key.as_ref().unwrap()
    }

    pub(crate) fn life(&self) -> &Life {
        self.life.as_ref().unwrap()
    }

    pub(crate) fn known_successor(&self) -> Option<(&Key, &Life)> {
        self.successor.as_ref().map(|(key, life)| (key, life))
    }

    pub(crate) fn when<T>(&self, decide: impl FnOnce(&Self) -> Result<T, Refusal>) -> Decided<T> {
        Decided(decide(self))
    }
}

/// Every command but those that take away is refused on a key that has ended or cannot be read, with the reason.
#[track_caller]
pub(crate) fn refused_on_ended_keys<T: Debug + PartialEq>(decide: impl Fn(&GivenKey) -> Result<T, Refusal>) {
    given_key([issued(), revoked(RevokeReason::Other)]).when(&decide).refuses(Refusal::AlreadyRevoked);
    given_key([issued(), expired()]).when(&decide).refuses(Refusal::AlreadyExpired);
    given_key([issued()]).standing(Standing::Recalled).when(&decide).refuses(Refusal::AlreadyRecalled);
    given_key([issued()]).standing(Standing::Quarantined).when(&decide).refuses(Refusal::KeyQuarantined);
}

#[track_caller]
pub(crate) fn refused_in_a_closed_tenant<T: Debug + PartialEq>(
    decide: impl Fn(&GivenKey) -> Result<T, Refusal>,
) {
    given_key([issued()]).in_tenant([tenant_closed()]).when(decide).refuses(Refusal::TenantClosed);
}

pub(crate) struct GivenTenant(pub(crate) Option<Tenant>);

pub(crate) fn given_tenant(events: impl IntoIterator<Item = Event>) -> GivenTenant {
    GivenTenant(
        history(StreamName::Tenant(acme()), events)
            .fold(None, |tenant, envelope| Some(Tenant::evolve(tenant, &envelope).unwrap())),
    )
}

impl GivenTenant {
    pub(crate) fn when<T>(&self, decide: impl FnOnce(&Tenant) -> Result<T, Refusal>) -> Decided<T> {
        Decided(decide(self.0.as_ref().unwrap()))
    }
}
