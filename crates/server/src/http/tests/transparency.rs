//! The log as a transparency log: checkpoint, tiles, entries, proofs, and who may see which.

use axum::body::to_bytes;
use domain::Position;
use proof::{Checkpoint, EventProof, EventRecords, Frontier, Hash, LogEvent, Vkey, leaf_hash};
use serde_json::{Value, json};

use super::kit::{Ask, Kit, eventually};

/// More than any answer of these tests.
const ANSWER_MAX: usize = 1 << 20;

async fn bytes(ask: Ask<'_>) -> (String, Vec<u8>) {
    let response = ask.response().await;
    assert_eq!(response.status(), 200);
    let cache = response.headers()["cache-control"].to_str().unwrap().to_owned();
    (cache, to_bytes(response.into_body(), ANSWER_MAX).await.unwrap().to_vec())
}

/// The checkpoint, once it covers a position, and whose signature it has to carry.
async fn covering(kit: &Kit, position: u64) -> (Checkpoint, Vec<Vkey>) {
    let signers = kit.get("/v1/log/signers").without("authorization").answer().await.is(200);
    let vkeys: Vec<Vkey> = signers["signers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|vkey| vkey.as_str().unwrap().parse().unwrap())
        .collect();
    let checkpoint = eventually("a checkpoint", async || {
        let answer = kit.get("/v1/log/checkpoint").without("authorization").answer().await;
        let checkpoint = Checkpoint::parse(answer.text.as_bytes()).ok()?;
        assert_eq!(answer.header("cache-control"), "public, max-age=1");
        (checkpoint.size() >= position).then_some(checkpoint)
    })
    .await;
    assert_eq!(signers["origin"], checkpoint.origin());
    assert_eq!(checkpoint.signed_by(checkpoint.origin(), &vkeys).unwrap().len(), 1);
    (checkpoint, vkeys)
}

#[tokio::test(flavor = "multi_thread")]
async fn tiles_and_entries_lead_to_the_checkpoint() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await;
    let last = kit.revoke(key["key_id"].as_str().unwrap()).await["position"].as_u64().unwrap();
    let (checkpoint, _) = covering(&kit, last).await;
    let size = checkpoint.size();
    let (cache, tile) =
        bytes(kit.get(&format!("/v1/log/tile/0/000.p/{size}")).without("authorization")).await;
    assert!(cache.starts_with("public") && cache.ends_with("immutable"), "{cache}");
    let mut frontier = Frontier::default();
    tile.as_chunks::<32>().0.iter().for_each(|hash| frontier.push(Hash(*hash), |_, _| {}));
    assert_eq!((frontier.size(), frontier.root()), (size, checkpoint.root()));
    let (cache, entries) = bytes(kit.get(&format!("/v1/log/tile/entries/000.p/{size}"))).await;
    assert!(cache.starts_with("private"), "{cache}");
    let mut rest = entries.as_slice();
    for (n, hash) in tile.as_chunks::<32>().0.iter().enumerate() {
        let (length, more) = rest.split_first_chunk::<2>().unwrap();
        let (entry, more) = more.split_at(u16::from_be_bytes(*length).into());
        let position = Position::new(u64::from_be_bytes(*entry.first_chunk().unwrap()));
        assert_eq!((position.get(), leaf_hash(position, &entry[8..]).0), (n as u64 + 1, *hash));
        rest = more;
    }
    assert!(rest.is_empty());
    let (_, records) = bytes(kit.get(&format!("/v1/log/records?after=1&to={size}"))).await;
    let records: Vec<LogEvent> = EventRecords::new(records.as_slice()).map(Result::unwrap).collect();
    assert_eq!(records.len() as u64, size - 1);
    assert!(records.iter().zip(2..).all(|(event, n)| event.position.get() == n));
    assert_eq!(records[0].leaf().0[..], tile[32..64]);
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_read_again_carries_the_proof_and_a_file_proves_by_itself() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await;
    let revoked = kit.revoke(key["key_id"].as_str().unwrap()).await;
    let position = revoked["position"].as_u64().unwrap();
    assert!(
        revoked["receipt"]["proof"] == "pending" || revoked["receipt"]["proof"]["position"] == position,
        "{revoked}"
    );
    let (_, vkeys) = covering(&kit, position).await;
    let receipt = kit.get(&format!("/v1/receipts/{position}")).answer().await.is(200);
    let text = kit.get(&format!("/v1/log/proof/{position}")).answer().await.text;
    let proof = EventProof::parse(&text).unwrap();
    proof.verify(&vkeys).unwrap();
    let hashes: Vec<Value> = proof.hashes.iter().map(|hash| hash.to_string().into()).collect();
    assert_eq!(receipt["proof"]["hashes"], Value::Array(hashes), "{receipt}");
    let checkpoint = Checkpoint::parse(receipt["proof"]["checkpoint"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(checkpoint.root(), proof.checkpoint.root());
    let stream = wire::stream_of(&proof.payload).unwrap();
    assert_eq!(stream.key_id().unwrap().to_string(), key["key_id"].as_str().unwrap());
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn hashes_are_for_everybody_and_events_for_who_may_read_them() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await["position"].as_u64().unwrap();
    covering(&kit, key).await;
    let bound = kit.operator(&["default/audit:read"]).await;
    for path in ["/v1/log/tile/entries/000.p/1", "/v1/log/records"] {
        kit.get(path).without("authorization").answer().await.is_problem(401, "operator_missing");
        kit.get(path).with_key(&bound).answer().await.is_problem(400, "tenant_needed");
    }
    assert_eq!(kit.get(&format!("/v1/log/proof/{key}")).with_key(&bound).answer().await.status, 200);
    kit.get("/v1/log/proof/1").with_key(&bound).answer().await.is_problem(404, "no_such_event");
    for none in ["0", "x", "999999"] {
        kit.get(&format!("/v1/log/proof/{none}")).answer().await.is_problem(404, "no_such_event");
    }
    for none in ["0/000", "0/000.p/0", "0/000.p/255", "1/000.p/1", "00/000.p/1", "9/000", "0/999", "data/000"]
    {
        kit.get(&format!("/v1/log/tile/{none}")).answer().await.is_problem(404, "no_such_tile");
    }
    kit.get("/v1/log/tile/entries/001").answer().await.is_problem(404, "no_such_tile");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_notary_says_so() {
    let kit = Kit::start_with(|config| config.notary = None).await;
    for path in ["checkpoint", "checkpoints", "signers", "tile/0/000.p/1", "tile/entries/000.p/1", "proof/1"]
    {
        kit.get(&format!("/v1/log/{path}")).answer().await.is_problem(404, "no_notary");
    }
    let key = kit.issue(json!({})).await;
    assert_eq!(kit.revoke(key["key_id"].as_str().unwrap()).await["receipt"]["proof"], "no_notary");
    kit.node.stop().await;
}
