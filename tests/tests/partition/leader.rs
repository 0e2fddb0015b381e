//! The log's Raft leader, cut off together with one server: it goes on as if it led, and nobody there may trust it.

use std::time::Duration;

use serde_json::json;
use tests::apart::{Apart, Doors, NODES};
use tests::server::{ServerSetup, TestServer};
use tests::witness::{DRIFT, Witness};
use tokio::time::Instant;

use crate::{LIMIT, eventually, how, known, name_of, settled, watch};

const BOUND: Duration = Duration::from_secs(3);

fn start(doors: &Doors) -> TestServer {
    let setup = ServerSetup::nats(&doors.url()).arg("--nats-replicas").arg("3");
    setup.arg("--max-staleness").arg(format!("{}s", BOUND.as_secs())).start()
}

/// Which node leads the log.
async fn leader(apart: &Apart) -> usize {
    let client = async_nats::connect(&apart.cluster.urls()[0]).await.unwrap();
    let jetstream = async_nats::jetstream::new(client);
    let mut found = None;
    eventually("the log has a leader", async || {
        let Ok(mut stream) = jetstream.get_stream("RESCIND_LOG").await else { return false };
        let cluster = stream.info().await.ok().and_then(|info| info.cluster.clone());
        let name = cluster.and_then(|cluster| cluster.leader).unwrap_or_default();
        found = (0..NODES).find(|node| name == format!("node{node}"));
        found.is_some()
    })
    .await;
    found.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_server_with_the_cut_off_leader_goes_stale_while_the_majority_revokes() {
    let apart = Apart::start().await;
    let (near, far) = (apart.doors(), apart.doors());
    let (one, two) = (start(&near), start(&far));
    let (lonely, others) = (one.admin(), two.admin_with(&one.operator_key()));
    lonely.open_tenant("acme");
    let credential = lonely.issue_credential("acme");
    let key = lonely.issue("acme", "list-sender");
    known(&others, &key);
    let leader = leader(&apart).await;
    near.leave_only(leader);
    far.close(leader);
    eventually("both are ready by the ways that are left", async || {
        [&one, &two].iter().all(|server| server.admin_with("x").get("/readyz").status == 200)
            && lonely.get("/readyz?verbose").json()["checks"]["log"]["reachable"] == true
            && others.get("/readyz?verbose").json()["checks"]["log"]["reachable"] == true
    })
    .await;
    let witness = Witness::begin(vec![watch("mailer", one.url(), &credential).await]);
    let presented = witness.present(key);
    settled(&witness, presented.key.position).await;
    let lost = name_of(&lonely);

    let cut = Instant::now();
    apart.isolate(leader);
    eventually("it trusts nothing", async || {
        let asked = cut.elapsed();
        let verdict = lonely.verdict(&presented.key.key);
        assert!(verdict == "stale" || asked <= BOUND + DRIFT, "{verdict} {asked:?} after the cut");
        verdict == "stale"
    })
    .await;
    let ready = lonely.get("/readyz");
    assert!(ready.status == 503 && ready.text.contains("lease"), "{ready:?}");

    let path = format!("/v1/tenants/acme/keys/{}/revoke?timeout_ms=1", presented.key.key_id);
    let mut position = 0;
    eventually("the majority chooses a leader and revokes", async || {
        let revoked = others.post_as("spring-leak", &path, &json!({"reason": "compromised"}));
        position = revoked.json()["position"].as_u64().unwrap_or_default();
        revoked.status == 200
    })
    .await;
    presented.revoked(Instant::now());
    // While the other streams of the cluster choose leaders, too, this server may still be stale now and then.
    eventually("it is revoked", async || others.verdict(&presented.key.key) == "revoked").await;
    assert_eq!(lonely.verdict(&presented.key.key), "stale", "it has not heard, and trusts nothing");
    let mut receipt = json!(null);
    let deadline = Instant::now() + LIMIT;
    while receipt["complete"] != true {
        let ready = || others.get("/readyz?verbose").text;
        assert!(Instant::now() < deadline, "not all refuse in time: {receipt}, {}", ready());
        let answer = others.get(&format!("/v1/receipts/{position}?timeout_ms=1000"));
        if answer.code() == "receipt_unknown" {
            // The server's index had not heard of the revocation when it answered: the same command again opens the receipt.
            let _ = others.post_as("spring-leak", &path, &json!({"reason": "compromised"}));
        }
        receipt = answer.json();
        witness.take_receipt(&presented, &receipt);
    }
    let ways = [lost.as_str(), "mailer"].map(|name| how(&receipt, name));
    assert_eq!(ways, ["bound", "bound"], "{receipt}");

    apart.rejoin();
    near.restore();
    far.restore();
    settled(&witness, position).await;
    eventually("it has heard", async || lonely.verdict(&presented.key.key) == "revoked").await;
    assert_eq!(witness.judge(BOUND), []);
}
