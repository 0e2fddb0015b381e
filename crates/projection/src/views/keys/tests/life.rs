//! Tests of the changes of a key: each is shown, and the key is found under what it is now.

use std::collections::BTreeMap;

use domain::{Envelope, Key, LeakResponse, Life, RotationRule, Selector, SuspendReason};

use super::*;
use crate::given::life::{
    cancel, finish, first_use, import, leak, move_expiry, reinstate, relabel, rename, rescope, restrict,
    rotate, succeed, suspend, transfer, warn,
};
use crate::given::{labels, owner, recall, text};

fn acme(n: u128) -> StreamName {
    key_stream("acme", n)
}

impl Shown {
    /// Adds events of one key of `acme`, the first at a revision.
    fn life(&mut self, n: u128, from: u32, events: impl IntoIterator<Item = Event>) {
        for (revision, event) in (from..).zip(events) {
            self.event(&acme(n), revision, event);
        }
        self.follow();
    }

    async fn found(&self, query: KeyQuery) -> Vec<u128> {
        all_pages(&self.keys, query).await.iter().map(|key| key.key_id.to_u128()).collect()
    }
}

fn all() -> KeyQuery {
    KeyQuery::all(tenant("acme"))
}

#[tokio::test]
async fn a_key_is_shown_and_found_as_it_is_now() {
    let mut shown = Shown::new();
    shown.life(3, 1, [issue(3)]);
    let changes = [
        rename("Newsletter sender"),
        relabel(&["service=mailer-9", "team=lists"]),
        transfer(7),
        rescope(&["lists:read"]),
        restrict(&["192.0.2.0/24"]),
        move_expiry(Some(NOW.plus_millis(77))),
        warn(NOW.plus_millis(77)),
    ];
    shown.life(3, 2, changes);
    let key = shown.one(3).await;
    assert_eq!((key.standing, key.revision.get(), key.position.get()), (Standing::Active, 8, 8));
    let grant = key.grant.unwrap();
    assert_eq!((grant.name, grant.owner), (Some(text("Newsletter sender")), owner(7)));
    assert_eq!(grant.labels, labels(&["service=mailer-9", "team=lists"]));
    assert_eq!(grant.scopes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["lists:read"]);
    assert_eq!(grant.networks.iter().map(ToString::to_string).collect::<Vec<_>>(), ["192.0.2.0/24"]);
    assert_eq!((grant.expires_at, grant.issued_by), (Some(NOW.plus_millis(77)), Some(key_id(1))));
    assert_eq!((grant.imported, grant.prefix), (false, "rsk".parse().ok()));
    let label = |text: &str| KeyQuery { label: text.parse().ok(), ..all() };
    assert_eq!(shown.found(KeyQuery { owner: Some(owner_tag(3)), ..all() }).await, [0; 0]);
    assert_eq!(shown.found(KeyQuery { owner: Some(owner_tag(7)), ..all() }).await, [3]);
    assert_eq!(shown.found(label("service=mailer-3")).await, [0; 0]);
    assert_eq!(shown.found(label("team=lists")).await, [3]);
    assert_eq!(shown.keys.next_due().await.unwrap(), Some(NOW.plus_millis(77)));
    shown.life(3, 9, [move_expiry(None)]);
    assert_eq!(shown.keys.next_due().await.unwrap(), None);
    assert_eq!(shown.found(KeyQuery { never_expiring: true, ..all() }).await, [3]);
}

#[tokio::test]
async fn an_imported_key_says_so() {
    let mut shown = Shown::new();
    shown.life(4, 1, [import(4)]);
    let grant = shown.one(4).await.grant.unwrap();
    assert_eq!((grant.imported, grant.prefix, grant.issued_by), (true, None, Some(key_id(2))));
    assert_eq!(grant.owner, owner(4));
}

#[tokio::test]
async fn a_suspension_says_why_and_until_when_and_ends() {
    let mut shown = Shown::new();
    let until = NOW.plus_millis(500);
    shown.life(1, 1, [issue(1), suspend(Some(until))]);
    shown.life(2, 1, [issue(2), suspend(Some(NOW.plus_millis(200)))]);
    shown.life(4, 1, [issue(4), suspend(None)]);
    let key = shown.one(1).await;
    assert_eq!((key.standing, key.suspended), (Standing::Suspended, Some(SuspendReason::Investigating)));
    assert_eq!((key.suspended_until, key.note), (Some(until), Some(text("looked into"))));
    let due = |keys: Keys, at| async move { keys.due_suspensions(NOW.plus_millis(at), 10).await.unwrap() };
    assert_eq!(due(shown.keys.clone(), 199).await, []);
    let ids: Vec<u128> = due(shown.keys.clone(), 500).await.iter().map(|due| due.key_id.to_u128()).collect();
    assert_eq!(ids, [2, 1], "oldest first, none that has no end");
    assert_eq!(
        due(shown.keys.clone(), 200).await,
        [DueSuspension { tenant: tenant("acme"), key_id: key_id(2), until: NOW.plus_millis(200) }]
    );
    shown.life(1, 3, [reinstate()]);
    shown.life(2, 3, [revoke(RevokeReason::Compromised)]);
    let key = shown.one(1).await;
    assert_eq!((key.standing, key.suspended, key.suspended_until), (Standing::Active, None, None));
    assert_eq!(key.note, None);
    assert_eq!(due(shown.keys.clone(), 10_000).await, []);
}

#[tokio::test]
async fn a_leak_stays_shown_and_does_what_the_tenant_wants() {
    let mut shown = Shown::new();
    shown.life(1, 1, [issue(1), leak(LeakResponse::Revoke)]);
    shown.life(2, 1, [issue(2), leak(LeakResponse::Suspend)]);
    let key = shown.one(1).await;
    assert_eq!((key.standing, key.reason), (Standing::Revoked, Some(RevokeReason::Leaked)));
    assert_eq!(key.ended_at, Some(NOW));
    let leaked = key.leaked.unwrap();
    assert_eq!((leaked.source.as_str(), leaked.reported_at), ("github", NOW));
    assert_eq!(leaked.url, Some(text("https://git.example/lists/blob/main/send.py")));
    let key = shown.one(2).await;
    assert_eq!((key.standing, key.suspended, key.ended_at), (Standing::Suspended, None, None));
    shown.life(2, 3, [reinstate()]);
    let key = shown.one(2).await;
    assert_eq!((key.standing, key.leaked.is_some()), (Standing::Active, true));
}

#[tokio::test]
async fn a_rotation_is_shown_from_begin_to_end() {
    let mut shown = Shown::new();
    for n in [1, 2, 3, 4, 5] {
        let successor = key_id(n + 100);
        shown.life(n, 1, [issue(1), rotate(successor)]);
        shown.life(n + 100, 1, [succeed(1, key_id(n))]);
    }
    let unused = |keys: Keys| async move {
        let unused = keys.successors_unused(None, 10).await.unwrap();
        unused.iter().map(|successor| successor.key_id.to_u128()).collect::<Vec<_>>()
    };
    assert_eq!(unused(shown.keys.clone()).await, [101, 102, 103, 104, 105]);
    let rotation = shown.one(1).await.rotation.unwrap();
    assert_eq!((rotation.successor, rotation.started_at, rotation.adopted_at), (key_id(101), NOW, None));
    assert_eq!((rotation.rule, rotation.state), (RotationRule::DEFAULT, RotationState::Running));
    shown.life(101, 2, [first_use(9)]);
    assert_eq!(shown.one(101).await.first_used_at, Some(NOW.plus_millis(9)));
    assert_eq!(shown.one(101).await.grant.unwrap().predecessor, Some(key_id(1)));
    assert_eq!(shown.one(1).await.rotation.unwrap().adopted_at, Some(NOW.plus_millis(9)));
    assert_eq!(
        (shown.one(1).await.revision.get(), shown.one(1).await.position.get()),
        (2, 2),
        "its own events"
    );
    shown.life(1, 3, [finish(key_id(101))]);
    shown.life(2, 3, [cancel(key_id(102))]);
    shown.life(3, 3, [revoke(RevokeReason::Compromised)]);
    shown.life(4, 3, [suspend(None)]);
    assert_eq!(unused(shown.keys.clone()).await, [104, 105]);
    let key = shown.one(1).await;
    assert_eq!((key.standing, key.reason), (Standing::Revoked, Some(RevokeReason::Superseded)));
    let states = [
        (1, RotationState::Finished { at: NOW, forced: false }),
        (2, RotationState::Cancelled { at: NOW }),
        (3, RotationState::Overtaken),
        (4, RotationState::Running),
    ];
    for (n, state) in states {
        assert_eq!(shown.one(n).await.rotation.unwrap().state, state, "{n}");
    }
    shown.life(2, 4, [rotate(key_id(202))]);
    assert_eq!(shown.one(2).await.rotation.unwrap().successor, key_id(202), "the last one is shown");
}

async fn rotations(keys: &Keys, phase: Option<RotationPhase>, limit: usize) -> Vec<u128> {
    let (mut found, mut cursor) = (Vec::new(), None);
    loop {
        let page = keys.rotations(&tenant("acme"), phase, cursor, limit).await.unwrap();
        found.extend(page.keys.iter().map(|key| key.key_id.to_u128()));
        match page.next {
            Some(next) => cursor = Some(next.to_string().parse().unwrap()),
            None => return found,
        }
    }
}

#[tokio::test]
async fn rotations_are_listed_page_by_page() {
    let mut shown = Shown::new();
    for n in 0..40 {
        let (stream, successor) = (key_stream(if n % 4 == 0 { "zeta" } else { "acme" }, n), key_id(n + 100));
        shown.event(&stream, 1, issue(1));
        shown.event(&stream, 2, rotate(successor));
        match n % 5 {
            0 => shown.event(&stream, 3, finish(successor)),
            1 => shown.event(&stream, 3, cancel(successor)),
            2 => shown.event(&stream, 3, revoke(RevokeReason::Other)),
            _ => {}
        }
    }
    shown.follow();
    let of = |rest: u128| (0..40).filter(move |n| n % 4 != 0 && n % 5 == rest);
    let running: Vec<u128> = (0..40).filter(|n| n % 4 != 0 && n % 5 > 2).collect();
    let wanted: Vec<u128> = running.iter().copied().chain(of(0)).chain(of(1)).chain(of(2)).collect();
    for limit in [1, 2, 3, 7, 200] {
        assert_eq!(rotations(&shown.keys, None, limit).await, wanted, "{limit}");
        assert_eq!(rotations(&shown.keys, Some(RotationPhase::Running), limit).await, running);
        assert_eq!(
            rotations(&shown.keys, Some(RotationPhase::Cancelled), limit).await,
            of(1).collect::<Vec<_>>()
        );
        let (mut found, mut cursor) = (0, None);
        loop {
            let page = shown.keys.rotations_running(limit, cursor).await.unwrap();
            found += page.keys.len();
            cursor = page.next;
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(found, (0..40).filter(|n| n % 5 > 2).count(), "of all tenants");
        let mut unused = Vec::new();
        loop {
            let page = shown.keys.successors_unused(unused.last(), limit).await.unwrap();
            let last = page.len() < limit;
            unused.extend(page);
            if last {
                break;
            }
        }
        assert_eq!(unused.len(), found);
    }
    for bad in ["", "running", "running-", "walking-01JDA7W5W6M4Q0T3S8V2N9X1YZ"] {
        assert!(bad.parse::<RotationCursor>().is_err(), "{bad}");
    }
}

/// What the domain makes of the same events, with the recalls beside it.
#[derive(Default)]
struct Model {
    keys: BTreeMap<u128, (Key, Life, Option<Position>)>,
}

impl Model {
    fn take(&mut self, n: u128, envelope: &Envelope) {
        let (key, life, recalled) = match self.keys.remove(&n) {
            Some((key, life, recalled)) => (Some(key), Some(life), recalled),
            None => (None, None, None),
        };
        let mut key = Key::evolve(key, envelope).unwrap();
        if recalled.is_some() {
            key.standing = Standing::Recalled;
        }
        self.keys.insert(n, (key, Life::evolve(life, envelope).unwrap(), recalled));
    }

    fn recall(&mut self, selector: &Selector, position: Position) {
        for (key, _, recalled) in self.keys.values_mut() {
            if !key.has_ended() && selector.matches(&key.selectable()) {
                key.standing = Standing::Recalled;
                *recalled = Some(position);
            }
        }
    }

    fn check(&self, row: &KeyRow) {
        let (key, life, recalled) = &self.keys[&row.key_id.to_u128()];
        let n = row.key_id;
        assert_eq!(
            (row.standing, row.revision, row.recalled_by),
            (key.standing, key.revision, *recalled),
            "{n}"
        );
        let grant = row.grant.as_ref().unwrap();
        let is = (&grant.name, &grant.owner, &grant.scopes, &grant.labels, &grant.networks, grant.expires_at);
        let model = &life.grant;
        let wanted =
            (&model.name, &model.owner, &model.scopes, &model.labels, &model.networks, model.expires_at);
        assert_eq!(is, wanted, "{n}");
        assert_eq!(row.first_used_at, life.first_used_at, "{n}");
        if key.standing == Standing::Suspended {
            assert_eq!(row.suspended_until, life.suspended_until, "{n}");
        }
        let running = row.rotation.as_ref().filter(|rotation| rotation.state == RotationState::Running);
        // A life knows of no recall, which ends a rotation like any other end.
        let wanted = life.rotation.as_ref().filter(|_| !key.has_ended());
        assert_eq!(running.map(|r| r.successor), wanted.map(|r| r.successor), "{n}");
    }
}

fn some_change(draw: &mut Draw, key: &Key) -> Event {
    let number = draw.below(10);
    match (key.standing, draw.below(18)) {
        (Standing::Expired, _) => revoke(RevokeReason::Other),
        (_, 0) => rename(&format!("Sender {number}")),
        (_, 1 | 2) => transfer(number),
        (_, 3) => relabel(&[&format!("service=mailer-{}", number % 4)]),
        (_, 4) => relabel(&[]),
        (_, 5) => rescope(if number > 5 { &["lists:read"] } else { &["campaigns:*"] }),
        (_, 6) => restrict(&["192.0.2.0/24"]),
        (_, 7) => move_expiry(draw.maybe(|_| NOW.plus_millis(number))),
        (_, 8) => suspend(draw.maybe(|_| NOW.plus_millis(number))),
        (_, 9) => reinstate(),
        (_, 10) => rotate(key_id(1_000)),
        (_, 11) => first_use(number),
        (_, 12) => finish(key_id(1_000)),
        (_, 13) => cancel(key_id(1_000)),
        (_, 14) => leak(LeakResponse::ALL[number as usize % 2]),
        (_, 15) => revoke(RevokeReason::Other),
        (_, 16) => warn(NOW),
        _ => expire(number),
    }
}

fn some_selector(draw: &mut Draw) -> Selector {
    Selector {
        owner: draw.maybe(|draw| owner(draw.below(10))),
        label: draw.maybe(|draw| format!("service=mailer-{}", draw.below(4)).parse().unwrap()),
        scope: draw.maybe(|_| "lists:read".parse().unwrap()),
        issuer: draw.maybe(|_| key_id(1)),
        environment: draw.maybe(|_| "test".parse().unwrap()),
    }
}

/// Any sequence of fitting events, recalls in between, makes of each key what the domain makes of it, and leads to it.
#[tokio::test]
async fn keys_are_what_the_domain_says() {
    let mut draw = Draw(11);
    for _ in 0..60 {
        let (mut shown, mut model) = (Shown::new(), Model::default());
        let keys = 1 + draw.below(40);
        for step in 0..400 {
            let n = u128::from(draw.below(keys));
            let event = match model.keys.get(&n) {
                _ if step % 60 == 59 => {
                    let selector = some_selector(&mut draw);
                    shown.event(&StreamName::Tenant(tenant("acme")), 1, recall(selector.clone()));
                    model.recall(&selector, Position::new(shown.log.len() as u64));
                    continue;
                }
                None => {
                    if draw.below(2) == 0 {
                        issue(n as u64)
                    } else {
                        import(n as u64)
                    }
                }
                Some((key, ..)) if key.standing == Standing::Revoked => continue,
                Some((key, ..)) => some_change(&mut draw, key),
            };
            let revision = model.keys.get(&n).map_or(1, |(key, ..)| key.revision.get() + 1);
            model.take(n, &envelope(&acme(n), revision, event.clone()));
            shown.event(&acme(n), revision, event);
            if draw.below(30) == 0 {
                shown.follow();
            }
        }
        shown.follow();
        let rows = all_pages(&shown.keys, all()).await;
        assert_eq!(rows.len(), model.keys.len());
        rows.iter().for_each(|row| model.check(row));
        for _ in 0..20 {
            let query = query(&mut draw);
            let wanted = |row: &&KeyRow| query.means(row);
            let mut wanted: Vec<u128> = rows.iter().filter(wanted).map(|row| row.key_id.to_u128()).collect();
            let mut found = shown.found(query.clone()).await;
            wanted.sort_unstable();
            found.sort_unstable();
            assert_eq!(found, wanted, "{query:?}");
        }
        let suspended = shown.keys.due_suspensions(Timestamp::MAX, 1_000).await.unwrap().len();
        let wanted = rows.iter().filter(|row| row.suspended_until.is_some()).count();
        assert_eq!(suspended, wanted);
    }
}
