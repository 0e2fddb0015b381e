//! Recalls against a model that knows the whole log, in every order of hearing of them, and under threads.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use domain::{
    Event, Grant, Key, KeyId, KeyIssued, Label, Labels, Networks, Revision, Scope, ScopeSet, StreamName,
    TenantId,
};

use super::*;
use crate::given::*;
use crate::index::{Found, Presented};
use crate::judge::judge;
use crate::{Applied, IndexWriter, KeyIndex, Verdict, VerifyRequest};

fn owner(n: u8) -> Selector {
    Selector { owner: Some(owner_of(n)), ..Selector::ALL }
}

fn issued_to(n: u32, owner: u8) -> KeyIssued {
    KeyIssued { grant: Grant { owner: owner_of(owner), ..granted() }, ..issued(n) }
}

fn change(writer: &mut IndexWriter, position: u64, n: u32, of: u32, event: &Event) {
    assert_eq!(writer.change(at(position), &acme(), key_id(n), Revision::new(of), NOW, event), Applied::Done);
    writer.advance(at(position));
}

fn recall_in_log(writer: &mut IndexWriter, position: u64, of: u32, selector: &Selector) {
    let event = recalled(selector.clone());
    let applied = writer.change_tenant(at(position), &acme(), Revision::new(of), LATER, &event);
    assert_eq!(applied, Applied::Done);
    writer.advance(at(position));
}

fn verdict(index: &KeyIndex, n: u32) -> Verdict {
    verify(index, &token(n)).verdict
}

fn pending(index: &KeyIndex) -> usize {
    let entry = index.tenants.at(index.tenants.find(&acme()).unwrap());
    entry.recalls().map_or(0, |recalls| recalls.all().len())
}

#[test]
fn a_recall_hits_at_once_what_matched_at_its_position_and_nothing_later() {
    let (index, mut writer) = given_acme();
    for (n, owner) in [(1, 1), (2, 2), (3, 1)] {
        let applied = writer.issue(at(1 + u64::from(n)), &acme(), key_id(n), &issued_to(n, owner));
        assert_eq!(applied, Applied::Done);
    }
    writer.advance(at(4));
    change(&mut writer, 5, 3, 2, &transferred(2));
    // The server that appended it; the rows are three events behind.
    index.recall(&acme(), at(9), LATER, &owner(1));
    index.recall(&acme(), at(9), LATER, &owner(1));
    assert_eq!(
        (verdict(&index, 1), verdict(&index, 2), verdict(&index, 3)),
        (Verdict::Recalled, Verdict::Valid, Verdict::Valid)
    );
    assert_eq!(verify(&index, &token(1)).holder.unwrap().since, Some(LATER));
    assert_eq!(index.key(&acme(), key_id(1)).unwrap().key.standing, Standing::Recalled);
    // Below it in the log, and applied after it was heard of: a transfer away, one to the owner, and an issue.
    change(&mut writer, 6, 1, 2, &transferred(3));
    change(&mut writer, 7, 2, 2, &transferred(1));
    assert_eq!(writer.issue(at(8), &acme(), key_id(4), &issued_to(4, 1)), Applied::Done);
    recall_in_log(&mut writer, 9, 2, &owner(1));
    assert_eq!(pending(&index), 1, "the same recall");
    // And above it.
    assert_eq!(writer.issue(at(10), &acme(), key_id(5), &issued_to(5, 1)), Applied::Done);
    change(&mut writer, 11, 3, 3, &transferred(1));
    change(&mut writer, 12, 4, 2, &transferred(3));
    let now = |index: &KeyIndex| [1, 2, 3, 4, 5].map(|n| verdict(index, n));
    let expected = [Verdict::Valid, Verdict::Recalled, Verdict::Valid, Verdict::Recalled, Verdict::Valid];
    assert_eq!(now(&index), expected);
    writer.settle();
    assert_eq!((now(&index), pending(&index), writer.pending_recalls()), (expected, 0, 0));
    assert_eq!(verify(&index, &token(2)).holder.unwrap().since, Some(LATER));
    index.recall(&acme(), at(9), LATER, &owner(1));
    assert_eq!(pending(&index), 0, "who comes after it was settled brings nothing back");
}

#[test]
fn a_recalled_key_stays_recalled_whatever_was_decided_before() {
    let (index, mut writer) = given_acme();
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued(1)), Applied::Done);
    recall_in_log(&mut writer, 3, 2, &Selector::ALL);
    let suspended = Event::KeyReinstated(domain::KeyReinstated { note: None });
    for (n, event) in (2..).zip([transferred(9), expired(), suspended, revoked(), relabelled("team=lists")]) {
        change(&mut writer, u64::from(n) + 2, 1, n, &event);
        let state = index.key(&acme(), key_id(1)).unwrap();
        assert_eq!((state.key.standing, state.key.revision), (Standing::Recalled, Revision::new(n)));
        assert_eq!(verify(&index, &token(1)).holder.unwrap().since, Some(LATER));
    }
    assert_eq!(index.key(&acme(), key_id(1)).unwrap().key.owner, owner_of(9).tag, "attributes follow");
}

#[test]
fn what_had_ended_before_a_recall_is_not_recalled() {
    let (index, mut writer) = given_acme();
    for (n, event) in [(1, revoked()), (2, expired())] {
        assert_eq!(writer.issue(at(u64::from(n) * 2), &acme(), key_id(n), &issued(n)), Applied::Done);
        change(&mut writer, u64::from(n) * 2 + 1, n, 2, &event);
    }
    recall_in_log(&mut writer, 6, 2, &Selector::ALL);
    let both = |index: &KeyIndex| (verdict(index, 1), verdict(index, 2));
    assert_eq!(both(&index), (Verdict::Revoked, Verdict::Expired));
    writer.settle();
    assert_eq!(both(&index), (Verdict::Revoked, Verdict::Expired));
}

#[test]
fn a_key_that_cannot_be_read_is_recalled_with_all_and_by_nothing_else() {
    for (selector, expected) in [
        (Selector::ALL, Standing::Recalled),
        (Selector { environment: Some(Environment::Live), ..Selector::ALL }, Standing::Quarantined),
    ] {
        let (index, mut writer) = given_acme();
        writer.quarantine_key(at(2), &acme(), key_id(1));
        recall_in_log(&mut writer, 3, 2, &selector);
        let standing = || index.key(&acme(), key_id(1)).unwrap().key.standing;
        assert_eq!(standing(), expected);
        writer.quarantine_key(at(4), &acme(), key_id(1));
        assert_eq!(standing(), expected, "settled before what came next");
        writer.settle();
        assert_eq!(standing(), expected);
    }
}

#[test]
fn a_recall_stays_in_its_tenant() {
    let (index, mut writer) = given_acme();
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued(1)), Applied::Done);
    writer.advance(at(2));
    // Of a tenant that this index has not heard of yet.
    index.recall(&tenant("other"), at(4), LATER, &Selector::ALL);
    assert_eq!((verdict(&index, 1), index.tenant(&tenant("other"))), (Verdict::Valid, None));
    assert_eq!(writer.issue(at(3), &tenant("other"), key_id(2), &issued(2)), Applied::Done);
    assert_eq!((verdict(&index, 1), verdict(&index, 2)), (Verdict::Valid, Verdict::Recalled));
}

#[test]
fn an_entry_ahead_of_the_rows_outlives_the_passes_until_then() {
    let (index, mut writer) = given_acme();
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued_to(1, 1)), Applied::Done);
    recall_in_log(&mut writer, 3, 2, &owner(2));
    index.recall(&acme(), at(5), LATER, &owner(1));
    writer.settle();
    assert_eq!((pending(&index), verdict(&index, 1)), (1, Verdict::Recalled));
    // Met, but its position not yet published.
    let event = recalled(owner(1));
    assert_eq!(writer.change_tenant(at(5), &acme(), Revision::new(3), LATER, &event), Applied::Done);
    writer.settle();
    assert_eq!((pending(&index), writer.pending_recalls()), (1, 1));
    writer.advance(at(5));
    writer.settle();
    assert_eq!((pending(&index), verdict(&index, 1)), (0, Verdict::Recalled));
}

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }

    fn labels(&mut self) -> Labels {
        Labels::new(vec![Label::new("service", ["mailer", "lists"][self.roll(2) as usize]).unwrap()]).unwrap()
    }

    fn scopes(&mut self) -> ScopeSet {
        ScopeSet::parse([["campaigns:send", "lists:*", "lists:read"][self.roll(3) as usize]]).unwrap()
    }

    fn grant(&mut self) -> Grant {
        let environment = if self.roll(4) == 0 { Environment::Test } else { Environment::Live };
        Grant {
            environment,
            name: None,
            owner: owner_of(self.roll(3) as u8),
            scopes: self.scopes(),
            labels: self.labels(),
            networks: Networks::default(),
            expires_at: None,
        }
    }

    fn selector(&mut self) -> Selector {
        let mut selector = Selector::ALL;
        for _ in 0..=self.roll(2) {
            match self.roll(6) {
                0 => selector.label = self.labels().iter().next().cloned(),
                1 => selector.scope = Some("lists:read".parse::<Scope>().unwrap()),
                2 => selector.issuer = Some(key_id(900 + self.roll(2) as u32)),
                3 => selector.environment = Some(Environment::Test),
                _ => selector.owner = Some(owner_of(self.roll(3) as u8)),
            }
        }
        selector
    }

    fn change(&mut self) -> Event {
        match self.roll(8) {
            0 | 1 => transferred(self.roll(3) as u8),
            2 => Event::KeyRelabelled(domain::KeyRelabelled { labels: self.labels() }),
            3 => Event::KeyRescoped(domain::KeyRescoped { scopes: self.scopes() }),
            4 => Event::KeyRenamed(domain::KeyRenamed { name: None }),
            5 => Event::KeyReinstated(domain::KeyReinstated { note: None }),
            6 => Event::RotationCancelled(domain::RotationCancelled { successor: key_id(1) }),
            _ => revoked(),
        }
    }
}

/// What the domain makes of the log, one event after the other.
#[derive(Default)]
struct Model {
    keys: BTreeMap<KeyId, Key>,
}

impl Model {
    fn recall(&mut self, selector: &Selector) {
        for key in self.keys.values_mut() {
            if !ends(key.standing) && selector.matches(&key.selectable()) {
                key.standing = Standing::Recalled;
            }
        }
    }

    fn evolve(&mut self, key_id: KeyId, event: &Event) -> Option<Revision> {
        let before = self.keys.get(&key_id).cloned();
        if before.as_ref().is_some_and(|key| key.standing == Standing::Revoked) {
            return None;
        }
        let recalled = before.as_ref().is_some_and(|key| key.standing == Standing::Recalled);
        let revision = before.as_ref().map_or(Revision::new(1), |key| key.revision.next());
        let envelope = domain::Envelope {
            event_id: domain::EventId::from_u128(1),
            stream: StreamName::Key(acme(), key_id),
            revision,
            occurred_at: NOW,
            actor: domain::Actor::System,
            command_id: domain::CommandId::from_u128(1),
            request_tag: domain::RequestTag::from_bytes([0; 16]),
            cause: domain::Cause::Command,
            trace_context: None,
            event: event.clone(),
        };
        let mut key = Key::evolve(before, &envelope).unwrap();
        if recalled {
            key.standing = Standing::Recalled;
        }
        self.keys.insert(key_id, key);
        Some(revision)
    }
}

/// One log of random events, heard of in a random order; every row is compared with the model at every position.
fn agrees_with_the_model(seed: u64) {
    let mut dice = Dice(seed);
    let (index, mut writer) = given_acme();
    let mut model = Model::default();
    let mut of_tenant = Revision::new(1);
    let mut ahead: BTreeMap<u64, Selector> = BTreeMap::new();
    for position in 2..60 {
        // The server may have appended a recall some events from here, and heard of it by itself.
        if dice.roll(6) == 0 {
            let (p, selector) = (position + dice.roll(5), dice.selector());
            if ahead.try_insert_absent(p, &selector) {
                index.recall(&acme(), at(p), NOW, &selector);
            }
        }
        if let Some(selector) =
            ahead.remove(&position).or_else(|| (dice.roll(8) == 0).then(|| dice.selector()))
        {
            of_tenant = of_tenant.next();
            let event = recalled(selector.clone());
            let applied = writer.change_tenant(at(position), &acme(), of_tenant, NOW, &event);
            assert_eq!(applied, Applied::Done, "seed {seed}");
            model.recall(&selector);
        } else {
            let n = dice.roll(6) as u32;
            let issued = KeyIssued { grant: dice.grant(), issuer: Some(key_id(900 + n % 2)), ..issued(n) };
            let exists = model.keys.contains_key(&key_id(n));
            let event = if exists { dice.change() } else { Event::KeyIssued(Box::new(issued.clone())) };
            if let Some(revision) = model.evolve(key_id(n), &event) {
                let applied = match &event {
                    Event::KeyIssued(issued) => writer.issue(at(position), &acme(), key_id(n), issued),
                    event => writer.change(at(position), &acme(), key_id(n), revision, NOW, event),
                };
                assert_eq!(applied, Applied::Done, "seed {seed}");
            }
        }
        if dice.roll(2) == 0 {
            writer.advance(at(position));
        }
        if dice.roll(5) == 0 {
            writer.settle();
        }
        if ahead.is_empty() {
            compare(&index, &model, seed, position);
        }
    }
}

trait InsertAbsent {
    fn try_insert_absent(&mut self, position: u64, selector: &Selector) -> bool;
}

impl InsertAbsent for BTreeMap<u64, Selector> {
    fn try_insert_absent(&mut self, position: u64, selector: &Selector) -> bool {
        let absent = !self.contains_key(&position);
        if absent {
            self.insert(position, selector.clone());
        }
        absent
    }
}

fn compare(index: &KeyIndex, model: &Model, seed: u64, position: u64) {
    for (key_id, key) in &model.keys {
        let state = index.key(&acme(), *key_id).unwrap();
        assert_eq!(state.key, *key, "seed {seed}, position {position}");
    }
    for selector in
        [Selector::ALL, owner(1), Selector { scope: Some("lists:read".parse().unwrap()), ..owner(2) }]
    {
        let mut found = Vec::new();
        index.for_each_matching(&acme(), &selector, |key| found.push(key.key_id));
        found.sort();
        let expected =
            model.keys.values().filter(|key| !ends(key.standing) && selector.matches(&key.selectable()));
        assert_eq!(
            found,
            expected.map(|key| key.key_id).collect::<Vec<_>>(),
            "seed {seed}, position {position}"
        );
    }
}

#[test]
fn every_row_agrees_with_the_whole_log_in_whatever_order_recalls_are_heard_of() {
    for seed in 0..2_000 {
        agrees_with_the_model(seed);
    }
}

/// One look-up with something between the copy of the row and all that follows.
type LookUp = fn(&KeyIndex, &Presented<'_>, &dyn Fn()) -> Found;

/// What verify does: the passes are counted before the row is copied.
fn passes_first(index: &KeyIndex, presented: &Presented<'_>, between: &dyn Fn()) -> Found {
    let found = index.look_up(presented);
    between();
    found
}

/// The planted bug.
fn passes_last(index: &KeyIndex, presented: &Presented<'_>, between: &dyn Fn()) -> Found {
    let found = passes_first(index, presented, between);
    Found { settles: index.settles(), ..found }
}

fn verdict_by(look_up: LookUp, index: &KeyIndex, token: &str, between: &dyn Fn()) -> Verdict {
    let request = VerifyRequest { token, tenant: None, scope: None, network: None };
    judge(index, &request, MOMENT, |index, presented| look_up(index, presented, between)).verdict
}

fn given_pending() -> (Arc<KeyIndex>, parking_lot::Mutex<IndexWriter>) {
    let (index, mut writer) = given_acme();
    assert_eq!(writer.issue(at(2), &acme(), key_id(1), &issued_to(1, 1)), Applied::Done);
    writer.advance(at(2));
    index.recall(&acme(), at(3), LATER, &owner(1));
    (index, parking_lot::Mutex::new(writer))
}

#[test]
fn a_pass_that_ends_while_a_key_is_verified_hides_no_recall() {
    for (look_up, expected) in [(passes_first as LookUp, Verdict::Recalled), (passes_last, Verdict::Valid)] {
        let (index, writer) = given_pending();
        let settle = || {
            let mut writer = writer.lock();
            if index.applied() < at(3) {
                recall_in_log(&mut writer, 3, 2, &owner(1));
                writer.settle();
            }
        };
        assert_eq!(verdict_by(look_up, &index, &token(1), &settle), expected, "the planted bug shows");
        assert_eq!(verdict(&index, 1), Verdict::Recalled);
    }
}

#[test]
fn a_pass_that_ends_while_a_key_is_looked_at_hides_no_recall() {
    let (index, writer) = given_pending();
    let row = index.recalled_row_with(index.hash.of(key_id(1)), key_id(1), || {
        let mut writer = writer.lock();
        if index.applied() < at(3) {
            recall_in_log(&mut writer, 3, 2, &owner(1));
            writer.settle();
        }
    });
    assert_eq!(row.unwrap().0.standing(), Standing::Recalled);
}

/// What the writer hears of in the order of the log.
enum Heard {
    Issued(u32, u8),
    Recalled(Selector),
}

/// Issues a key, recalls its owner and issues one more, round after round, while readers verify both keys of the last round
/// that was acknowledged and the writer follows and settles. Counts the recalled keys that passed, and the later ones that
/// were hit.
fn violations(look_up: LookUp, rounds: u32, enough: u32) -> (u32, u32) {
    const KEYS: u32 = 1_000_000;
    let (index, mut writer) = given_acme();
    let (sender, events) = mpsc::sync_channel::<(u64, Heard)>(16);
    let (effective, done) = (AtomicU32::new(0), AtomicBool::new(false));
    let (passed, hit) = (AtomicU32::new(0), AtomicU32::new(0));
    thread::scope(|scope| {
        scope.spawn(|| follow(&mut writer, events));
        for _ in 0..2 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    let round = effective.load(Ordering::Acquire);
                    if round == 0 {
                        continue;
                    }
                    if verdict_by(look_up, &index, &token(round), &thread::yield_now) == Verdict::Valid {
                        passed.fetch_add(1, Ordering::Relaxed);
                    }
                    let later = verdict_by(look_up, &index, &token(KEYS + round), &thread::yield_now);
                    if later == Verdict::Recalled && effective.load(Ordering::Acquire) == round {
                        hit.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        for round in 1..=rounds.min(KEYS) {
            let (position, its) = (u64::from(round) * 3, (round % 200) as u8);
            // Owners come round again: what an earlier round recalled of them is nothing to the later keys.
            let append = |n: u64, heard| sender.send((position + n, heard)).unwrap();
            append(0, Heard::Issued(round, its));
            // Whoever hears of it first, the server that appended it or its own writer.
            if round.is_multiple_of(3) {
                append(1, Heard::Recalled(owner(its)));
                append(2, Heard::Issued(KEYS + round, its));
            }
            index.recall(&acme(), at(position + 1), LATER, &owner(its));
            effective.store(round, Ordering::Release);
            if !round.is_multiple_of(3) {
                thread::yield_now();
                append(1, Heard::Recalled(owner(its)));
                append(2, Heard::Issued(KEYS + round, its));
            }
            if passed.load(Ordering::Relaxed) + hit.load(Ordering::Relaxed) >= enough {
                break;
            }
        }
        drop(sender);
        done.store(true, Ordering::Release);
    });
    (passed.into_inner(), hit.into_inner())
}

fn follow(writer: &mut IndexWriter, events: mpsc::Receiver<(u64, Heard)>) {
    let mut of_tenant = Revision::new(1);
    for (position, heard) in events {
        let applied = match heard {
            Heard::Issued(n, owner) => writer.issue(at(position), &acme(), key_id(n), &issued_to(n, owner)),
            Heard::Recalled(selector) => {
                of_tenant = of_tenant.next();
                writer.change_tenant(at(position), &acme(), of_tenant, LATER, &recalled(selector))
            }
        };
        assert_eq!(applied, Applied::Done);
        writer.advance(at(position));
        writer.settle();
    }
}

#[test]
fn no_recalled_key_passes_and_no_later_one_is_hit_under_threads() {
    assert_eq!(violations(passes_first, 5_000, 1), (0, 0));
    assert!(violations(passes_last, 1_000_000, 1).0 > 0, "the planted order is caught");
}

#[test]
fn recalls_that_race_with_their_own_event_leave_nothing_behind() {
    const ROUNDS: u64 = 3_000;
    let (index, mut writer) = given_acme();
    let (asked, recalled_up_to) = (AtomicU32::new(1), AtomicU32::new(1));
    let mut left_behind = 0;
    thread::scope(|scope| {
        scope.spawn(|| {
            for n in 2..ROUNDS as u32 {
                while asked.load(Ordering::Acquire) < n {
                    thread::yield_now();
                }
                index.recall(&acme(), at(n.into()), NOW, &owner(1));
                recalled_up_to.store(n, Ordering::Release);
            }
        });
        for n in 2..ROUNDS as u32 {
            asked.store(n, Ordering::Release);
            recall_in_log(&mut writer, n.into(), n, &owner(1));
            writer.settle();
            while recalled_up_to.load(Ordering::Acquire) < n {
                thread::yield_now();
            }
            left_behind += pending(&index);
        }
    });
    assert_eq!(left_behind, 0);
}

#[test]
fn two_threads_that_hear_of_a_tenant_first_number_it_once() {
    for n in 0..500 {
        let (index, mut writer) = crate::new_index(MAX_STALENESS);
        let name: TenantId = tenant(&format!("list-{n}"));
        thread::scope(|scope| {
            scope.spawn(|| index.recall(&name, at(3), NOW, &Selector::ALL));
            assert_eq!(writer.issue(at(2), &name, key_id(1), &issued(1)), Applied::Done);
        });
        index.prove_fresh(MOMENT.boot_ms);
        assert_eq!((index.tenants.len(), verdict(&index, 1)), (1, Verdict::Recalled));
    }
}

#[test]
fn issuers_whose_keys_are_all_gone_are_not_found() {
    let (index, mut writer) = given_acme();
    let other = tenant("other");
    for (n, issuer, tenant) in [(1, 50, acme()), (2, 50, acme()), (3, 51, acme()), (4, 50, other.clone())] {
        let issued = KeyIssued { issuer: Some(key_id(issuer)), ..issued_to(n, n as u8) };
        assert_eq!(writer.issue(at(1 + u64::from(n)), &tenant, key_id(n), &issued), Applied::Done);
    }
    writer.advance(at(5));
    let ask = |issuers: &[u32]| {
        let mut pairs = index.issued_by(&issuers.iter().map(|n| key_id(*n)).collect());
        pairs.sort();
        pairs
    };
    assert_eq!(ask(&[50, 51]), [(acme(), key_id(50)), (acme(), key_id(51)), (other.clone(), key_id(50))]);
    assert_eq!(ask(&[52]), []);
    recall_in_log(&mut writer, 6, 2, &Selector { issuer: Some(key_id(50)), ..Selector::ALL });
    assert_eq!(ask(&[50, 51]), [(acme(), key_id(51)), (other.clone(), key_id(50))]);
    change(&mut writer, 7, 3, 2, &revoked());
    writer.settle();
    assert_eq!(ask(&[50, 51]), [(other, key_id(50))]);
}

#[test]
fn matching_keys_are_shown_as_they_are() {
    let (index, mut writer) = given_acme();
    for n in 1..=3 {
        let issued = KeyIssued { issuer: Some(key_id(9)), ..issued_to(n, 1) };
        assert_eq!(writer.issue(at(1 + u64::from(n)), &acme(), key_id(n), &issued), Applied::Done);
    }
    writer.quarantine_key(at(5), &acme(), key_id(2));
    change(&mut writer, 6, 3, 2, &revoked());
    let mut shown = Vec::new();
    index.for_each_matching(&acme(), &owner(1), |key| {
        assert_eq!((key.owner.tag, key.issuer), (owner_of(1).tag, Some(key_id(9))));
        assert_eq!(key.labels, &granted().labels);
        shown.push((key.key_id, key.standing, key.last));
    });
    shown.sort();
    assert_eq!(shown, [(key_id(1), Standing::Active, at(2)), (key_id(2), Standing::Quarantined, at(5))]);
    index.for_each_matching(&tenant("absent"), &Selector::ALL, |_| unreachable!());
}
