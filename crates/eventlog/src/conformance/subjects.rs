//! Cases about the subjects' seals: whole until they are destroyed, and never back.

use std::sync::Arc;

use domain::{OwnerTag, Subject};
use futures_util::future::join_all;

use super::given::bounded;
use crate::port::{SealStore, SubjectSeal};

pub(super) fn subject(tenant: &str, owner: u8) -> Subject {
    let tenant = tenant.parse().expect("cases name tenants that parse");
    Subject { tenant, owner: OwnerTag::from_bytes([owner; 16]) }
}

pub(super) fn whole(generation: u32, byte: u8) -> SubjectSeal {
    SubjectSeal { generation, secret: Some([byte; SubjectSeal::LEN]) }
}

pub(super) async fn put(store: &dyn SealStore, of: &Subject, offered: SubjectSeal) -> SubjectSeal {
    bounded("a put", store.put_subject_seal(of, &offered)).await.expect("the store can be written")
}

pub(super) async fn get(store: &dyn SealStore, of: &Subject) -> Option<SubjectSeal> {
    let read = bounded("a read", store.subject_seals(&of.tenant, &[of.owner])).await;
    let mut seals = read.expect("the store can be read");
    assert_eq!(seals.len(), 1, "one answer to one question");
    seals.remove(0)
}

pub(super) async fn destroy(store: &dyn SealStore, of: &Subject, generation: u32) {
    bounded("a destruction", store.destroy_subject_seal(of, generation)).await.expect("it can be written");
}

pub(super) async fn a_whole_seal_stays(stores: &[Arc<dyn SealStore>; 2]) {
    let ada = subject("acme", 1);
    assert_eq!(get(&*stores[0], &ada).await, None);
    assert_eq!(put(&*stores[0], &ada, whole(1, 7)).await, whole(1, 7));
    for (store, offered) in [(0, whole(1, 8)), (1, whole(1, 8)), (0, whole(2, 9)), (1, whole(2, 9))] {
        assert_eq!(put(&*stores[store], &ada, offered).await, whole(1, 7), "the first stays");
        assert_eq!(get(&*stores[store], &ada).await, Some(whole(1, 7)));
    }
}

pub(super) async fn each_has_its_own(stores: &[Arc<dyn SealStore>; 2]) {
    let longest = "t".repeat(domain::TenantId::MAX_LEN);
    let all = [subject("acme", 1), subject("acme", 2), subject("acme2", 1), subject(&longest, 0)];
    for (at, of) in (1..).zip(&all) {
        put(&*stores[usize::from(at % 2)], of, whole(u32::from(at), at)).await;
    }
    for (at, of) in (1..).zip(&all) {
        assert_eq!(get(&*stores[1], of).await, Some(whole(u32::from(at), at)), "{of:?}");
    }
    let acme = &all[0].tenant;
    let asked = [3, 2, 1].map(|owner| OwnerTag::from_bytes([owner; 16]));
    let seals = stores[0].subject_seals(acme, &asked).await.expect("the store can be read");
    assert_eq!(seals, [None, Some(whole(2, 2)), Some(whole(1, 1))], "each at its place");
    assert_eq!(stores[0].subject_seals(acme, &[]).await.expect("it can be read"), []);
    assert_eq!(stores[0].seal(acme).await.expect("it can be read"), None, "no subject's is the tenant's");
}

pub(super) async fn racing_writers_share_one(stores: &[Arc<dyn SealStore>; 2]) {
    for round in 0..5 {
        let of = subject("acme", round);
        let writers = (0..20_u8).map(|n| {
            let (store, of) = (&stores[usize::from(n % 2)], &of);
            async move { put(&**store, of, whole(1, n)).await }
        });
        let answers = join_all(writers).await;
        assert!(answers.iter().all(|answer| *answer == answers[0]), "two writers were answered two seals");
        assert_eq!(get(&*stores[1], &of).await.as_ref(), Some(&answers[0]));
    }
}

pub(super) async fn destroyed_stays_destroyed(stores: &[Arc<dyn SealStore>; 2]) {
    let ada = subject("acme", 1);
    put(&*stores[0], &ada, whole(1, 7)).await;
    for store in [1, 0] {
        destroy(&*stores[store], &ada, 1).await;
        for store in stores {
            assert_eq!(get(&**store, &ada).await, Some(SubjectSeal::destroyed(1)));
            let again = put(&**store, &ada, whole(1, 7)).await;
            assert_eq!(again, SubjectSeal::destroyed(1), "what was destroyed was put back");
        }
    }
    assert_eq!(put(&*stores[1], &ada, whole(2, 8)).await, whole(2, 8), "the next one is another");
    assert_eq!(get(&*stores[0], &ada).await, Some(whole(2, 8)));
}

pub(super) async fn only_the_generation_named(stores: &[Arc<dyn SealStore>; 2]) {
    let ada = subject("acme", 1);
    put(&*stores[0], &ada, whole(1, 7)).await;
    destroy(&*stores[0], &ada, 1).await;
    put(&*stores[1], &ada, whole(2, 8)).await;
    destroy(&*stores[0], &ada, 1).await;
    assert_eq!(get(&*stores[1], &ada).await, Some(whole(2, 8)), "a newer seal was destroyed");
    let bob = subject("acme", 2);
    put(&*stores[0], &bob, whole(1, 9)).await;
    destroy(&*stores[1], &ada, 2).await;
    assert_eq!(get(&*stores[0], &bob).await, Some(whole(1, 9)), "another's seal was destroyed");
    assert_eq!(get(&*stores[0], &ada).await, Some(SubjectSeal::destroyed(2)));
}

/// A store that was put back from a backup of before the seal was drawn, say.
pub(super) async fn what_never_was_is_destroyed(stores: &[Arc<dyn SealStore>; 2]) {
    let ada = subject("acme", 1);
    destroy(&*stores[0], &ada, 3).await;
    assert_eq!(get(&*stores[1], &ada).await, Some(SubjectSeal::destroyed(3)));
    assert_eq!(put(&*stores[1], &ada, whole(3, 7)).await, SubjectSeal::destroyed(3));
    assert_eq!(put(&*stores[0], &ada, whole(4, 7)).await, whole(4, 7));
    let bob = subject("acme", 2);
    put(&*stores[0], &bob, whole(1, 9)).await;
    destroy(&*stores[1], &bob, 2).await;
    let stands = get(&*stores[0], &bob).await.expect("it was put");
    assert_eq!(stands, SubjectSeal::destroyed(2), "an older seal outlived the destruction of a newer one");
}

pub(super) async fn many_at_once(stores: &[Arc<dyn SealStore>; 2]) {
    let owner = |n: u16| {
        let mut tag = [3; 16];
        tag[..2].copy_from_slice(&n.to_be_bytes());
        OwnerTag::from_bytes(tag)
    };
    let tenant = subject("acme", 0).tenant;
    let puts = (0..300_u16).map(|n| {
        let of = Subject { tenant: tenant.clone(), owner: owner(n) };
        async move { put(&*stores[0], &of, whole(1, n.to_be_bytes()[1])).await }
    });
    join_all(puts).await;
    let asked: Vec<_> = (0..301).map(owner).collect();
    let seals = stores[1].subject_seals(&tenant, &asked).await.expect("the store can be read");
    for (n, seal) in (0..300_u16).zip(&seals) {
        assert_eq!(*seal, Some(whole(1, n.to_be_bytes()[1])), "{n}");
    }
    assert_eq!(seals[300], None);
}
