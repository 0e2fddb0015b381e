//! A guard that holds all keys of its tenant.

use guard::{Capacity, Requirement, Verdict};
use tests::server::ServerSetup;

use crate::given::{Given, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_replica_asks_for_nothing_and_hears_everything() {
    let server = ServerSetup::embedded().start();
    let admin = server.admin();
    admin.open_tenant("acme");
    let keys: Vec<_> = (0..300).map(|_| admin.issue("acme", "list-sender")).collect();
    let set_up = |builder: guard::Builder| builder.capacity(Capacity::Replica { keys: 10_000 });
    let given = Given::at(server, set_up).await;
    let judged = |token: &str| given.guard.check(token, &Requirement::any()).map(|decision| decision.verdict);
    assert!(given.guard.status().whole);
    for key in &keys {
        assert_eq!(judged(&key.key), Some(Verdict::Valid), "without asking");
    }
    assert_eq!(judged("sk-campaigns-guessed"), Some(Verdict::Malformed));
    let later = given.admin.issue("acme", "list-sender");
    eventually("fetched", async || judged(&later.key) == Some(Verdict::Valid)).await;
    let _ = given.admin.revoke("acme", &keys[7].key_id).expect(200);
    eventually("revoked", async || judged(&keys[7].key) == Some(Verdict::Revoked)).await;
    assert_eq!(given.guard.status().held, 301);
}
