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
