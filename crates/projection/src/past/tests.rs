//! The past against what was shown live at each position, and against what is plain to see.

use domain::{Envelope, Event, Position, Selector, StreamName, Timestamp};
use verify::{Moment, Verdict};

use crate::given::life::{
    close, configure, first_use, import, move_expiry, policy_set, reinstate, rename, rescope, restrict,
    rotate, succeed, suspend, transfer,
};
use crate::given::{
    Log, NOW, caught_up, envelope, issue, key_id, key_stream, of_owner, recall, revoke, tenant,
};
use crate::stores::MemoryStores;
use crate::{KeyRow, Projection, Question};

/// Everything that can happen to keys, some of it to keys that have ended, some of it not readable.
fn story() -> Vec<(StreamName, Option<Event>)> {
    let (acme, of) = (StreamName::Tenant(tenant("acme")), |n| key_stream("acme", n));
    let owner_left = |n| Some(recall(of_owner(n)));
    vec![
        (acme.clone(), Some(crate::given::open())),
        (of(1), Some(issue(1))),
        (of(2), Some(issue(2))),
        (of(2), Some(transfer(1))),
        (acme.clone(), owner_left(2)),
        (of(3), Some(issue(3))),
        (of(12), Some(issue(12))),
        (of(12), Some(suspend(None))),
        (acme.clone(), owner_left(2)),
        (of(12), Some(rename("too late"))),
        (of(1), Some(rotate(key_id(21)))),
        (of(21), Some(succeed(1, key_id(1)))),
        (of(21), Some(first_use(5))),
        (of(3), Some(move_expiry(Some(NOW.plus_millis(7))))),
        (of(3), Some(rescope(&["lists:read"]))),
        (of(4), Some(import(4))),
        (of(4), Some(restrict(&["192.0.2.0/24"]))),
        (of(4), None),
        (of(4), Some(reinstate())),
        (of(5), None),
        (acme.clone(), Some(configure("Acme Letters"))),
        (acme.clone(), Some(policy_set())),
        (of(1), Some(revoke(domain::RevokeReason::Compromised))),
        (of(22), Some(issue(22))),
        (acme.clone(), Some(recall(Selector::ALL))),
        (of(31), Some(issue(31))),
        (acme.clone(), None),
        (acme, Some(close())),
    ]
}

const KEYS: [u128; 9] = [1, 2, 3, 4, 5, 12, 21, 22, 31];

fn questions() -> Vec<Question> {
    let scopes = [None, Some("campaigns:send"), Some("lists:read")];
    let networks = [None, Some("192.0.2.7"), Some("198.51.100.1")];
    let asked = KEYS.iter().flat_map(|n| scopes.iter().zip(networks).map(move |both| (*n, both)));
    asked
        .map(|(n, (scope, network))| Question {
            tenant: tenant("acme"),
            key_id: key_id(n),
            scope: scope.map(|scope| scope.parse().unwrap()),
            network: network.map(|network| network.parse().unwrap()),
        })
        .collect()
}

/// What is shown now: the row of each key, and the verdict on each question at some moments.
async fn shown(projection: &Projection) -> (Vec<Option<KeyRow>>, Vec<Verdict>) {
    let mut rows = Vec::new();
    for n in KEYS {
        rows.push(projection.keys().one(&tenant("acme"), key_id(n)).await.unwrap());
    }
    projection.index.prove_fresh(0);
    let verdicts = questions().into_iter().flat_map(|q| moments().map(move |now| (q.clone(), now)));
    let verdicts = verdicts.map(|(q, now)| {
        let moment = Moment { now, boot_ms: 0 };
        projection.index.judge_key(&q.tenant, q.key_id, q.scope.as_ref(), q.network, moment).verdict
    });
    let verdicts = verdicts.collect();
    (rows, verdicts)
}

fn moments() -> [Timestamp; 3] {
    [NOW, NOW.plus_millis(7), NOW.plus_millis(3_600_000)]
}

#[tokio::test]
async fn every_key_at_every_position_is_what_it_was_shown_as() {
    let log = Log::new();
    let projection = log.projection(&MemoryStores::new()).await;
    let mut live = vec![shown(&projection).await];
    for (stream, event) in story() {
        let position = match event {
            Some(event) => log.append(&stream, event).await,
            None => log.append_bytes(&stream, b"what no build can read".to_vec()).await,
        };
        caught_up(&projection, position).await;
        live.push(shown(&projection).await);
    }
    let past = projection.past();
    let mut met = std::collections::BTreeSet::new();
    for (at, (rows, verdicts)) in (0..).map(Position::new).zip(&live) {
        for (n, row) in KEYS.into_iter().zip(rows) {
            assert_eq!(past.key_at(&tenant("acme"), key_id(n), at).await.unwrap(), *row, "key {n} at {at}");
        }
        let asked = questions().into_iter().flat_map(|q| moments().map(move |now| (q.clone(), now)));
        for ((question, now), verdict) in asked.zip(verdicts) {
            let explained = past.explain(&question, at, now).await.unwrap().unwrap();
            assert_eq!(explained.verdict, *verdict, "{question:?} at {at}, {now}");
            met.insert(verdict.as_str());
            assert_eq!(explained.decided_by.is_none(), explained.begins_at > at, "{question:?} at {at}");
        }
    }
    let all =
        ["expired", "network_denied", "quarantined", "recalled", "revoked", "scope_denied", "suspended"];
    assert!(all.iter().all(|verdict| met.contains(verdict)), "{met:?}");
    projection.stop().await;
}

#[tokio::test]
async fn the_event_that_decided_is_named() {
    let log = Log::new();
    let stream = key_stream("acme", 3);
    let log = log.with_keys([3]).await;
    let moved = log.append(&stream, move_expiry(Some(NOW.plus_millis(7)))).await;
    let suspended = log.append(&stream, suspend(None)).await;
    log.append(&stream, rename("something else")).await;
    let reinstated = log.append(&stream, reinstate()).await;
    let scoped = log.append(&stream, rescope(&["lists:read"])).await;
    let recalled = log.append(&StreamName::Tenant(tenant("acme")), recall(Selector::ALL)).await;
    log.append(&stream, revoke(domain::RevokeReason::Other)).await;
    let projection = log.projection(&MemoryStores::new()).await;
    let past = projection.past();
    let scope = Some("campaigns:send".parse().unwrap());
    let question = Question { tenant: tenant("acme"), key_id: key_id(3), scope, network: None };
    let plain = Question { scope: None, ..question.clone() };
    for (question, at, now, verdict, decided) in [
        (&plain, suspended, NOW, Verdict::Suspended, suspended),
        (&plain, reinstated.next(), NOW, Verdict::Valid, reinstated),
        (&plain, reinstated, NOW.plus_millis(7), Verdict::Expired, moved),
        (&question, scoped, NOW, Verdict::ScopeDenied, reinstated),
        (&plain, recalled, NOW, Verdict::Recalled, recalled),
        (&plain, recalled.next(), NOW, Verdict::Recalled, recalled),
    ] {
        let explained = past.explain(question, at, now).await.unwrap().unwrap();
        let by = explained.decided_by.as_ref().map(|event| event.position);
        assert_eq!((explained.verdict, by), (verdict, Some(decided)), "at {at}");
    }
    let nobody = Question { key_id: key_id(99), ..plain };
    assert!(past.explain(&nobody, recalled, NOW).await.unwrap().is_none());
    projection.stop().await;
}

/// Clocks that go forth and back, over so many events that the view has several marks.
#[tokio::test]
async fn a_time_finds_its_position_whatever_the_clocks_did() {
    let log = Log::new();
    let mut times = Vec::new();
    for n in 1..=1_700_u64 {
        let at = NOW.plus_millis(n * 10 + (n * 7_919) % 4_000);
        let stream = key_stream("acme", u128::from(n));
        if n.is_multiple_of(512) {
            // Nobody can tell when that was.
            log.append_bytes(&stream, b"what no build can read".to_vec()).await;
            times.push(Timestamp::default());
            continue;
        }
        let envelope = Envelope { occurred_at: at, ..envelope(&stream, 1, issue(n)) };
        log.append_bytes(&stream, wire::encode(&envelope)).await;
        times.push(at);
    }
    let projection = log.projection(&MemoryStores::new()).await;
    let past = projection.past();
    let log_times: Vec<Timestamp> = times
        .iter()
        .scan(Timestamp::default(), |latest, at| {
            *latest = (*latest).max(*at);
            Some(*latest)
        })
        .collect();
    for position in (0..=1_700_usize).step_by(37).chain([511, 512, 513, 1_023, 1_024, 1_536, 1_700]) {
        let expected = position.checked_sub(1).map_or(Timestamp::default(), |n| log_times[n]);
        let told = past.log_time(Position::new(position as u64)).await.unwrap();
        assert_eq!(told, expected, "position {position}");
    }
    for moment in (0..22_000).step_by(97).map(|ms| NOW.plus_millis(ms)).chain([Timestamp::MAX]) {
        let expected = log_times.partition_point(|at| *at <= moment);
        assert_eq!(past.position_at(moment).await.unwrap().get(), expected as u64, "{moment}");
        let before = log_times.partition_point(|at| *at < moment);
        assert_eq!(past.last_before(moment).await.unwrap().get(), before as u64, "{moment}");
    }
    projection.stop().await;
}

#[tokio::test]
async fn a_span_tells_every_key_that_is_not_what_it_was() {
    let log = Log::new().with_keys([1, 2, 3, 12]).await;
    let begin = log.log_head().await;
    let acme = StreamName::Tenant(tenant("acme"));
    log.append(&key_stream("acme", 1), rename("another name")).await;
    log.append(&acme, recall(of_owner(2))).await;
    log.append(&key_stream("acme", 22), issue(22)).await;
    log.append(&acme, policy_set()).await;
    log.append(&key_stream("lists", 77), issue(77)).await;
    let unread = log.append_bytes(&key_stream("acme", 3), b"what no build can read".to_vec()).await;
    let projection = log.projection(&MemoryStores::new()).await;
    let past = projection.past();
    let diff = past.diff(&tenant("acme"), begin, unread).await.unwrap().unwrap();
    let ids: Vec<u128> = diff.keys.iter().map(|key| key.key_id.to_u128()).collect();
    assert_eq!(ids, [1, 2, 3, 12, 22], "those with events, and those that the recall hit");
    let standing = |n: usize| {
        let of = |row: &Option<KeyRow>| row.as_ref().map(|row| row.standing.as_str());
        (of(&diff.keys[n].before), of(&diff.keys[n].after))
    };
    assert_eq!(standing(0), (Some("active"), Some("active")));
    assert_eq!(standing(1), (Some("active"), Some("recalled")));
    assert_eq!(standing(2), (Some("active"), Some("quarantined")));
    assert_eq!(standing(4), (None, Some("active")), "issued after the recall");
    assert_eq!((diff.before.policies.len(), diff.after.policies.len()), (0, 1));
    assert_eq!(diff.unreadable, [unread]);
    assert!(past.diff(&tenant("nobody"), begin, unread).await.unwrap().is_none());
    projection.stop().await;
}
