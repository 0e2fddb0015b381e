//! What a projection shows of a log.

use domain::{Position, RevokeReason, Standing, StreamName};

use crate::given::{Log, caught_up, key_id, key_stream, owner_tag, revoke, tenant};
use crate::stores::{DiskStores, MemoryStores, Stores};
use crate::{KeyQuery, Projection};
use std::sync::Arc;

async fn shows_a_life(log: Log, stores: Arc<dyn Stores>) {
    let projection = log.start(stores).await;
    let mut live = projection.live_notices();
    let revoked = log.append(&key_stream("acme", 3), revoke(RevokeReason::Compromised)).await;
    caught_up(&projection, revoked).await;
    let key = projection.keys().one(&tenant("acme"), key_id(3)).await.unwrap().unwrap();
    assert_eq!((key.standing, key.revision.get(), key.position), (Standing::Revoked, 2, revoked));
    assert_eq!(key.reason, Some(RevokeReason::Compromised));
    assert_eq!(key.issue.unwrap().owner.tag, owner_tag(3));
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
        log.append(&stream, crate::given::issue(n)).await;
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
    let head = log.append(&key_stream("acme", 31), crate::given::issue(31)).await;
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
