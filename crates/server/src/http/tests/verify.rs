//! Verdicts over HTTP: what each caller learns, and what nobody learns.

use std::time::Duration;

use serde_json::{Value, json};

use super::kit::Kit;

async fn verify(kit: &Kit, body: Value) -> Value {
    kit.post("/v1/verify", &body).answer().await.is(200)
}

fn without_as_of(mut body: Value) -> Value {
    body.as_object_mut().unwrap().remove("as_of");
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_follows_the_key_through_its_life() {
    let kit = Kit::start().await;
    let issued = kit.issue(json!({"networks": ["192.0.2.0/24"]})).await;
    let key = issued["key"].as_str().unwrap();
    let body = json!({"key": key, "scope": "campaigns:send", "network": "192.0.2.9", "tenant": "default"});
    let answer = kit.post("/v1/verify", &body).answer().await;
    let valid = answer.is(200);
    assert_eq!(answer.header("cache-control"), "no-store");
    assert_eq!(answer.header("content-type"), "application/json");
    assert!(valid["as_of"]["position"].as_u64().unwrap() >= issued["position"].as_u64().unwrap());
    assert!(valid["as_of"]["lag_ms"].as_u64().unwrap() < 5000);
    let expected = json!({
        "verdict": "valid", "key_id": issued["key_id"], "tenant": "default", "owner": "list-sender",
        "scopes": ["campaigns:send"], "environment": "live",
    });
    assert_eq!(without_as_of(valid), expected);
    assert_eq!(verify(&kit, json!({"key": key})).await["verdict"], "network_denied");
    let denied = verify(&kit, json!({"key": key, "scope": "lists:read", "network": "192.0.2.9"})).await;
    assert_eq!(denied["verdict"], "scope_denied");
    let revoked = kit.revoke(issued["key_id"].as_str().unwrap()).await;
    let told = verify(&kit, json!({"key": key})).await;
    assert_eq!((&told["verdict"], &told["since"]), (&json!("revoked"), &revoked["revoked_at"]));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_lacks_the_secret_learns_nothing() {
    let kit = Kit::start().await;
    kit.post("/v1/tenants", &json!({"tenant": "acme"})).answer().await.is(201);
    let mine = kit.issue(json!({})).await;
    let other = kit.issue(json!({})).await;
    let (mine, other) = (mine["key"].as_str().unwrap(), other["key"].as_str().unwrap());
    // The id of one key with the secret of another, and a checksum that fits.
    let prefix = domain::Prefix::default();
    let secret = domain::PlainSecret::draw(|bytes| bytes.fill(7));
    let id = mine["rsk_live_".len()..][..26].parse().unwrap();
    let forged = domain::format_key(&prefix, domain::Environment::Live, id, &secret);
    let unknown_id =
        domain::format_key(&prefix, domain::Environment::Live, domain::KeyId::from_u128(9), &secret);
    let bound = kit.operator(&["acme/verify"]).await;
    let unknown = json!({"verdict": "unknown"});
    for body in [
        json!({"key": forged.expose()}),
        json!({"key": unknown_id.expose()}),
        json!({"key": mine, "tenant": "acme"}),
        json!({"key": mine, "tenant": "nowhere"}),
    ] {
        assert_eq!(without_as_of(verify(&kit, body).await), unknown);
    }
    let asked = kit.post("/v1/verify", &json!({"key": other})).with_key(&bound).answer().await.is(200);
    assert_eq!(without_as_of(asked), unknown, "a key of a tenant that the caller is not bound to");
    let foreign = kit.post("/v1/verify", &json!({"key": other, "tenant": "default"})).with_key(&bound);
    foreign.answer().await.is_problem(404, "not_found");
    let malformed = verify(&kit, json!({"key": "rsk_live_x"})).await;
    assert_eq!(without_as_of(malformed), json!({"verdict": "malformed"}));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_batch_is_answered_place_by_place() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await["key"].clone();
    let batch = json!({"requests": [{"key": key}, {"key": "x"}, {"key": key, "scope": "lists:read"}]});
    let answer = kit.post("/v1/verify/batch", &batch).answer().await.is(200);
    let verdicts: Vec<&Value> =
        answer["results"].as_array().unwrap().iter().map(|one| &one["verdict"]).collect();
    assert_eq!(verdicts, [&json!("valid"), &json!("malformed"), &json!("scope_denied")]);
    let many = json!({"requests": vec![json!({"key": "x"}); 1001]});
    kit.post("/v1/verify/batch", &many).answer().await.is_problem(422, "invalid_value");
    let no_scope = kit.operator(&["keys:read"]).await;
    kit.post("/v1/verify/batch", &batch).with_key(&no_scope).answer().await.is_problem(403, "scope_missing");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_wrongly_is_named() {
    let kit = Kit::start().await;
    for (body, place) in [
        (json!({"key": "x", "scope": "a b"}), "scope"),
        (json!({"key": "x", "network": "here"}), "network"),
        (json!({"scope": "a"}), "key"),
        (json!({"key": 5}), "key"),
        (json!({"key": "x", "colour": 1}), "colour"),
    ] {
        let problem = kit.post("/v1/verify", &body).answer().await.is_problem(422, "invalid_value");
        assert!(problem["detail"].as_str().unwrap().contains(place), "{problem}");
    }
    let late = kit.post("/v1/verify?min_position=99999", &json!({"key": "x"})).answer().await;
    late.is_problem(503, "position_not_reached");
    assert_eq!(late.header("retry-after"), "1");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_lease_nobody_passes_and_nobody_commands() {
    let mut kit = Kit::start_with(|config| config.max_staleness = Duration::from_secs(2)).await;
    let issued = kit.issue(json!({})).await;
    let (key, key_id) = (issued["key"].clone(), issued["key_id"].as_str().unwrap().to_owned());
    // The keeper of the lease is gone: the proof runs out by itself.
    kit.node.workers.abort_all();
    let mut looks = tokio::time::interval(Duration::from_millis(10));
    let stale = async {
        while !kit.node.app.index.is_stale(kit.node.app.ambient.boot_ms()) {
            looks.tick().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), stale).await.unwrap();
    let told = verify(&kit, json!({"key": key})).await;
    assert_eq!((&told["verdict"], &told["key_id"]), (&json!("stale"), &json!(key_id)));
    let gateway = format!("{}; tenant=default", kit.root);
    let asked = kit.get("/v1/authz").with_key(key.as_str().unwrap()).header("x-rescind-gateway", &gateway);
    asked.answer().await.is_problem(503, "stale");
    // No operator as far as this index has heard, which may not be far enough.
    let stranger = kit.get("/v1/tenants").with_key(key.as_str().unwrap()).answer().await;
    stranger.is_problem(503, "stale");
    let path = format!("/v1/tenants/default/keys/{key_id}/revoke");
    let refused = kit.post(&path, &json!({"reason": "leaked"})).answer().await;
    refused.is_problem(503, "stale");
    assert_eq!(refused.header("retry-after"), "1");
    assert_eq!(kit.get("/readyz").answer().await.is(503)["missing"], json!(["lease"]));
    kit.node.stop().await;
}
