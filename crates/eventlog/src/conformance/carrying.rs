//! Cases about all seals of a store at once: taken from one store, put into another, and destroyed in both if in either.

use std::sync::Arc;

use super::subjects::{destroy, get, put, subject, whole};
use crate::carried::CarriedSeals;
use crate::port::{SealStore, SubjectSeal};
use crate::subject_name::name_of;

async fn carry(store: &dyn SealStore) -> CarriedSeals {
    store.carry().await.expect("the store can be read")
}

async fn take_in(store: &dyn SealStore, seals: CarriedSeals) {
    assert_eq!(
        store.take_in(seals).await.expect("the store can be written"),
        None,
        "no tenant has another seal"
    );
}

pub(super) async fn an_empty_store_carries_nothing(stores: &[Arc<dyn SealStore>; 2]) {
    assert_eq!(carry(&*stores[0]).await, CarriedSeals::default());
    take_in(&*stores[1], CarriedSeals::default()).await;
    assert_eq!(carry(&*stores[1]).await.count(), 0);
}

pub(super) async fn all_is_carried_and_given_back(stores: &[Arc<dyn SealStore>; 2]) {
    let (ada, bob, eve) = (subject("acme", 1), subject("acme", 2), subject("zeta", 1));
    for tenant in [&ada.tenant, &eve.tenant] {
        let seal = tenant.as_str().as_bytes();
        assert_eq!(stores[0].put_seal_once(tenant, seal).await.expect("it can be written"), seal);
    }
    put(&*stores[0], &ada, whole(1, 7)).await;
    put(&*stores[1], &bob, whole(1, 8)).await;
    destroy(&*stores[0], &bob, 1).await;
    put(&*stores[0], &eve, whole(1, 9)).await;
    destroy(&*stores[1], &eve, 1).await;
    put(&*stores[1], &eve, whole(2, 10)).await;
    let carried = carry(&*stores[1]).await;
    assert_eq!((carried.tenants.len(), carried.subjects.len()), (2, 3), "the newest seal of each");
    let secrets = carried.subjects.iter().filter(|(_, seal)| seal.secret.is_some()).count();
    assert_eq!(secrets, 2, "what was destroyed is carried as destroyed");
    assert_eq!(carried, carry(&*stores[0]).await, "the same from either handle, in the same order");
    take_in(&*stores[0], carried.clone()).await;
    take_in(&*stores[1], carried.clone()).await;
    assert_eq!(carry(&*stores[0]).await, carried, "what is there already changes nothing");
    assert_eq!(get(&*stores[0], &ada).await, Some(whole(1, 7)));
    assert_eq!(get(&*stores[1], &bob).await, Some(SubjectSeal::destroyed(1)));
    assert_eq!(get(&*stores[0], &eve).await, Some(whole(2, 10)));
}

/// What another store holds of the subjects of this one, older and newer, whole and destroyed.
pub(super) async fn what_is_destroyed_in_either_is_destroyed(stores: &[Arc<dyn SealStore>; 2]) {
    let cases = [
        // Here, there, and what is to stand then.
        (whole(1, 7), whole(1, 8), whole(1, 7)),
        (whole(1, 7), SubjectSeal::destroyed(1), SubjectSeal::destroyed(1)),
        (whole(1, 7), SubjectSeal::destroyed(2), SubjectSeal::destroyed(2)),
        (whole(2, 7), SubjectSeal::destroyed(1), whole(2, 7)),
        (SubjectSeal::destroyed(1), whole(1, 8), SubjectSeal::destroyed(1)),
        (SubjectSeal::destroyed(2), whole(1, 8), SubjectSeal::destroyed(2)),
        (SubjectSeal::destroyed(1), whole(2, 8), whole(2, 8)),
        (SubjectSeal::destroyed(1), SubjectSeal::destroyed(3), SubjectSeal::destroyed(3)),
        (SubjectSeal::destroyed(3), SubjectSeal::destroyed(1), SubjectSeal::destroyed(3)),
    ];
    let of = |n: usize| subject("acme", u8::try_from(n).expect("a few cases"));
    let mut there = CarriedSeals::default();
    for (n, (here, of_there, _)) in cases.iter().enumerate() {
        match here.secret {
            Some(_) => assert_eq!(put(&*stores[0], &of(n), here.clone()).await, *here),
            None => destroy(&*stores[0], &of(n), here.generation).await,
        }
        there.subjects.push((name_of(&of(n)), of_there.clone()));
    }
    take_in(&*stores[1], there.clone()).await;
    for store in stores {
        for (n, (here, of_there, then)) in cases.iter().enumerate() {
            assert_eq!(
                get(&**store, &of(n)).await.as_ref(),
                Some(then),
                "case {n}: {here:?} and {of_there:?}"
            );
        }
    }
    // Again: taking in is safe to repeat, and brings nothing back.
    take_in(&*stores[0], there).await;
    for (n, (_, _, then)) in cases.iter().enumerate() {
        assert_eq!(get(&*stores[1], &of(n)).await.as_ref(), Some(then), "case {n}, repeated");
    }
}

pub(super) async fn another_seal_of_a_tenant_is_refused(stores: &[Arc<dyn SealStore>; 2]) {
    let ada = subject("acme", 1);
    assert_eq!(stores[0].put_seal_once(&ada.tenant, b"one").await.expect("it can be written"), b"one");
    put(&*stores[0], &ada, whole(1, 7)).await;
    let other = CarriedSeals {
        tenants: vec![(ada.tenant.clone(), b"another".to_vec())],
        subjects: vec![(name_of(&ada), SubjectSeal::destroyed(1))],
    };
    let differs = stores[1].take_in(other).await.expect("the store can be read");
    assert_eq!(differs.as_ref(), Some(&ada.tenant));
    assert_eq!(stores[0].seal(&ada.tenant).await.expect("it can be read").as_deref(), Some(&b"one"[..]));
    assert_eq!(
        get(&*stores[0], &ada).await,
        Some(whole(1, 7)),
        "nothing of a store that is another's is put"
    );
}
