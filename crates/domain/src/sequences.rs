//! All short sequences of commands on a key and its successors, each decided on the state that the ones before left, against
//! what must always hold.

use crate::cancel_rotation::CancelRotation;
use crate::change_expiry::ChangeExpiry;
use crate::end_suspension::EndSuspension;
use crate::event::{Event, KeyRevoked};
use crate::expire_key::ExpireKey;
use crate::finish_rotation::{Finish, FinishRotation};
use crate::given::{
    DIGEST, EXPIRES_AT, KEY_ID, LATER, NOW, acme, envelope, expired, given_tenant, grant, issue, issued,
    labels, networks, owner, reinstated, scopes, suspends_what_leaks, tenant_opened,
};
use crate::ids::{KeyId, StreamName, Timestamp};
use crate::import_key::ImportKey;
use crate::issue_key::Issuer;
use crate::key::{HistoryError, Key, Standing, standing_after};
use crate::life::Life;
use crate::mark_first_used::MarkFirstUsed;
use crate::reason::{RevokeReason, SuspendReason};
use crate::refusal::Refusal;
use crate::reinstate_key::ReinstateKey;
use crate::relabel_key::RelabelKey;
use crate::rename_key::RenameKey;
use crate::report_leak::ReportLeak;
use crate::rescope_key::{RescopeKey, Widening};
use crate::restrict_key::RestrictKey;
use crate::revoke_key::RevokeKey;
use crate::rotate_key::RotateKey;
use crate::rotation::RotationRule;
use crate::suspend_key::SuspendKey;
use crate::tenant::Tenant;
use crate::transfer_key::TransferKey;
use crate::warn_expiry::WarnExpiry;

/// How many commands are carried out one after another. Refused ones leave nothing, so that any number of them may stand
/// between these.
const DEPTH: u32 = 6;

#[derive(Clone, Copy, Debug)]
enum Step {
    Issue,
    Import,
    Rename,
    Relabel,
    Transfer,
    Rescope,
    Restrict,
    ChangeExpiry,
    Suspend,
    SuspendUntilLater,
    Reinstate,
    EndSuspension,
    Rotate,
    MarkFirstUsed,
    FinishByRule,
    FinishByHand,
    FinishForced,
    CancelRotation,
    LeakRevokes,
    LeakSuspends,
    WarnExpiry,
    Revoke,
    RevokeSuccessor,
    Expire,
    /// A recall stands in the tenant's history.
    Recall,
    /// An event of the key cannot be read.
    Damage,
}

const STEPS: [Step; 26] = [
    Step::Issue,
    Step::Import,
    Step::Rename,
    Step::Relabel,
    Step::Transfer,
    Step::Rescope,
    Step::Restrict,
    Step::ChangeExpiry,
    Step::Suspend,
    Step::SuspendUntilLater,
    Step::Reinstate,
    Step::EndSuspension,
    Step::Rotate,
    Step::MarkFirstUsed,
    Step::FinishByRule,
    Step::FinishByHand,
    Step::FinishForced,
    Step::CancelRotation,
    Step::LeakRevokes,
    Step::LeakSuspends,
    Step::WarnExpiry,
    Step::Revoke,
    Step::RevokeSuccessor,
    Step::Expire,
    Step::Recall,
    Step::Damage,
];

type Lived = (Key, Life);
type Outcome = Result<Vec<(KeyId, Event)>, Refusal>;

struct Tenants {
    revokes_what_leaks: Tenant,
    suspends_what_leaks: Tenant,
}

/// The key, and the last successor that it was given.
#[derive(Clone, Debug, Default)]
struct World {
    key: Option<Lived>,
    successor: Option<Lived>,
    rotations: u128,
}

impl World {
    fn next_successor(&self) -> KeyId {
        KeyId::from_u128(KEY_ID.to_u128() + 1 + self.rotations)
    }

    fn of(&self, key_id: KeyId) -> Option<&Lived> {
        let there = |lived: &&Lived| lived.0.key_id == key_id;
        self.key.as_ref().filter(there).or_else(|| self.successor.as_ref().filter(there))
    }

    fn after(&self, key_id: KeyId, event: Event) -> Result<Self, HistoryError> {
        let (key, life) = self.of(key_id).cloned().unzip();
        let revision = key.as_ref().map_or(1, |key| key.revision.get() + 1);
        let envelope = envelope(StreamName::Key(acme(), key_id), revision, event);
        let lived = Some((Key::evolve(key, &envelope)?, Life::evolve(life, &envelope).unwrap()));
        let rotations = self.rotations.max(key_id.to_u128() - KEY_ID.to_u128());
        Ok(match key_id == KEY_ID {
            true => Self { key: lived, ..self.clone() },
            false => Self { successor: lived, rotations, ..self.clone() },
        })
    }
}

fn one(event: Event) -> Vec<(KeyId, Event)> {
    vec![(KEY_ID, event)]
}

fn decide(step: Step, world: &World, tenants: &Tenants) -> Outcome {
    let tenant = &tenants.revokes_what_leaks;
    let known = world.key.as_ref().map(|(key, _)| key);
    match (step, &world.key) {
        (Step::Issue, _) => {
            issue().decide(tenant, known, DIGEST, NOW).map(|event| one(Event::KeyIssued(Box::new(event))))
        }
        (Step::Import, _) => {
            let command = ImportKey { tenant: acme(), digest: DIGEST, grant: grant(), issuer: None };
            command.decide(tenant, known, NOW).map(|event| one(Event::KeyImported(Box::new(event))))
        }
        (_, None) => Ok(Vec::new()),
        (Step::Rotate, Some((key, life))) => rotate(world, tenant, key, life),
        (Step::FinishByRule, Some(lived)) => finish(world, lived, Finish::ByRule { quiet: true }),
        (Step::FinishByHand, Some(lived)) => finish(world, lived, Finish::ByHand),
        (Step::FinishForced, Some(lived)) => finish(world, lived, Finish::Forced),
        (Step::CancelRotation, Some(lived)) => cancel(world, lived),
        (Step::MarkFirstUsed | Step::RevokeSuccessor, _) => on_successor(step, world),
        (Step::LeakSuspends, Some((key, life))) => leak(&tenants.suspends_what_leaks, key, life),
        (Step::LeakRevokes, Some((key, life))) => leak(tenant, key, life),
        (_, Some((key, life))) => {
            on_one_key(step, tenant, key, life).map(|event| event.map(one).unwrap_or_default())
        }
    }
}

fn rotate(world: &World, tenant: &Tenant, key: &Key, life: &Life) -> Outcome {
    let successor = world.next_successor();
    let rule = RotationRule::DEFAULT;
    let command = RotateKey { tenant: acme(), key_id: KEY_ID, rule, expires_at: None, issuer: None };
    let (rotated, issued) = command.decide(tenant, key, life, (successor, DIGEST), NOW)?;
    Ok(vec![(KEY_ID, Event::KeyRotated(rotated)), (successor, Event::KeyIssued(Box::new(issued)))])
}

fn finish(world: &World, (key, life): &Lived, finish: Finish) -> Outcome {
    let command = FinishRotation { tenant: acme(), key_id: KEY_ID, finish };
    let successor = world.successor.as_ref().map(|(key, life)| (key, life));
    command.decide(key, life, successor, false, NOW).map(|event| one(Event::RotationFinished(event)))
}

fn cancel(world: &World, (key, life): &Lived) -> Outcome {
    let command = CancelRotation { tenant: acme(), key_id: KEY_ID };
    let successor = world.successor.as_ref().map(|(key, _)| key);
    let (cancelled, revoked) = command.decide(key, life, successor, false)?;
    let retired = revoked.map(|revoked| (cancelled.successor, Event::KeyRevoked(revoked)));
    Ok(one(Event::RotationCancelled(cancelled)).into_iter().chain(retired).collect())
}

fn on_successor(step: Step, world: &World) -> Outcome {
    let Some((key, life)) = &world.successor else { return Ok(Vec::new()) };
    let (tenant, key_id) = (acme(), key.key_id);
    let event = match step {
        Step::MarkFirstUsed => {
            Event::KeyFirstUsed(MarkFirstUsed { tenant, key_id, first_used_at: NOW }.decide(key, life)?)
        }
        _ => {
            let command = RevokeKey { tenant, key_id, reason: RevokeReason::Compromised, note: None };
            Event::KeyRevoked(command.decide(key, false)?)
        }
    };
    Ok(vec![(key_id, event)])
}

fn leak(tenant: &Tenant, key: &Key, life: &Life) -> Outcome {
    let source = "scan".parse().unwrap();
    let command = ReportLeak { tenant: acme(), key_id: KEY_ID, source, url: None };
    command.decide(tenant, key, Some(life), false).map(|event| one(Event::KeyLeaked(event)))
}

fn on_one_key(step: Step, in_tenant: &Tenant, key: &Key, life: &Life) -> Result<Option<Event>, Refusal> {
    let (tenant, key_id) = (acme(), KEY_ID);
    let by = || Issuer { key_id: KeyId::from_u128(9), scopes: scopes(&[]) };
    let suspend = |until| {
        let command =
            SuspendKey { tenant: acme(), key_id, reason: SuspendReason::Requested, note: None, until };
        command.decide(key, false, NOW).map(Event::KeySuspended)
    };
    let nearly = Timestamp::from_millis(EXPIRES_AT.as_millis() - 1);
    let widening = Widening::Allowed;
    let event = match step {
        Step::Rename => {
            Event::KeyRenamed(RenameKey { tenant, key_id, name: None }.decide(in_tenant, key, life)?)
        }
        Step::Relabel => {
            Event::KeyRelabelled(RelabelKey { tenant, key_id, labels: labels(&[]) }.decide(in_tenant, key)?)
        }
        Step::Transfer => {
            let owner = owner(6, "lists-team");
            Event::KeyTransferred(TransferKey { tenant, key_id, owner }.decide(in_tenant, key)?)
        }
        Step::Rescope => {
            let command = RescopeKey { tenant, key_id, scopes: scopes(&["lists:*"]), by: by(), widening };
            Event::KeyRescoped(command.decide(in_tenant, key, false)?)
        }
        Step::Restrict => {
            let command = RestrictKey { tenant, key_id, networks: networks(&["198.51.100.7"]), widening };
            Event::KeyRestricted(command.decide(in_tenant, key)?)
        }
        Step::ChangeExpiry => {
            let command = ChangeExpiry { tenant, key_id, expires_at: None };
            Event::KeyExpiryChanged(command.decide(in_tenant, key, false, NOW)?)
        }
        Step::Suspend => suspend(None)?,
        Step::SuspendUntilLater => suspend(Some(LATER))?,
        Step::Reinstate => {
            Event::KeyReinstated(ReinstateKey { tenant, key_id, note: None }.decide(in_tenant, key)?)
        }
        Step::EndSuspension => {
            Event::KeyReinstated(EndSuspension { tenant, key_id }.decide(key, life, LATER)?)
        }
        Step::WarnExpiry => {
            let command = WarnExpiry { tenant, key_id, expires_at: EXPIRES_AT, before_ms: 1 };
            Event::ExpiryWarned(command.decide(key, nearly)?)
        }
        Step::Revoke => {
            let command = RevokeKey { tenant, key_id, reason: RevokeReason::Other, note: None };
            Event::KeyRevoked(command.decide(key, false)?)
        }
        Step::Expire => {
            Event::KeyExpired(ExpireKey { tenant, key_id, expires_at: EXPIRES_AT }.decide(key, EXPIRES_AT)?)
        }
        _ => return Ok(None),
    };
    Ok(Some(event))
}

/// What happens to a key elsewhere than in its own history.
fn befall(step: Step, world: &World) -> Option<World> {
    let (key, life) = world.key.clone()?;
    let standing = match (step, key.standing) {
        (Step::Recall, Standing::Active | Standing::Suspended) => Standing::Recalled,
        (Step::Damage, Standing::Active | Standing::Suspended | Standing::Expired) => Standing::Quarantined,
        _ => return None,
    };
    Some(World { key: Some((Key { standing, ..key }, life)), ..world.clone() })
}

/// The key as this event may leave it: it changes what it names and nothing else.
fn changed_as_named(before: &Key, event: &Event, after: &Key) -> Key {
    let mut expected = before.clone();
    expected.revision = before.revision.next();
    match event {
        Event::KeyRelabelled(_) => expected.labels.clone_from(&after.labels),
        Event::KeyTransferred(_) => expected.owner = after.owner,
        Event::KeyRescoped(_) => expected.scopes.clone_from(&after.scopes),
        Event::KeyRestricted(_) => expected.networks.clone_from(&after.networks),
        Event::KeyExpiryChanged(_) => expected.expires_at = after.expires_at,
        event if standing_after(event).is_some() => expected.standing = after.standing,
        _ => {}
    }
    expected
}

fn check(before: Option<&Lived>, event: &Event, (key, life): &Lived, trail: &[Step]) {
    let must = |holds: bool, rule: &str| assert!(holds, "{rule}: {} after {trail:?}", event.name());
    let grant = &life.grant;
    must(grant.scopes == key.scopes && grant.labels == key.labels, "key and life agree");
    must(grant.networks == key.networks && grant.owner.tag == key.owner, "key and life agree");
    must(grant.expires_at == key.expires_at, "key and life agree");
    let ended = matches!(key.standing, Standing::Revoked | Standing::Expired);
    must(!ended || life.rotation.is_none(), "an ended key gives way to nobody");
    let Some((was, lived)) = before else {
        must(key.standing == Standing::Active && key.revision.get() == 1, "a key begins active, at 1");
        return;
    };
    must(
        *key == changed_as_named(was, event, key),
        "an event changes what it names, and revisions are dense",
    );
    match was.standing {
        Standing::Revoked | Standing::Recalled => must(false, "nothing changes an ended key"),
        Standing::Expired => must(key.standing == Standing::Revoked, "an expired key can only be revoked"),
        Standing::Quarantined => {
            let taken = matches!(event, Event::KeyRevoked(_) | Event::KeyLeaked(_));
            let refused = matches!(key.standing, Standing::Quarantined | Standing::Revoked);
            must(taken && refused, "of a key that cannot be read one can only take away");
        }
        Standing::Suspended if key.standing == Standing::Active => {
            must(matches!(event, Event::KeyReinstated(_)), "reinstating alone lifts a suspension");
        }
        Standing::Active | Standing::Suspended => {}
    }
    let (before, after) = (lived.rotation.is_some(), life.rotation.is_some());
    match event {
        Event::KeyRotated(_) => must(!before && after, "one rotation at a time"),
        Event::RotationFinished(_) => {
            must(before && key.standing == Standing::Revoked, "who was replaced goes");
        }
        Event::RotationCancelled(_) => {
            must(before && !after && key.standing == was.standing, "the predecessor stays as it is");
        }
        _ => must(before || !after, "nothing else begins a rotation"),
    }
}

struct Run {
    tenants: Tenants,
    trail: Vec<Step>,
    carried_out: [u64; STEPS.len()],
}

impl Run {
    fn explore(&mut self, world: &World, depth: u32) {
        if depth == 0 {
            return;
        }
        for step in STEPS {
            self.trail.push(step);
            if let Some(after) = self.take(step, world) {
                self.carried_out[step as usize] += 1;
                self.explore(&after, depth - 1);
            }
            self.trail.pop();
        }
    }

    /// The world after a step; none if it was refused.
    fn take(&self, step: Step, world: &World) -> Option<World> {
        let events = match decide(step, world, &self.tenants) {
            Ok(events) if events.is_empty() => return befall(step, world),
            Ok(events) => events,
            Err(_) => return None,
        };
        let mut world = world.clone();
        for (key_id, event) in events {
            let next = match world.after(key_id, event.clone()) {
                Ok(next) => next,
                Err(error) => panic!("{error}: after {:?}", self.trail),
            };
            check(world.of(key_id), &event, next.of(key_id).unwrap(), &self.trail);
            world = next;
        }
        Some(world)
    }
}

#[test]
fn no_sequence_of_commands_breaks_a_rule() {
    let opened = |more: Option<Event>| given_tenant([tenant_opened()].into_iter().chain(more)).0.unwrap();
    let tenants = Tenants {
        revokes_what_leaks: opened(None),
        suspends_what_leaks: opened(Some(suspends_what_leaks())),
    };
    let mut run = Run { tenants, trail: Vec::new(), carried_out: [0; STEPS.len()] };
    run.explore(&World::default(), DEPTH);
    for step in STEPS {
        assert!(run.carried_out[step as usize] > 0, "{step:?} was never carried out");
    }
    let total: u64 = run.carried_out.iter().sum();
    assert!(total > 100_000, "{total} commands carried out");
}

#[test]
fn an_event_out_of_its_place_is_damage() {
    let stream = StreamName::Key(acme(), KEY_ID);
    let follow = |events: &[(u32, Event)]| {
        events.iter().try_fold(None, |key, (revision, event)| {
            Key::evolve(key, &envelope(stream.clone(), *revision, event.clone())).map(Some)
        })
    };
    let revoked = || Event::KeyRevoked(KeyRevoked { reason: RevokeReason::Other, note: None });
    assert!(follow(&[(1, issued()), (2, expired()), (3, revoked())]).is_ok());
    for (damage, events) in [
        ("a gap", vec![(1, issued()), (3, expired())]),
        ("a second issue", vec![(1, issued()), (2, issued())]),
        ("an end without a beginning", vec![(1, expired())]),
        ("a tenant's event", vec![(1, issued()), (2, tenant_opened())]),
        ("a second revocation", vec![(1, issued()), (2, revoked()), (3, revoked())]),
        ("a return", vec![(1, issued()), (2, expired()), (3, reinstated())]),
    ] {
        assert!(follow(&events).is_err(), "{damage}");
    }
}
