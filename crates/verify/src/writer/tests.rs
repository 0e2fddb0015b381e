//! What events do to rows: in order, never backwards, never across tenants, and never silently nothing.

use domain::{
    Actor, Cause, CommandId, Envelope, Event, EventId, Grant, Key, KeyIssued, RequestTag, ScopeSet, Selector,
    Standing, StreamName,
};

use super::*;
use crate::given::*;
use crate::{KeyState, Verdict};

fn revision(n: u32) -> Revision {
    Revision::new(n)
}

fn state(index: &KeyIndex, n: u32) -> KeyState {
    index.key(&acme(), key_id(n)).unwrap()
}

fn given_key() -> (Arc<KeyIndex>, IndexWriter) {
    let (index, mut writer) = given_acme();
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued(1)), Applied::Done);
    writer.advance(at(2));
    (index, writer)
}

fn change(writer: &mut IndexWriter, position: u64, of: u32, event: &Event) -> Applied {
    writer.change(at(position), &acme(), key_id(1), revision(of), NOW, event)
}

fn revoke(writer: &mut IndexWriter, position: u64, of: u32) -> Applied {
    change(writer, position, of, &revoked())
}

fn envelope(of: u32, event: Event) -> Envelope {
    Envelope {
        event_id: EventId::from_u128(1),
        stream: StreamName::Key(acme(), key_id(1)),
        revision: revision(of),
        occurred_at: NOW,
        actor: Actor::System,
        command_id: CommandId::from_u128(1),
        request_tag: RequestTag::from_bytes([0; 16]),
        cause: Cause::Command,
        trace_context: None,
        event,
    }
}

/// One event of every kind that changes a key.
fn changes() -> Vec<Event> {
    let leaked = |response| {
        Event::KeyLeaked(domain::KeyLeaked { source: "github".parse().unwrap(), url: None, response })
    };
    let suspended =
        domain::KeySuspended { reason: domain::SuspendReason::Investigating, note: None, until: Some(LATER) };
    let networks = domain::Networks::parse(["198.51.100.0/24"]).unwrap();
    vec![
        relabelled("team=lists"),
        transferred(7),
        Event::KeyRenamed(domain::KeyRenamed { name: None }),
        Event::KeyRescoped(domain::KeyRescoped { scopes: ScopeSet::parse(["lists:*"]).unwrap() }),
        Event::KeyRestricted(domain::KeyRestricted { networks }),
        Event::KeyExpiryChanged(domain::KeyExpiryChanged { expires_at: None }),
        Event::KeyExpiryChanged(domain::KeyExpiryChanged { expires_at: Some(NOW) }),
        Event::KeySuspended(suspended),
        Event::KeyReinstated(domain::KeyReinstated { note: None }),
        Event::KeyRotated(domain::KeyRotated { successor: key_id(9), rule: domain::RotationRule::At(LATER) }),
        Event::KeyFirstUsed(domain::KeyFirstUsed { first_used_at: NOW }),
        Event::RotationFinished(domain::RotationFinished { successor: key_id(9), forced: false }),
        Event::RotationCancelled(domain::RotationCancelled { successor: key_id(9) }),
        leaked(domain::LeakResponse::Revoke),
        leaked(domain::LeakResponse::Suspend),
        revoked(),
        Event::ExpiryWarned(domain::ExpiryWarned { expires_at: LATER }),
        expired(),
    ]
}

#[test]
fn the_rows_say_what_the_domain_says_after_every_sequence_of_three_events() {
    let changes = &changes();
    let sequences = changes.iter().flat_map(|first| {
        changes.iter().flat_map(move |second| changes.iter().map(move |third| [first, second, third]))
    });
    let networks = domain::Networks::parse(["192.0.2.0/24"]).unwrap();
    let grant = Grant { expires_at: Some(LATER), networks, ..granted() };
    let issued = KeyIssued { grant, issuer: Some(key_id(9)), ..issued(1) };
    for sequence in sequences {
        let (index, mut writer) = given_acme();
        let mut key = Key::evolve(None, &envelope(1, Event::KeyIssued(Box::new(issued.clone())))).unwrap();
        assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued), Applied::Done);
        for (n, event) in (2..).zip(sequence) {
            let may = match key.standing {
                Standing::Revoked => false,
                Standing::Expired => matches!(event, Event::KeyRevoked(_)),
                _ => true,
            };
            let applied = change(&mut writer, u64::from(n) + 1, n, event);
            assert_eq!(applied, if may { Applied::Done } else { Applied::Misfit }, "{sequence:?}");
            if !may {
                break;
            }
            key = Key::evolve(Some(key), &envelope(n, event.clone())).unwrap();
        }
        if matches!(key.standing, Standing::Revoked | Standing::Expired) {
            // A key that has ended forgets its expiry.
            key.expires_at = None;
        }
        let last = at(u64::from(key.revision.get()) + 1);
        assert_eq!(state(&index, 1), KeyState { key, last }, "{sequence:?}");
    }
}

#[test]
fn what_is_no_change_of_a_key_is_a_misfit() {
    let (index, mut writer) = given_key();
    let before = state(&index, 1);
    let others = [
        Event::KeyIssued(Box::new(issued(1))),
        Event::KeyImported(Box::new(imported("a token"))),
        Event::TenantOpened(domain::TenantOpened { name: None, prefix: domain::Prefix::default() }),
        recalled(Selector::ALL),
        Event::TenantClosed(domain::TenantClosed { note: None }),
    ];
    for event in &others {
        assert_eq!(change(&mut writer, 3, 2, event), Applied::Misfit, "{}", event.name());
    }
    assert_eq!(state(&index, 1), before);
    for event in changes() {
        let applied = writer.change_tenant(at(4), &acme(), revision(2), NOW, &event);
        assert_eq!(applied, Applied::Misfit, "{}", event.name());
    }
    assert_eq!(index.tenant(&acme()).unwrap().last, at(1));
}

#[test]
fn a_tenants_history_moves_and_closes_it() {
    let (index, mut writer) = given_key();
    let configured = Event::TenantConfigured(domain::TenantConfigured {
        name: None,
        prefix: domain::Prefix::default(),
        leak_response: domain::LeakResponse::Suspend,
    });
    let name: domain::PolicyName = "regular".parse().unwrap();
    let removed = Event::PolicyRemoved(domain::PolicyRemoved { name });
    let closed = Event::TenantClosed(domain::TenantClosed { note: None });
    for (n, event) in (2..).zip([&configured, &removed, &closed]) {
        assert_eq!(verify(&index, &token(1)).verdict, Verdict::Valid);
        let applied = writer.change_tenant(at(u64::from(n) + 1), &acme(), revision(n), NOW, event);
        assert_eq!(applied, Applied::Done);
        let state = index.tenant(&acme()).unwrap();
        assert_eq!((state.revision, state.last), (revision(n), at(u64::from(n) + 1)));
    }
    assert!(index.tenant(&acme()).unwrap().closed);
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::TenantClosed);
    let mut apply =
        |position, of, event| writer.change_tenant(at(position), &acme(), revision(of), NOW, event);
    assert_eq!(apply(5, 4, &configured), Applied::Older);
    assert_eq!(apply(6, 6, &configured), Applied::Misfit, "a gap");
    let unknown = writer.change_tenant(at(7), &tenant("other"), revision(2), NOW, &configured);
    assert_eq!(unknown, Applied::Misfit, "a tenant that was never opened");
    writer.quarantine_tenant(at(8), &acme());
    let after = writer.change_tenant(at(9), &acme(), revision(9), NOW, &configured);
    assert_eq!(after, Applied::Done, "anything may follow what cannot be read");
}

#[test]
fn a_suspended_key_is_refused_until_it_is_reinstated() {
    let (index, mut writer) = given_key();
    let [suspended, reinstated] = [7, 8].map(|n| changes().swap_remove(n));
    assert_eq!(change(&mut writer, 3, 2, &suspended), Applied::Done);
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Suspended);
    assert_eq!(change(&mut writer, 4, 3, &reinstated), Applied::Done);
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Valid);
}

#[test]
fn an_older_event_never_overwrites_a_newer_one() {
    let (index, mut writer) = given_key();
    assert_eq!(revoke(&mut writer, 5, 2), Applied::Done);
    let before = state(&index, 1);
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued(1)), Applied::Older);
    assert_eq!(change(&mut writer, 4, 2, &expired()), Applied::Older);
    assert_eq!(revoke(&mut writer, 5, 2), Applied::Older);
    writer.quarantine_key(at(5), &acme(), key_id(1));
    assert_eq!(writer.open_tenant(at(1), &acme()), Applied::Older);
    assert_eq!(state(&index, 1), before);
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Revoked);
}

#[cfg(feature = "planted")]
#[test]
fn the_planted_bug_lets_an_older_event_overwrite_a_newer_one() {
    let (index, mut writer) = given_key();
    assert_eq!(revoke(&mut writer, 5, 2), Applied::Done);
    writer.plant_older_overwrites();
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued(1)), Applied::Done);
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Valid);
}

#[test]
fn what_does_not_follow_is_a_misfit_and_changes_nothing() {
    let (index, mut writer) = given_key();
    let before = state(&index, 1);
    assert_eq!(revoke(&mut writer, 3, 3), Applied::Misfit, "a gap");
    assert_eq!(revoke(&mut writer, 3, 1), Applied::Misfit, "a revision again");
    assert_eq!(writer.issue(at(3), &acme(), key_id(1), &issued(1)), Applied::Misfit, "issued again");
    assert_eq!(writer.open_tenant(at(3), &acme()), Applied::Misfit, "opened again");
    let other = tenant("other");
    assert_eq!(
        writer.change(at(3), &other, key_id(1), revision(2), NOW, &revoked()),
        Applied::Misfit,
        "across tenants"
    );
    assert_eq!(writer.issue(at(3), &other, key_id(1), &issued(1)), Applied::Misfit, "across tenants");
    writer.quarantine_key(at(3), &other, key_id(1));
    assert_eq!(
        writer.change(at(3), &acme(), key_id(2), revision(2), NOW, &revoked()),
        Applied::Misfit,
        "no such key"
    );
    assert_eq!(state(&index, 1), before);
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Valid);
    assert_eq!(revoke(&mut writer, 4, 2), Applied::Done);
    assert_eq!(revoke(&mut writer, 5, 3), Applied::Misfit, "revoked again");
    assert_eq!(change(&mut writer, 5, 3, &expired()), Applied::Misfit, "already ended");
}

#[test]
fn a_quarantined_key_is_refused_and_can_be_revoked() {
    let (index, mut writer) = given_key();
    writer.quarantine_key(at(3), &acme(), key_id(1));
    let quarantined = state(&index, 1);
    assert_eq!((quarantined.key.standing, quarantined.key.revision), (Standing::Quarantined, revision(2)));
    assert_eq!((quarantined.last, verify(&index, &token(1)).verdict), (at(3), Verdict::Quarantined));
    assert_eq!(revoke(&mut writer, 4, 3), Applied::Done);
    assert_eq!((state(&index, 1).key.standing, state(&index, 1).last), (Standing::Revoked, at(4)));
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Revoked);
    assert_eq!(change(&mut writer, 5, 4, &expired()), Applied::Done);
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Revoked, "nothing undoes a revocation");
    assert_eq!(state(&index, 1).last, at(5));
}

#[test]
fn a_key_whose_issue_cannot_be_read_is_known_by_its_place_alone() {
    let (index, mut writer) = given_acme();
    writer.quarantine_key(at(2), &acme(), key_id(1));
    let unread = state(&index, 1);
    assert_eq!(
        (unread.key.standing, unread.key.revision, unread.last),
        (Standing::Quarantined, revision(1), at(2))
    );
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Unknown);
    assert_eq!(revoke(&mut writer, 3, 2), Applied::Done);
    assert_eq!((state(&index, 1).key.standing, state(&index, 1).last), (Standing::Revoked, at(3)));
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Unknown, "no secret was ever read");
    assert_eq!(index.key_count(), 1);
}

#[test]
fn a_quarantined_tenant_refuses_its_keys_and_no_others() {
    let (index, mut writer) = given_key();
    let other = tenant("other");
    assert_eq!(writer.open_tenant(at(3), &other), Applied::Done);
    assert_eq!(writer.issue(at(4), &other, key_id(2), &issued(2)), Applied::Done);
    writer.quarantine_tenant(at(5), &acme());
    let state = index.tenant(&acme()).unwrap();
    assert_eq!((state.quarantined, state.last, state.revision), (true, at(5), revision(2)));
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Quarantined);
    assert_eq!(verify(&index, &token(2)).verdict, Verdict::Valid);
    assert!(!index.tenant(&other).unwrap().quarantined);
}

#[test]
fn in_the_operators_tenant_only_a_key_is_quarantined() {
    let (index, mut writer) = given_acme();
    let operators = TenantId::operators();
    assert_eq!(writer.open_tenant(at(2), &operators), Applied::Done);
    for n in 1..=2 {
        assert_eq!(writer.issue(at(2 + u64::from(n)), &operators, key_id(n), &issued(n)), Applied::Done);
    }
    writer.quarantine_tenant(at(5), &operators);
    writer.quarantine_key(at(6), &operators, key_id(1));
    let state = index.tenant(&operators).unwrap();
    assert_eq!((state.quarantined, state.last), (false, at(5)));
    assert_eq!(verify(&index, &token(1)).verdict, Verdict::Quarantined);
    assert_eq!(verify(&index, &token(2)).verdict, Verdict::Valid);
    let keys = index.keys_of_operators();
    assert_eq!(
        keys.iter().map(|key| key.standing).collect::<Vec<_>>(),
        [Standing::Quarantined, Standing::Active]
    );
}

#[test]
fn a_tenant_is_known_once_its_own_history_is() {
    let (index, mut writer) = given_acme();
    let other = tenant("other");
    assert_eq!(writer.issue(at(2), &other, key_id(2), &issued(2)), Applied::Done);
    assert_eq!(index.tenant(&other), None);
    writer.quarantine_tenant(at(3), &other);
    assert!(index.tenant(&other).unwrap().quarantined);
    writer.note_notice(&acme(), at(7));
    writer.note_notice(&acme(), at(6));
    let state = index.tenant(&acme()).unwrap();
    assert_eq!((state.last_notice, state.last, state.closed), (at(7), at(1), false));
}

#[test]
fn one_tag_in_two_tenants_is_two_owners() {
    let (index, mut writer) = given_key();
    let other = tenant("other");
    let mut theirs = issued(2);
    theirs.grant.owner.name = domain::Personal::Sealed(vec![1, 2, 3]);
    assert_eq!(writer.issue(at(3), &other, key_id(2), &theirs), Applied::Done);
    assert_eq!(*verify(&index, &token(2)).holder.unwrap().owner, theirs.grant.owner);
    assert_eq!(*verify(&index, &token(1)).holder.unwrap().owner, issued(1).grant.owner);
    assert!(index.key(&acme(), key_id(2)).is_none(), "another tenant's key");
    assert!(index.key(&other, key_id(2)).is_some());
    for n in 10..1_000 {
        let mut theirs = issued(n);
        theirs.grant.owner.name = domain::Personal::Sealed(n.to_le_bytes().to_vec());
        let its_tenant = tenant(&format!("list-{n}"));
        assert_eq!(writer.issue(at(n.into()), &its_tenant, key_id(n), &theirs), Applied::Done);
        assert_eq!(*verify(&index, &token(n)).holder.unwrap().owner, theirs.grant.owner);
    }
}

#[test]
fn the_writer_can_move_to_the_workers_thread() {
    fn moves<T: Send>() {}
    moves::<IndexWriter>();
}

#[test]
fn the_applied_position_never_moves_back() {
    let (index, mut writer) = given_acme();
    writer.advance(at(9));
    writer.advance(at(4));
    assert_eq!(index.applied(), at(9));
}
