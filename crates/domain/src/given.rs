//! The words of the domain's own tests: given a history, when a command comes, then this happens or is refused.

use crate::attributes::{Labels, Networks, Owner, OwnerTag, Personal, PersonalText};
use crate::event::{
    Actor, Cause, Envelope, Event, KeyExpired, KeyIssued, KeyRevoked, RequestTag, TenantOpened,
};
use crate::expire_key::ExpireKey;
use crate::ids::{CommandId, EventId, KeyId, Revision, StreamName, TenantId, Timestamp};
use crate::issue_key::IssueKey;
use crate::key::{Key, Standing};
use crate::key_format::{Environment, Prefix};
use crate::open_tenant::OpenTenant;
use crate::reason::RevokeReason;
use crate::refusal::Refusal;
use crate::revoke_key::RevokeKey;
use crate::scope::ScopeSet;
use crate::secret::SecretDigest;
use crate::tenant::Tenant;

pub(crate) const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);
pub(crate) const EXPIRES_AT: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const KEY_ID: KeyId = KeyId::from_u128(7);
const DIGEST: SecretDigest = SecretDigest::from_bytes([3; 32]);

fn acme() -> TenantId {
    "acme".parse().unwrap()
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

fn history<const N: usize>(stream: &StreamName, events: [Event; N]) -> impl Iterator<Item = Envelope> {
    (1..).zip(events).map(move |(revision, event)| envelope(stream.clone(), revision, event))
}

pub(crate) fn issue() -> IssueKey {
    IssueKey {
        tenant: acme(),
        environment: Environment::Live,
        name: Some(Personal::Plain(PersonalText::name("spring campaign sender").unwrap())),
        owner: Owner {
            tag: OwnerTag::from_bytes([5; 16]),
            name: Personal::Plain(PersonalText::name("sender-team").unwrap()),
        },
        scopes: ScopeSet::parse(["campaigns:send"]).unwrap(),
        labels: Labels::new(vec!["service=mailer".parse().unwrap()]).unwrap(),
        networks: Networks::parse(["192.0.2.0/24"]).unwrap(),
        expires_at: Some(EXPIRES_AT),
        issuer: None,
    }
}

pub(crate) fn revoke(reason: RevokeReason) -> RevokeKey {
    RevokeKey { tenant: acme(), key_id: KEY_ID, reason, note: None }
}

pub(crate) fn issued() -> Event {
    let command = issue();
    Event::KeyIssued(Box::new(KeyIssued {
        prefix: Prefix::default(),
        environment: command.environment,
        digest: DIGEST,
        name: command.name,
        owner: command.owner,
        scopes: command.scopes,
        labels: command.labels,
        networks: command.networks,
        expires_at: command.expires_at,
        issuer: None,
    }))
}

pub(crate) fn issued_for_ever() -> Event {
    match issued() {
        Event::KeyIssued(issued) => Event::KeyIssued(Box::new(KeyIssued { expires_at: None, ..*issued })),
        other => other,
    }
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

/// What a command came to.
#[derive(Debug)]
pub(crate) struct Decided(Result<Event, Refusal>);

impl Decided {
    #[track_caller]
    pub(crate) fn then(self, expected: Event) {
        assert_eq!(self.0, Ok(expected));
    }

    #[track_caller]
    pub(crate) fn refuses(self, expected: Refusal) {
        assert_eq!(self.0, Err(expected));
    }

    pub(crate) fn is_event(&self) -> bool {
        self.0.is_ok()
    }
}

pub(crate) struct GivenKey {
    key: Option<Key>,
    closed: bool,
    last_operator: bool,
    now: Timestamp,
}

#[track_caller]
pub(crate) fn given_key<const N: usize>(events: [Event; N]) -> GivenKey {
    let key = history(&StreamName::Key(acme(), KEY_ID), events)
        .fold(None, |key, envelope| Some(Key::evolve(key, &envelope).unwrap()));
    GivenKey { key, closed: false, last_operator: false, now: NOW }
}

impl GivenKey {
    pub(crate) fn at(self, now: Timestamp) -> Self {
        Self { now, ..self }
    }

    pub(crate) fn in_a_closed_tenant(self) -> Self {
        Self { closed: true, ..self }
    }

    pub(crate) fn being_the_last_operator(self) -> Self {
        Self { last_operator: true, ..self }
    }

    pub(crate) fn standing(mut self, standing: Standing) -> Self {
        self.key.as_mut().unwrap().standing = standing;
        self
    }

    pub(crate) fn when_issued(&self, command: &IssueKey) -> Decided {
        let tenant = Tenant {
            id: command.tenant.clone(),
            prefix: Prefix::default(),
            closed: self.closed,
            revision: Revision::new(1),
        };
        let decided = command.decide(&tenant, self.key.as_ref(), DIGEST, self.now);
        Decided(decided.map(|issued| Event::KeyIssued(Box::new(issued))))
    }

    pub(crate) fn when_revoked(&self, command: &RevokeKey) -> Decided {
        Decided(command.decide(self.key.as_ref().unwrap(), self.last_operator).map(Event::KeyRevoked))
    }

    pub(crate) fn when_expired(&self) -> Decided {
        let command = ExpireKey { tenant: acme(), key_id: KEY_ID };
        Decided(command.decide(self.key.as_ref().unwrap(), self.now).map(Event::KeyExpired))
    }
}

pub(crate) struct GivenTenant(Option<Tenant>);

#[track_caller]
pub(crate) fn given_tenant<const N: usize>(events: [Event; N]) -> GivenTenant {
    GivenTenant(
        history(&StreamName::Tenant(acme()), events)
            .fold(None, |tenant, envelope| Some(Tenant::evolve(tenant, &envelope).unwrap())),
    )
}

impl GivenTenant {
    pub(crate) fn when_opened(&self, id: &str) -> Decided {
        let command = OpenTenant { tenant: id.parse().unwrap(), name: None, prefix: Prefix::default() };
        Decided(command.decide(self.0.as_ref()).map(Event::TenantOpened))
    }
}

/// All short sequences of commands, each decided on the state that the ones before left, against what must always hold.
mod exhaustive {
    use super::*;

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Issue,
        Revoke,
        ExpireEarly,
        Expire,
    }

    const STEPS: [Step; 4] = [Step::Issue, Step::Revoke, Step::ExpireEarly, Step::Expire];
    const DEPTH: u32 = 6;

    fn decide(step: Step, key: Option<&Key>) -> Decided {
        let given = GivenKey { key: key.cloned(), closed: false, last_operator: false, now: NOW };
        match (step, key) {
            (Step::Issue, _) => given.when_issued(&issue()),
            (_, None) => Decided(Err(Refusal::KeyAlreadyIssued)),
            (Step::Revoke, _) => given.when_revoked(&revoke(RevokeReason::Other)),
            (Step::ExpireEarly, _) => given.when_expired(),
            (Step::Expire, _) => given.at(EXPIRES_AT).when_expired(),
        }
    }

    #[test]
    fn a_revoked_key_stays_revoked_and_revisions_are_dense() {
        let stream = StreamName::Key(acme(), KEY_ID);
        for sequence in 0..STEPS.len().pow(DEPTH) {
            let mut key: Option<Key> = None;
            let mut rest = sequence;
            for _ in 0..DEPTH {
                let step = STEPS[rest % STEPS.len()];
                rest /= STEPS.len();
                let before = key.clone();
                if let Decided(Ok(event)) = decide(step, key.as_ref()) {
                    let revision = before.as_ref().map_or(1, |key| key.revision.get() + 1);
                    key = Some(Key::evolve(key, &envelope(stream.clone(), revision, event)).unwrap());
                }
                let (was, is) = (before.as_ref().map(|k| k.standing), key.as_ref().map(|k| k.standing));
                let ended = matches!(was, Some(Standing::Revoked | Standing::Expired));
                assert!(
                    !(was == Some(Standing::Revoked) && is != was),
                    "{sequence}: {step:?} undid a revocation"
                );
                assert!(!(ended && is == Some(Standing::Active)), "{sequence}: {step:?} revived a key");
                assert!(was.is_some() || matches!(is, None | Some(Standing::Active)), "{sequence}: {step:?}");
            }
        }
    }

    #[test]
    fn an_event_out_of_its_place_is_damage() {
        let stream = StreamName::Key(acme(), KEY_ID);
        let key = Key::evolve(None, &envelope(stream.clone(), 1, issued())).unwrap();
        assert!(Key::evolve(Some(key.clone()), &envelope(stream.clone(), 3, expired())).is_err(), "a gap");
        assert!(
            Key::evolve(Some(key.clone()), &envelope(stream.clone(), 2, issued())).is_err(),
            "a second issue"
        );
        assert!(
            Key::evolve(None, &envelope(stream.clone(), 1, expired())).is_err(),
            "an end without a beginning"
        );
        assert!(Key::evolve(Some(key), &envelope(stream, 2, tenant_opened())).is_err(), "a tenant's event");
    }
}
