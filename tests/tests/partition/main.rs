//! What is cut off, frozen or killed: whoever can no longer hear refuses by itself, in time, and hears everything afterwards.

#![cfg(test)]

mod cut_off;
mod leader;
mod restarts;
mod runs;
mod unread;

use std::time::Duration;

use guard::Guard;
use serde_json::{Value, json};
use tests::server::{Admin, IssuedKey};
use tests::witness::{Watched, Witness};
use tokio::time::{Instant, sleep};

/// Longer than any bound that the tests wait for, and than a cluster takes to choose leaders anew.
const LIMIT: Duration = Duration::from_secs(60);

/// Waits for something to become true.
#[track_caller]
fn eventually<F: AsyncFnMut() -> bool>(what: &str, mut look: F) -> impl Future<Output = ()> {
    let caller = std::panic::Location::caller();
    async move {
        let deadline = Instant::now() + LIMIT;
        while !look().await {
            assert!(Instant::now() < deadline, "{caller}: not in time: {what}");
            sleep(Duration::from_millis(10)).await;
        }
    }
}

/// Waits until a server has heard of a key that another issued.
fn known(admin: &Admin, key: &IssuedKey) {
    let path = format!("/v1/verify?min_position={}", key.position);
    let _ = admin.post(&path, &json!({"key": key.key})).expect(200);
}

/// A guard of tenant `acme` at this address.
async fn watch(name: &str, url: &str, credential: &IssuedKey) -> Watched {
    let builder = Guard::builder(url, &credential.key).tenant("acme").name(name);
    let guard = builder.connect_within(LIMIT).connect().await.expect("the guard connects");
    Watched { name: name.to_owned(), guard }
}

/// Waits until every guard has heard everything up to a position and says of each key what it is.
async fn settled(witness: &Witness, position: u64) {
    let mut left = Vec::new();
    let deadline = Instant::now() + LIMIT;
    while Instant::now() < deadline {
        left = witness.unsettled(position);
        if left.is_empty() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("not settled in time: {left:#?}");
}

/// How a receipt knows it of this verifier; `outstanding` if it may still accept.
fn how(receipt: &Value, name: &str) -> String {
    let find =
        |list: &str| receipt[list].as_array().into_iter().flatten().find(|one| one["name"] == name).cloned();
    match (find("outstanding"), find("enforced")) {
        (Some(_), _) => "outstanding".to_owned(),
        (None, Some(one)) => one["by"].as_str().unwrap_or_default().to_owned(),
        (None, None) => String::new(),
    }
}

/// What a server calls itself.
fn name_of(admin: &Admin) -> String {
    admin.get("/v1/fleet").expect(200).json()["verifiers"][0]["name"].as_str().unwrap().to_owned()
}
