//! What a projection shows of a log.

use std::sync::Arc;

use domain::{LeakResponse, Position, RevokeReason, Selector, Standing, StreamName};

use crate::given::life::{
    close, configure, first_use, leak, move_expiry, relabel, rename, rescope, restrict, rotate, succeed,
    suspend, transfer,
};
use crate::given::{
    Log, NOW, caught_up, issue, key_id, key_stream, of_owner, owner_tag, recall, revoke, tenant, text,
};
use crate::stores::{DiskStores, MemoryStores, Stores};
use crate::{KeyQuery, Projection};

async fn shows_a_life(log: Log, stores: Arc<dyn Stores>) {
    let projection = log.start(stores).await;
    let mut live = projection.live_notices();
    let revoked = log.append(&key_stream("acme", 3), revoke(RevokeReason::Compromised)).await;
    caught_up(&projection, revoked).await;
    let key = projection.keys().one(&tenant("acme"), key_id(3)).await.unwrap().unwrap();
    assert_eq!((key.standing, key.revision.get(), key.position), (Standing::Revoked, 2, revoked));
    assert_eq!(key.reason, Some(RevokeReason::Compromised));
    assert_eq!(key.grant.unwrap().owner.tag, owner_tag(3));
    let state = projection.index.key(&tenant("acme"), key_id(3)).unwrap();
    assert_eq!((state.key.standing, state.last), (Standing::Revoked, revoked));
    let list = |query| async { projection.keys().list(query).await.unwrap().keys };
    let all = KeyQuery::all(tenant("acme"));
    assert_eq!(list(all.clone()).await.len(), 20);
    let active = KeyQuery { standing: Some(Standing::Active), ..all.clone() };
    assert_eq!(list(active).await.len(), 19);
    assert_eq!(list(KeyQuery { owner: Some(owner_tag(3)), ..all }).await.len(), 2);
    let history = projection.history().events(&key_stream("acme", 3), Position::NONE, 10).await.unwrap();
    assert_eq!(history.events.len(), 2);
    assert_eq!(history.events[1].export()["data"]["reason"], "compromised");
    let tenants = projection.tenants().list(None, 10).await.unwrap().tenants;
    assert_eq!(tenants.iter().map(|row| row.tenant.as_str()).collect::<Vec<_>>(), ["acme"]);
    let notices = projection.notices().after(Some(&tenant("acme")), Position::NONE, 100).await.unwrap();
    assert_eq!(notices.len(), 21);
    let last = loop {
        let notice = live.recv().await.unwrap();
        if notice.position == revoked {
            break notice;
        }
    };
    assert_eq!(*last, notices[20]);
    assert_eq!(projection.notices().last(None).await.unwrap(), revoked);
    stop(projection).await;
}

async fn stop(projection: Projection) {
    tokio::time::timeout(crate::given::PATIENCE, projection.stop()).await.expect("it stops in time");
}

#[tokio::test(start_paused = true)]
async fn a_keys_life_is_shown_from_memory() {
    let log = Log::new().with_keys(1..=20).await;
    shows_a_life(log, Arc::new(MemoryStores::new())).await;
}

#[tokio::test]
async fn a_keys_life_is_shown_from_disk() {
    let dir = tempfile::tempdir().unwrap();
    let log = Log::new().with_keys(1..=20).await;
    shows_a_life(log.clone(), Arc::new(DiskStores::open(dir.path()).unwrap())).await;
    // Again, from what was stopped.
    log.append(&StreamName::Tenant(tenant("zeta")), crate::given::open()).await;
    let projection = log.start(Arc::new(DiskStores::open(dir.path()).unwrap())).await;
    caught_up(&projection, Position::new(23)).await;
    assert_eq!(projection.tenants().list(None, 10).await.unwrap().tenants.len(), 2);
    stop(projection).await;
}

#[tokio::test(start_paused = true)]
async fn each_tenants_notices_are_chained_and_the_feed_says_the_same_live() {
    let log = Log::new();
    let stores = MemoryStores::new();
    let projection = log.projection(&stores).await;
    let mut live = projection.live_notices();
    for name in ["acme", "zeta"] {
        log.append(&StreamName::Tenant(tenant(name)), crate::given::open()).await;
    }
    for n in 1..=30_u64 {
        let stream = key_stream(if n % 3 == 0 { "zeta" } else { "acme" }, u128::from(n));
        log.append(&stream, issue(n)).await;
        log.append_bytes(&stream, b"\xff".to_vec()).await;
        log.append(&stream, revoke(RevokeReason::Requested)).await;
    }
    caught_up(&projection, Position::new(92)).await;
    for name in ["acme", "zeta"] {
        let mut previous = Position::NONE;
        let tenant = tenant(name);
        let mut after = Position::NONE;
        let mut count = 0;
        loop {
            let page = projection.notices().after(Some(&tenant), after, 7).await.unwrap();
            for notice in &page {
                assert_eq!((&notice.tenant, notice.previous), (&tenant, previous), "{notice:?}");
                let json: serde_json::Value = serde_json::from_str(&notice.json).unwrap();
                assert_eq!(json["id"], notice.position.to_string());
                assert_eq!(json["data"]["previous"], previous.get());
                previous = notice.position;
            }
            count += page.len();
            let Some(last) = page.last() else { break };
            after = last.position;
        }
        assert_eq!(count, if name == "acme" { 40 } else { 20 });
        assert_eq!(projection.notices().last(Some(&tenant)).await.unwrap(), previous);
        assert_eq!(projection.index.tenant(&tenant).unwrap().last_notice, previous);
    }
    let all = projection.notices().after(None, Position::NONE, 200).await.unwrap();
    for notice in all {
        assert_eq!(*live.recv().await.unwrap(), notice);
    }
    // A projection that starts in the middle says what one says that was there from the beginning.
    projection.stop().await;
    let projection = log.projection(&stores).await;
    let mut live = projection.live_notices();
    let head = log.append(&key_stream("acme", 31), issue(31)).await;
    caught_up(&projection, head).await;
    let page = projection.notices().after(None, Position::new(92), 10).await.unwrap();
    assert_eq!(page.len(), 1);
    assert_eq!(*live.recv().await.unwrap(), page[0]);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_only_verifies_keeps_no_views() {
    let log = Log::new().with_keys(1..=5).await;
    let stores = MemoryStores::new();
    let config =
        crate::ProjectionConfig { keeps: crate::Keeps::IndexOnly, ..crate::given::config(Arc::new(stores)) };
    let projection = Projection::start(config, log.port()).await;
    crate::given::wait(projection.index_status(), Position::new(6)).await;
    assert_eq!(projection.index.key_count(), 5);
    let answer = projection.keys().one(&tenant("acme"), key_id(1)).await;
    assert!(matches!(answer, Err(crate::QueryError::NotReady { .. })), "{answer:?}");
}

fn acme() -> StreamName {
    StreamName::Tenant(tenant("acme"))
}

/// Keys with all that can happen to them, recalls between them, and what cannot be read.
async fn busy(log: &Log) {
    for n in 1..=60_u64 {
        let (key, successor) = (key_stream("acme", u128::from(n)), u128::from(n) + 1_000);
        log.append(&key, issue(n)).await;
        let change = match n % 12 {
            0 => transfer(3),
            1 => relabel(&["service=mailer-9", "team=lists"]),
            2 => rescope(&["lists:read"]),
            3 => restrict(&["192.0.2.0/24"]),
            4 => move_expiry(Some(NOW.plus_millis(n))),
            5 => suspend(Some(NOW.plus_millis(n))),
            6 => leak(LeakResponse::ALL[n as usize / 12 % 2]),
            7 => rename("Newsletter sender"),
            8 => {
                log.append(&key_stream("acme", successor), succeed(n, key_id(u128::from(n)))).await;
                log.append(&key_stream("acme", successor), first_use(n)).await;
                rotate(key_id(successor))
            }
            9 => revoke(RevokeReason::Unused),
            10 => {
                log.append_bytes(&key, b"\xff".to_vec()).await;
                continue;
            }
            _ => continue,
        };
        log.append(&key, change).await;
        if n % 20 == 0 {
            let label = Selector { label: "team=lists".parse().ok(), ..Selector::ALL };
            log.append(&acme(), recall(if n == 40 { label } else { of_owner(3) })).await;
            // Decided before the recall, and late.
            log.append(&key_stream("acme", 3), rename("late")).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn index_and_view_say_the_same_of_every_key() {
    let log = Log::new().with_keys([]).await;
    busy(&log).await;
    let projection = log.projection(&MemoryStores::new()).await;
    let (mut recalled, mut after) = (0, KeyQuery::all(tenant("acme")));
    loop {
        let page = projection.keys().list(after.clone()).await.unwrap();
        for row in page.keys {
            let state = projection.index.key(&row.tenant, row.key_id).unwrap();
            let (key, n) = (state.key, row.key_id.to_u128());
            assert_eq!(
                (row.standing, row.revision, row.position),
                (key.standing, key.revision, state.last),
                "{n}"
            );
            let grant = row.grant.unwrap();
            let shown = (grant.owner.tag, grant.scopes, grant.labels, grant.networks, grant.issued_by);
            assert_eq!(shown, (key.owner, key.scopes, key.labels, key.networks, key.issuer), "{n}");
            if !matches!(row.standing, Standing::Revoked | Standing::Recalled | Standing::Expired) {
                assert_eq!(grant.expires_at, key.expires_at, "{n}");
            }
            recalled += usize::from(row.recalled_by.is_some());
        }
        let Some(next) = page.next else { break };
        after.cursor = Some(next);
    }
    assert!(recalled > 8, "recalls hit some: {recalled}");
}

#[tokio::test(start_paused = true)]
async fn a_keys_history_shows_the_recall_that_hit_it() {
    let log = Log::new().with_keys(1..=5).await;
    let key = key_stream("acme", 3);
    log.append(&key, rename("before")).await;
    log.append(&acme(), recall(of_owner(2))).await;
    let hit = log.append(&acme(), recall(of_owner(3))).await;
    log.append(&acme(), recall(Selector::ALL)).await;
    let late = log.append(&key, rename("late")).await;
    let projection = log.projection(&MemoryStores::new()).await;
    let wanted = [(Position::new(4), "KeyIssued"), (Position::new(7), "KeyRenamed")];
    let wanted: Vec<_> = wanted.into_iter().chain([(hit, "KeysRecalled"), (late, "KeyRenamed")]).collect();
    for limit in 1..=5 {
        let (mut found, mut after) = (Vec::new(), Position::NONE);
        loop {
            let page = projection.history().events(&key, after, limit).await.unwrap();
            assert!(page.events.len() <= limit);
            found
                .extend(page.events.iter().map(|event| (event.position, event.read().unwrap().event.name())));
            match page.next {
                Some(next) => after = next,
                None => break,
            }
        }
        assert_eq!(found, wanted, "{limit} at a time");
    }
    let page = projection.history().events(&key, hit, 10).await.unwrap();
    assert_eq!(page.events.len(), 1, "behind the recall");
    let other = projection.history().events(&key_stream("acme", 2), Position::NONE, 10).await.unwrap();
    assert_eq!(other.events.len(), 2);
    let tenant = projection.history().events(&acme(), Position::NONE, 10).await.unwrap();
    assert_eq!(tenant.events.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_tenant_is_shown_as_it_is_configured() {
    let log = Log::new().with_keys([1]).await;
    let stores = MemoryStores::new();
    let projection = log.projection(&stores).await;
    let row = projection.tenants().one(&tenant("acme")).await.unwrap().unwrap();
    let settings = row.settings.unwrap();
    assert_eq!((settings.name, settings.leak_response), (Some(text("Acme Letters")), LeakResponse::Revoke));
    log.append(&acme(), configure("Acme Post")).await;
    log.append(&acme(), recall(Selector::ALL)).await;
    let head = log.append(&acme(), close()).await;
    caught_up(&projection, head).await;
    let row = projection.tenants().one(&tenant("acme")).await.unwrap().unwrap();
    assert_eq!(
        (row.closed_at, row.quarantined, row.revision.get(), row.position),
        (Some(NOW), false, 4, head)
    );
    let settings = row.settings.unwrap();
    assert_eq!((settings.name, settings.leak_response), (Some(text("Acme Post")), LeakResponse::Suspend));
    assert_eq!((settings.prefix.as_str(), settings.opened_at), ("letters", NOW));
    let notices = projection.notices().after(None, Position::NONE, 10).await.unwrap();
    assert_eq!(notices.len(), 3, "of the key, the recall and the end");
    // What cannot be read quarantines a tenant, and it stays so.
    log.append_bytes(&acme(), b"\xff".to_vec()).await;
    let head = log.append(&acme(), configure("Acme Letters")).await;
    caught_up(&projection, head).await;
    let row = projection.tenants().one(&tenant("acme")).await.unwrap().unwrap();
    assert_eq!((row.quarantined, row.revision.get()), (true, 6));
}
