//! Tests of recalls in the view `keys`: whom they hit, part by part, through crashes, and what is shown meanwhile.

use domain::{Envelope, KeysRecalled, Selector};
use verify::Applied;

use super::*;
use crate::given::life::{reinstate, rescope, suspend, transfer};
use crate::given::{issued, of_owner, owner, recall, text};
use crate::tree::Pair;

/// More than one part of a recall looks at, whatever its selector leads to.
const MANY: u64 = 3_000;

fn acme() -> StreamName {
    StreamName::Tenant(tenant("acme"))
}

/// Keys of two tenants, some of which have ended or are suspended.
fn many() -> Shown {
    let mut shown = Shown::new();
    for n in 0..MANY {
        shown.event(&key_stream("acme", id(n)), 1, issue(n));
        if n % 100 == 0 {
            shown.event(&key_stream("zeta", id(n)), 1, issue(n));
        }
        match n % 40 {
            7 => shown.event(&key_stream("acme", id(n)), 2, revoke(RevokeReason::Unused)),
            9 => shown.event(&key_stream("acme", id(n)), 2, expire(n)),
            11 => shown.event(&key_stream("acme", id(n)), 2, suspend(None)),
            13 => shown.bytes(&key_stream("acme", id(n)), b"\xff".to_vec()),
            _ => {}
        }
    }
    shown
}

fn selectors() -> Vec<Selector> {
    let label = |text: &str| Selector { label: text.parse().ok(), ..Selector::ALL };
    vec![
        Selector::ALL,
        of_owner(4),
        label("service=mailer-1"),
        label("service=nobody"),
        Selector { label: "service=mailer-2".parse().ok(), ..of_owner(4) },
        Selector { scope: "campaigns:send".parse().ok(), ..Selector::ALL },
        Selector { issuer: Some(key_id(1)), environment: "test".parse().ok(), ..Selector::ALL },
        Selector { issuer: Some(key_id(99)), ..Selector::ALL },
    ]
}

/// Says of a key number whether a recall of these hits it, from how the keys are made.
fn is_hit(selector: &Selector, n: u64) -> bool {
    let grant = crate::given::grant(n);
    let issuer = Some(key_id(1));
    let selectable = domain::Selectable {
        owner: grant.owner.tag,
        labels: &grant.labels,
        scopes: &grant.scopes,
        issuer,
        environment: grant.environment,
    };
    !matches!(n % 40, 7 | 9) && selector.matches(&selectable)
}

#[tokio::test]
async fn a_recall_hits_what_matches_and_has_not_ended() {
    for selector in selectors() {
        let mut shown = many();
        shown.event(&acme(), 1, recall(selector.clone()));
        let position = Position::new(shown.log.len() as u64);
        for n in MANY..MANY + 20 {
            shown.event(&key_stream("acme", id(n)), 1, issue(n));
        }
        shown.follow();
        let query = KeyQuery { standing: Some(Standing::Recalled), ..KeyQuery::all(tenant("acme")) };
        let found = all_pages(&shown.keys, query.clone()).await;
        let mut wanted: Vec<u128> = (0..MANY).filter(|n| is_hit(&selector, *n)).map(id).collect();
        wanted.sort_unstable();
        assert_eq!(found.iter().map(|key| key.key_id.to_u128()).collect::<Vec<_>>(), wanted, "{selector:?}");
        for key in &found {
            assert_eq!((key.recalled_by, key.ended_at), (Some(position), Some(NOW)));
            assert_eq!(
                (key.reason, &key.note),
                (Some(RevokeReason::OwnerLeft), &Some(text("left the team")))
            );
            assert!(key.position < position && key.suspended_until.is_none());
        }
        let zeta = KeyQuery { tenant: tenant("zeta"), ..query };
        assert!(all_pages(&shown.keys, zeta).await.is_empty(), "nothing crosses tenants");
    }
}

#[tokio::test]
async fn a_recall_compares_keys_as_they_were_at_its_place() {
    let mut shown = Shown::new();
    let say = |shown: &mut Shown, n, revision, event| shown.event(&key_stream("acme", n), revision, event);
    for n in 1..=4 {
        say(&mut shown, n, 1, issue(n as u64));
    }
    say(&mut shown, 1, 2, transfer(9)); // comes to owner 9 before
    say(&mut shown, 2, 2, transfer(9));
    say(&mut shown, 2, 3, transfer(2)); // and has left again
    shown.event(&acme(), 1, recall(of_owner(9)));
    say(&mut shown, 3, 2, transfer(9)); // comes after
    say(&mut shown, 1, 3, transfer(1)); // decided before the recall, and late
    say(&mut shown, 1, 4, revoke(RevokeReason::Compromised));
    say(&mut shown, 1, 5, reinstate());
    shown.bytes(&key_stream("acme", 1), b"\xff".to_vec());
    shown.event(&acme(), 2, recall(Selector { scope: "lists:write".parse().ok(), ..Selector::ALL }));
    say(&mut shown, 3, 3, rescope(&["campaigns:send"]));
    shown.follow();
    let key = shown.one(1).await;
    assert_eq!((key.standing, key.revision.get()), (Standing::Recalled, 6));
    assert_eq!((key.reason, key.recalled_by), (Some(RevokeReason::OwnerLeft), Some(Position::new(8))));
    assert_eq!(key.grant.unwrap().owner, owner(1), "what was decided before is applied");
    assert_eq!(shown.one(2).await.standing, Standing::Active);
    let key = shown.one(3).await;
    assert_eq!((key.standing, key.recalled_by), (Standing::Recalled, Some(Position::new(14))));
    assert_eq!(shown.one(4).await.standing, Standing::Active);
}

fn rows_of(shown: &Shown) -> Vec<Pair> {
    shown.disk.dump()
}

/// Follows a log anew on a disk, and cuts the power after so many batches since the last flush.
fn cut(log: &[Recorded], batches: usize) -> MemoryDisk {
    let disk = MemoryDisk::default();
    let tree = disk.open();
    ViewStore::<KeysView>::new(LOG, Position::NONE).apply(&tree, log, || true).unwrap();
    disk.crash_keeping(batches);
    disk
}

fn go_on(disk: &MemoryDisk, log: &[Recorded]) -> Position {
    let tree = disk.open();
    let from = bookmark::<KeysView>(&tree, LOG, Position::new(u64::MAX)).unwrap();
    ViewStore::<KeysView>::new(LOG, from).apply(&tree, log, || true).unwrap();
    from
}

#[test]
fn a_crash_between_two_parts_repeats_the_recall() {
    for selector in [Selector::ALL, of_owner(4)] {
        let mut shown = many();
        shown.event(&acme(), 1, recall(selector));
        let at = shown.log.len() as u64;
        shown.event(&key_stream("acme", id(MANY)), 1, issue(4));
        shown.event(&key_stream("acme", id(MANY)), 2, suspend(None));
        shown.follow();
        let wanted = rows_of(&shown);
        let mut half_way = 0;
        for batches in 0..=shown.disk.unflushed() {
            let disk = cut(&shown.log, batches);
            let before = disk.dump();
            let from = go_on(&disk, &shown.log);
            assert!(disk.dump() == wanted, "after {batches} batches");
            let hit = before.iter().any(|(name, _)| name.starts_with(b"sacme\0\x04"));
            half_way += usize::from(from.get() == at - 1 && hit);
        }
        assert!(half_way >= 1, "some cuts were between two parts");
    }
}

#[test]
fn who_stops_half_way_goes_on_where_the_bookmark_says() {
    let mut shown = many();
    shown.event(&acme(), 1, recall(Selector::ALL));
    shown.event(&key_stream("acme", id(MANY)), 1, issue(4));
    shown.follow();
    let disk = MemoryDisk::default();
    let tree = disk.open();
    let mut stops = 0_usize;
    loop {
        // Each time another few batches, and then a new start.
        let from = bookmark::<KeysView>(&tree, LOG, Position::new(u64::MAX)).unwrap();
        if from.get() == shown.log.len() as u64 {
            break;
        }
        let left = std::cell::Cell::new(3 + stops);
        let go_on = || left.replace(left.get().saturating_sub(1)) > 0;
        ViewStore::<KeysView>::new(LOG, from).apply(&tree, &shown.log, go_on).unwrap();
        stops += 1;
    }
    assert!(stops > 3 && disk.dump() == rows_of(&shown), "{stops}");
}

impl Shown {
    /// Lets the index take in what the log has, as the index worker does.
    fn index(&mut self) {
        for event in &self.log {
            let stream = event.stream.as_str().parse().unwrap();
            let Ok(Envelope { event: content, occurred_at, .. }) = wire::decode(&stream, &event.payload)
            else {
                continue;
            };
            match (&stream, content) {
                (StreamName::Key(tenant, key_id), Event::KeyIssued(issued)) => {
                    assert_eq!(self.writer.issue(event.position, tenant, *key_id, &issued), Applied::Done);
                }
                (StreamName::Tenant(tenant), Event::KeysRecalled(recalled)) => {
                    let KeysRecalled { selector, .. } = *recalled;
                    self.keys.index.recall(tenant, event.position, occurred_at, &selector);
                }
                _ => {}
            }
        }
    }
}

#[tokio::test]
async fn while_a_recall_is_on_its_way_its_keys_are_shown_as_recalled() {
    let mut shown = Shown::new();
    for n in 0..1_000 {
        shown.event(&key_stream("acme", id(n)), 1, issue(n));
    }
    shown.follow();
    shown.event(&acme(), 1, recall(of_owner(4)));
    shown.index();
    // The view has not heard of it yet.
    let one = shown.one(id(4)).await;
    assert_eq!((one.standing, one.recalled_by), (Standing::Recalled, None));
    assert_eq!(shown.one(id(5)).await.standing, Standing::Active);
    let all = KeyQuery::all(tenant("acme"));
    let active = all_pages(&shown.keys, KeyQuery { standing: Some(Standing::Active), ..all.clone() }).await;
    assert_eq!(active.len(), 900);
    assert!(active.iter().all(|key| key.grant.as_ref().unwrap().owner.tag != owner_tag(4)));
    let by_expiry = KeyQuery { expiring_before: Some(Timestamp::MAX), ..all.clone() };
    let expiring = all_pages(&shown.keys, by_expiry).await.len();
    assert_eq!(expiring, (0..1_000).filter(|n| n % 3 == 0 && n % 10 != 4).count());
    let owned = KeyQuery { owner: Some(owner_tag(4)), standing: Some(Standing::Recalled), ..all };
    assert_eq!(all_pages(&shown.keys, owned.clone()).await.len(), 100);
    shown.follow();
    assert_eq!(shown.one(id(4)).await.recalled_by, Some(Position::new(1_001)));
    assert_eq!(all_pages(&shown.keys, owned).await.len(), 100);
    assert_eq!(issued(4).grant.owner, owner(4));
}
