//! A key with an event that its server cannot read: no notice tells of it, and the guard refuses it all the same.

use std::time::Duration;

use guard::{Capacity, Verdict};
use tests::foreign::append_foreign;
use tests::server::ServerSetup;

use crate::faults::free_port;
use crate::given::Given;

/// So long that a guard goes on while its server is stopped and started.
const BOUND: Duration = Duration::from_secs(60);

async fn a_key_that_its_server_cannot_read_is_quarantined_at(capacity: Capacity) {
    let port = free_port();
    let setup = ServerSetup::embedded().arg("--listen").arg(format!("127.0.0.1:{port}"));
    let setup = setup.arg("--max-staleness").arg("60s");
    let given = Given::start_with(setup, |builder| builder.max_staleness(BOUND).capacity(capacity)).await;
    let (hit, spared) = (given.admin.issue("acme", "list-sender"), given.admin.issue("acme", "list-sender"));
    given.until(&hit.key, Verdict::Valid).await;
    given.until(&spared.key, Verdict::Valid).await;
    let Given { server, admin, guard } = given;
    let setup = server.stop();
    append_foreign(&setup, &format!("acme.{}", hit.key_id), hit.position);
    assert_eq!(guard.check(&hit.key, &guard::Requirement::any()).unwrap().verdict, Verdict::Valid);
    // Stopped once more, so that the next start has it from its snapshot.
    let setup = setup.start().stop();
    let given = Given { server: setup.start(), admin, guard };
    given.until(&hit.key, Verdict::Quarantined).await;
    given.until(&spared.key, Verdict::Valid).await;
    let _ = given.admin.revoke("acme", &hit.key_id).expect(200);
    given.until(&hit.key, Verdict::Revoked).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_that_its_server_cannot_read_is_quarantined_at_a_guard() {
    a_key_that_its_server_cannot_read_is_quarantined_at(Capacity::default()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_key_that_its_server_cannot_read_is_quarantined_at_a_replica() {
    a_key_that_its_server_cannot_read_is_quarantined_at(Capacity::Replica { keys: 1_000 }).await;
}
