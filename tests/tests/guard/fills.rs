//! First sights: one call for many callers, few calls for many keys, none that keeps a caller beyond its deadline.

use std::time::Duration;

use domain::{Environment, KeyId, PlainSecret, Prefix, digest_key, format_key};
use guard::{Guard, Requirement, Verdict};
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::given::{LIMIT, eventually};
use crate::lying::Lying;

pub(crate) fn key_id(n: u64) -> KeyId {
    KeyId::from_u128(u128::from(n) << 64 | 7)
}

fn secret() -> PlainSecret {
    PlainSecret::draw(|bytes| bytes.fill(9))
}

pub(crate) fn token(n: u64) -> String {
    format_key(&Prefix::default(), Environment::Live, key_id(n), &secret()).expose().to_owned()
}

/// What a fill tells of an active key.
pub(crate) fn filled(n: u64) -> Value {
    let digest = digest_key(&Prefix::default(), Environment::Live, key_id(n), &secret());
    json!({"key_id": key_id(n).to_string(), "digest": wire::hex(&digest.short()), "standing": "active",
        "owner_tag": "01".repeat(16), "scopes": ["campaigns:send"], "environment": "live", "settled_at": 1})
}

pub(crate) async fn guard_with(lying: &Lying, keys: impl IntoIterator<Item = u64>) -> Guard {
    lying.says(|says| says.keys.extend(keys.into_iter().map(|n| (key_id(n).to_string(), filled(n)))));
    lying.builder().connect().await.unwrap()
}

pub(crate) async fn verdict(guard: &Guard, n: u64) -> Verdict {
    guard.verify(&token(n), &Requirement::any()).await.verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_callers_with_one_key_make_one_call() {
    let lying = Lying::start().await;
    let guard = guard_with(&lying, [1]).await;
    lying.hold_fills();
    let mut callers = JoinSet::new();
    for _ in 0..100 {
        let guard = guard.clone();
        callers.spawn(async move { verdict(&guard, 1).await });
    }
    eventually("asked", async || lying.says(|says| !says.fills.is_empty())).await;
    lying.let_go();
    for told in callers.join_all().await {
        assert_eq!(told, Verdict::Valid);
    }
    assert_eq!(lying.says(|says| says.fills.clone()), [[key_id(1).to_string()]]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_keys_go_together_into_few_calls() {
    const KEYS: u64 = 1_000;
    let lying = Lying::start().await;
    let guard = guard_with(&lying, 0..KEYS).await;
    lying.hold_fills();
    let mut callers = JoinSet::new();
    for n in 0..KEYS {
        let guard = guard.clone();
        callers.spawn(async move { verdict(&guard, n).await });
    }
    eventually("asked", async || lying.says(|says| says.fills.len() >= 4)).await;
    lying.let_go();
    for told in callers.join_all().await {
        assert_eq!(told, Verdict::Valid);
    }
    let fills = lying.says(|says| says.fills.clone());
    assert_eq!(fills.iter().map(Vec::len).sum::<usize>() as u64, KEYS, "each key once");
    assert!(fills.iter().all(|keys| keys.len() <= 256) && fills.len() < 40, "{} calls", fills.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_guess_is_asked_for_once() {
    let lying = Lying::start().await;
    let guard = guard_with(&lying, []).await;
    for _ in 0..50 {
        assert_eq!(verdict(&guard, 1).await, Verdict::Unknown);
        let other = guard.verify("not a key at all", &Requirement::any()).await;
        assert_eq!(other.verdict, Verdict::Malformed);
    }
    let asked: usize = lying.says(|says| says.fills.iter().map(Vec::len).sum());
    assert_eq!(asked, 3, "the key's id, and both texts as another system's");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nobody_waits_beyond_the_deadline() {
    let lying = Lying::start().await;
    lying.says(|says| says.keys.insert(key_id(1).to_string(), filled(1)));
    let patience = Duration::from_millis(200);
    let guard = lying.builder().first_sight_within(patience).connect().await.unwrap();
    lying.hold_fills();
    let began = Instant::now();
    assert_eq!(verdict(&guard, 1).await, Verdict::Stale);
    assert!(began.elapsed() >= patience && began.elapsed() < LIMIT / 3, "{:?}", began.elapsed());
    lying.let_go();
    eventually("told later", async || verdict(&guard, 1).await == Verdict::Valid).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_flood_of_first_sights_is_refused_at_once_and_ends() {
    const FLOOD: u64 = 6_000;
    let lying = Lying::start().await;
    let guard = guard_with(&lying, [1]).await;
    lying.hold_fills();
    let mut callers = JoinSet::new();
    for n in 0..FLOOD {
        let guard = guard.clone();
        callers.spawn(async move { verdict(&guard, 10 + n).await });
    }
    // Who finds no place is refused while the others wait.
    for _ in 0..FLOOD - 4_096 {
        assert_eq!(callers.join_next().await.unwrap().unwrap(), Verdict::Stale);
    }
    lying.let_go();
    while let Some(told) = callers.join_next().await {
        assert!(matches!(told.unwrap(), Verdict::Unknown | Verdict::Stale));
    }
    eventually("place for a key", async || verdict(&guard, 1).await == Verdict::Valid).await;
}
