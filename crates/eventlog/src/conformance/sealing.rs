//! Cases about the tenants' seals.

use std::sync::Arc;

use domain::TenantId;
use futures_util::future::join_all;

use super::given::bounded;
use crate::port::SealStore;

fn tenant(name: &str) -> TenantId {
    name.parse().expect("cases name tenants that parse")
}

async fn put(store: &dyn SealStore, name: &str, seal: &[u8]) -> Vec<u8> {
    bounded("a put", store.put_seal_once(&tenant(name), seal)).await.expect("the store can be written")
}

async fn get(store: &dyn SealStore, name: &str) -> Option<Vec<u8>> {
    bounded("a read", store.seal(&tenant(name))).await.expect("the store can be read")
}

pub(super) async fn an_absent_seal_is_none(stores: &[Arc<dyn SealStore>; 2]) {
    assert_eq!(get(&*stores[0], "acme").await, None);
    put(&*stores[0], "acme", b"one").await;
    for absent in ["acm", "acme-", "acme2", "zeta"] {
        assert_eq!(get(&*stores[1], absent).await, None, "{absent}");
    }
}

pub(super) async fn a_seal_is_put_once(stores: &[Arc<dyn SealStore>; 2]) {
    let longest = "t".repeat(TenantId::MAX_LEN);
    for (name, seal) in [("acme", &[0, 255, 10, 13][..]), ("0", &[7; 64]), (&longest, &[1])] {
        assert_eq!(put(&*stores[0], name, seal).await, seal);
        assert_eq!(put(&*stores[1], name, b"another").await, seal, "the first stays");
        assert_eq!(get(&*stores[0], name).await.as_deref(), Some(seal));
        assert_eq!(get(&*stores[1], name).await.as_deref(), Some(seal));
    }
}

pub(super) async fn racing_writers_are_answered_the_same(stores: &[Arc<dyn SealStore>; 2]) {
    for round in 0..5 {
        let name = format!("tenant-{round}");
        let writers = (0..20_u8).map(|n| {
            let (store, name) = (&stores[usize::from(n % 2)], &name);
            async move { put(&**store, name, &[n; 32]).await }
        });
        let answers = join_all(writers).await;
        assert!(
            answers.iter().all(|answer| *answer == answers[0]),
            "{name}: two writers were answered two seals"
        );
        assert_eq!(get(&*stores[1], &name).await.as_ref(), Some(&answers[0]));
    }
}
