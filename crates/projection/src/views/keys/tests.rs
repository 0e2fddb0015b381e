//! Tests of the view `keys`: its lists against a model that has no index, and what becomes of misfits.

mod life;
mod recalls;

use std::sync::Arc;

use domain::{Event, Position, RevokeReason, Scope, Standing, Timestamp};
use eventlog::Recorded;
use verify::{IndexWriter, new_index};

use super::*;
use crate::given::{
    LOG, MAX_STALENESS, NOW, envelope, expire, issue, key_id, key_stream, owner_tag, recorded, revoke, tenant,
};
use crate::shelf::{QueryError, Shelf, Status};
use crate::stores::MemoryStores;
use crate::tree::MemoryDisk;
use crate::view::{ViewStore, bookmark};

/// A view and the log that it follows.
struct Shown {
    disk: MemoryDisk,
    store: ViewStore<KeysView>,
    keys: Keys,
    log: Vec<Recorded>,
    /// Of the index that the view asks; it stays empty unless a test writes it.
    writer: IndexWriter,
}

impl Shown {
    fn new() -> Self {
        let disk = MemoryDisk::default();
        let shelf = Shelf::new("keys", LOG, Arc::new(MemoryStores::new()));
        shelf.put(Box::new(disk.open()));
        shelf.status.send_replace(Status::beginning(Position::NONE, Position::NONE));
        let (index, writer) = new_index(MAX_STALENESS);
        let keys = Keys { shelf, index };
        Self { disk, store: ViewStore::new(LOG, Position::NONE), keys, log: Vec::new(), writer }
    }

    fn event(&mut self, stream: &StreamName, revision: u32, event: Event) {
        self.bytes(stream, wire::encode(&envelope(stream, revision, event)));
    }

    fn bytes(&mut self, stream: &StreamName, payload: Vec<u8>) {
        self.log.push(recorded(self.log.len() as u64 + 1, stream, payload));
    }

    /// Takes in what was added to the log.
    fn follow(&mut self) {
        self.store.apply(&self.disk.open(), &self.log, || true).unwrap();
    }

    async fn one(&self, n: u128) -> KeyRow {
        self.keys.one(&tenant("acme"), key_id(n)).await.unwrap().unwrap()
    }
}

/// Numbers that look random and are the same each time.
struct Draw(u64);

impl Draw {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn maybe<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(3) == 0).then(|| value(self))
    }
}

const KEYS: u64 = 10_000;

/// Spreads numbers over ids, so that ids and numbers are not in the same order.
fn id(n: u64) -> u128 {
    u128::from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15)) << 32 | u128::from(n)
}

fn ten_thousand(tenant_id: &str) -> Shown {
    let mut shown = Shown::new();
    for n in 0..KEYS {
        shown.event(&key_stream(tenant_id, id(n)), 1, issue(n));
        shown.event(&key_stream("zeta", id(n) + 1), 1, issue(n));
        if n % 7 == 0 {
            shown.event(&key_stream(tenant_id, id(n)), 2, revoke(RevokeReason::Unused));
        } else if n % 21 == 3 {
            shown.event(&key_stream(tenant_id, id(n)), 2, expire(n));
        } else if n % 100 == 1 {
            shown.bytes(&key_stream(tenant_id, id(n)), b"\xff".to_vec());
        }
    }
    shown.follow();
    shown
}

fn query(draw: &mut Draw) -> KeyQuery {
    let scopes = ["campaigns:send", "lists:read", "lists:write", "other"];
    KeyQuery {
        owner: draw.maybe(|draw| owner_tag(draw.below(11))),
        label: draw.maybe(|draw| format!("service=mailer-{}", draw.below(5)).parse().unwrap()),
        standing: draw.maybe(|draw| Standing::ALL[draw.below(6) as usize]),
        scope: draw.maybe(|draw| scopes[draw.below(4) as usize].parse::<Scope>().unwrap()),
        expiring_before: draw.maybe(|draw| NOW.plus_millis(draw.below(KEYS) * 1_000)),
        never_expiring: draw.below(9) == 0,
        issued_by: draw.maybe(|draw| key_id(1 + u128::from(draw.below(9) == 0))),
        issued_before: draw.maybe(|draw| NOW.plus_millis(u64::from(draw.below(9) > 0))),
        environment: draw.maybe(|draw| ["live", "test"][draw.below(2) as usize].parse().unwrap()),
        limit: 1 + draw.below(250) as usize,
        ..KeyQuery::all(tenant("acme"))
    }
}

/// Says of a key number whether the query means it, from how the keys are made.
fn model(query: &KeyQuery, n: u64) -> bool {
    let standing = match n {
        n if n % 7 == 0 => Standing::Revoked,
        n if n % 21 == 3 => Standing::Expired,
        n if n % 100 == 1 => Standing::Quarantined,
        _ => Standing::Active,
    };
    let key = crate::given::grant(n);
    query.owner.is_none_or(|owner| key.owner.tag == owner)
        && query.label.as_ref().is_none_or(|label| key.labels.iter().any(|held| held == label))
        && query.standing.is_none_or(|wanted| standing == wanted)
        && query.scope.as_ref().is_none_or(|scope| key.scopes.iter().any(|held| held.covers(scope)))
        && query
            .expiring_before
            .is_none_or(|before| standing == Standing::Active && key.expires_at.is_some_and(|at| at < before))
        && (!query.never_expiring || key.expires_at.is_none())
        && query.issued_by.is_none_or(|issuer| issuer == key_id(1))
        && query.issued_before.is_none_or(|at| at > NOW)
        && query.environment.is_none_or(|environment| environment == key.environment)
}

impl KeyQuery {
    /// Says of a row whether the query means it, without any lead.
    fn means(&self, row: &KeyRow) -> bool {
        let grant = row.grant.as_ref().unwrap();
        let living = matches!(row.standing, Standing::Active | Standing::Suspended);
        self.owner.is_none_or(|owner| grant.owner.tag == owner)
            && self.label.as_ref().is_none_or(|label| grant.labels.iter().any(|held| held == label))
            && self.standing.is_none_or(|wanted| row.standing == wanted)
            && self.scope.as_ref().is_none_or(|scope| grant.scopes.covers(scope))
            && self.expiring_before.is_none_or(|at| living && grant.expires_at.is_some_and(|e| e < at))
            && (!self.never_expiring || grant.expires_at.is_none())
            && self.issued_by.is_none_or(|issuer| grant.issued_by == Some(issuer))
            && self.issued_before.is_none_or(|at| grant.issued_at < at)
            && self.environment.is_none_or(|environment| grant.environment == environment)
    }
}

async fn all_pages(keys: &Keys, mut query: KeyQuery) -> Vec<KeyRow> {
    let mut found = Vec::new();
    loop {
        let page = keys.list(query.clone()).await.unwrap();
        assert!(page.keys.len() <= query.limit.min(crate::MAX_PAGE));
        found.extend(page.keys);
        match page.next {
            Some(next) => query.cursor = Some(next.to_string().parse().unwrap()),
            None => return found,
        }
    }
}

#[tokio::test]
async fn lists_say_what_a_model_without_indexes_says() {
    let shown = ten_thousand("acme");
    let mut draw = Draw(7);
    let mut found_any = 0;
    for _ in 0..300 {
        let query = query(&mut draw);
        let found = all_pages(&shown.keys, query.clone()).await;
        let mut wanted: Vec<u128> = (0..KEYS).filter(|n| model(&query, *n)).map(id).collect();
        wanted.sort_unstable();
        let mut ids: Vec<u128> = found.iter().map(|key| key.key_id.to_u128()).collect();
        match (query.expiring_before, query.owner, &query.label) {
            (Some(_), None, None) => {
                let expiry =
                    |key: &KeyRow| (key.grant.as_ref().and_then(|grant| grant.expires_at), key.key_id);
                assert!(found.is_sorted_by_key(expiry), "a list by expiry is in that order");
                ids.sort_unstable();
            }
            _ => assert!(ids.is_sorted(), "a list is in the order of ids"),
        }
        assert_eq!(ids, wanted, "{query:?}");
        found_any += usize::from(!ids.is_empty());
    }
    assert!(found_any > 60, "the queries found something: {found_any}");
}

#[tokio::test]
async fn a_cursor_stays_good_while_keys_come_and_go() {
    let mut shown = ten_thousand("acme");
    let mut query = KeyQuery { owner: Some(owner_tag(4)), ..KeyQuery::all(tenant("acme")) };
    let before: Vec<u128> =
        all_pages(&shown.keys, query.clone()).await.iter().map(|key| key.key_id.to_u128()).collect();
    let mut seen = Vec::new();
    for round in 0.. {
        let page = shown.keys.list(query.clone()).await.unwrap();
        seen.extend(page.keys.iter().map(|key| key.key_id.to_u128()));
        for n in 0..50 {
            shown.event(&key_stream("acme", id(KEYS + round * 50 + n)), 1, issue(n));
        }
        shown.follow();
        let Some(next) = page.next else { break };
        query.cursor = Some(next);
    }
    assert!(seen.is_sorted_by(|a, b| a < b), "nothing comes twice");
    assert!(before.iter().all(|key| seen.contains(key)), "what was there all the time is not missed");
}

#[tokio::test]
async fn a_list_that_finds_little_stops_looking_and_says_where() {
    let mut shown = Shown::new();
    for n in 0..12_000 {
        shown.event(&key_stream("acme", n), 1, issue(1));
    }
    shown.event(&key_stream("acme", 12_000), 1, issue(2));
    shown.follow();
    let query = KeyQuery { scope: "campaigns:send".parse().ok(), ..KeyQuery::all(tenant("acme")) };
    let page = shown.keys.list(query.clone()).await.unwrap();
    assert!(page.keys.is_empty() && page.next.is_some());
    let rest = shown.keys.list(KeyQuery { cursor: page.next, ..query.clone() }).await.unwrap();
    assert_eq!((rest.keys.len(), rest.next), (1, None));
    let behind = KeyQuery { cursor: Some(query.cursor_behind(&rest.keys[0])), ..query };
    assert!(
        shown.keys.list(behind).await.unwrap().keys.is_empty(),
        "the one that was found is not found again"
    );
}

#[tokio::test]
async fn a_cursor_of_another_query_is_refused() {
    let shown = ten_thousand("acme");
    let all = KeyQuery { limit: 1, ..KeyQuery::all(tenant("acme")) };
    let by_expiry = KeyQuery { expiring_before: Some(Timestamp::MAX), ..all.clone() };
    let next = shown.keys.list(by_expiry).await.unwrap().next;
    assert!(matches!(shown.keys.list(KeyQuery { cursor: next, ..all }).await, Err(QueryError::OtherCursor)));
    for bad in ["", "-", "x", "1-", "-01JDA7W5W6M4Q0T3S8V2N9X1YZ", "-1-01JDA7W5W6M4Q0T3S8V2N9X1YZ"] {
        assert!(bad.parse::<KeyCursor>().is_err(), "{bad}");
    }
}

#[tokio::test]
async fn what_is_due_is_told_oldest_first_until_it_has_ended() {
    let mut shown = Shown::new();
    for n in [9, 3, 6] {
        shown.event(&key_stream(if n == 6 { "zeta" } else { "acme" }, n), 1, issue(n as u64));
    }
    shown.event(&key_stream("acme", 1), 1, issue(1));
    shown.follow();
    let at = |n: u64| NOW.plus_millis(n * 1_000);
    let due = |keys: Keys, now| async move {
        keys.due(now, 10).await.unwrap().into_iter().map(|key| key.key_id.to_u128()).collect::<Vec<_>>()
    };
    assert_eq!(due(shown.keys.clone(), at(2)).await, [0; 0]);
    assert_eq!(due(shown.keys.clone(), at(6)).await, [3, 6]);
    assert_eq!(shown.keys.due(at(9), 1).await.unwrap().len(), 1);
    assert_eq!(shown.keys.next_due().await.unwrap(), Some(at(3)));
    let first = shown.keys.due(at(9), 1).await.unwrap().remove(0);
    assert_eq!(first, DueKey { tenant: tenant("acme"), key_id: key_id(3), expires_at: at(3) });
    shown.event(&key_stream("acme", 3), 2, expire(3));
    shown.event(&key_stream("zeta", 6), 2, revoke(RevokeReason::Unused));
    shown.follow();
    assert_eq!(due(shown.keys.clone(), at(100)).await, [9]);
    shown.bytes(&key_stream("acme", 9), b"\xff".to_vec());
    shown.follow();
    assert_eq!(shown.keys.next_due().await.unwrap(), None);
}

#[tokio::test]
async fn misfits_quarantine_and_a_quarantined_key_can_still_be_revoked() {
    let mut shown = Shown::new();
    shown.event(&key_stream("acme", 1), 1, issue(1));
    shown.event(&key_stream("acme", 1), 1, issue(1)); // issued twice
    shown.event(&key_stream("acme", 2), 1, issue(2));
    shown.event(&key_stream("acme", 2), 3, revoke(RevokeReason::Unused)); // a revision is missing
    shown.event(&key_stream("acme", 3), 1, revoke(RevokeReason::Unused)); // never issued
    shown.bytes(&key_stream("acme", 4), b"\xff".to_vec());
    shown.follow();
    for (n, revision, known) in [(1, 2, true), (2, 2, true), (3, 1, false), (4, 1, false)] {
        let key = shown.one(n).await;
        assert_eq!((key.standing, key.revision.get()), (Standing::Quarantined, revision), "{n}");
        assert_eq!(key.grant.is_some(), known, "{n}");
    }
    shown.event(&key_stream("acme", 1), 3, revoke(RevokeReason::Compromised));
    shown.event(&key_stream("acme", 4), 2, revoke(RevokeReason::Leaked));
    shown.bytes(&key_stream("acme", 4), b"\xff".to_vec());
    shown.follow();
    let key = shown.one(1).await;
    assert_eq!((key.standing, key.reason), (Standing::Revoked, Some(RevokeReason::Compromised)));
    assert_eq!(shown.one(4).await.standing, Standing::Revoked, "a revocation shows through a quarantine");
}

#[test]
fn a_bookmark_is_read_back() {
    let mut shown = ten_thousand("acme");
    shown.follow();
    let tree = shown.disk.open();
    let applied = bookmark::<KeysView>(&tree, LOG, Position::new(u64::MAX)).unwrap();
    assert_eq!(applied.get(), shown.log.len() as u64);
}
