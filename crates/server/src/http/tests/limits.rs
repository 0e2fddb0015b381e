//! Bad requests, too much of them, and panics: each is a problem document.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request};
use axum::middleware::from_fn_with_state;
use axum::routing::get;
use serde_json::json;
use tokio::time::{Instant, timeout};
use tower::ServiceExt;

use super::kit::Kit;
use crate::http::edge::{Class, Edge, edge};
use crate::http::pressure::SHED_AFTER;

/// How long a wait may take on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(20);
const KEYS: &str = "/v1/tenants/default/keys";

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_not_as_they_should_be() {
    let kit = Kit::start().await;
    let good = json!({"owner": "a"});
    let post = || kit.post(KEYS, &good);
    post().without("content-type").answer().await.is_problem(415, "unsupported_media_type");
    post().header("content-type", "text/plain").answer().await.is_problem(415, "unsupported_media_type");
    post().header("content-encoding", "gzip").answer().await.is_problem(415, "unsupported_encoding");
    post().body("{").answer().await.is_problem(400, "malformed_json");
    post().body("").answer().await.is_problem(400, "malformed_json");
    let large = json!({"owner": "x".repeat(70_000)}).to_string();
    post().body(large.clone()).answer().await.is_problem(413, "body_too_large");
    post().body(large).header("content-length", "70014").answer().await.is_problem(413, "body_too_large");
    for (body, place) in [
        (json!({}), "owner"),
        (json!({"owner": ""}), "owner"),
        (json!({"owner": "a", "scopes": ["a b"]}), "scopes"),
        (json!({"owner": "a", "scopes": "campaigns:send"}), "scopes"),
        (json!({"owner": "a", "labels": {"a b": "c"}}), "labels"),
        (json!({"owner": "a", "networks": ["x"]}), "networks"),
        (json!({"owner": "a", "environment": "prod"}), "environment"),
        (json!({"owner": "a", "expires_at": "soon"}), "expires_at"),
        (json!({"owner": "a", "secret": "b"}), "secret"),
    ] {
        let problem = kit.post(KEYS, &body).answer().await.is_problem(422, "invalid_value");
        assert!(problem["detail"].as_str().unwrap().contains(place), "{problem}");
    }
    let past = json!({"owner": "a", "expires_at": "2001-01-01T00:00:00Z"});
    kit.post(KEYS, &past).answer().await.is_problem(409, "expiry_in_past");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_that_are_none() {
    let kit = Kit::start().await;
    let missing = kit.get(KEYS).without("authorization").answer().await;
    missing.is_problem(401, "operator_missing");
    assert_eq!(missing.header("www-authenticate"), "Bearer realm=\"rescind\"");
    kit.get(KEYS).header("authorization", "Basic abc").answer().await.is_problem(401, "operator_missing");
    kit.get(KEYS).with_key("rsk_live_x").answer().await.is_problem(401, "operator_malformed");
    let senders_key = kit.issue(json!({})).await["key"].as_str().unwrap().to_owned();
    kit.get(KEYS).with_key(&senders_key).answer().await.is_problem(401, "operator_unknown");
    let unscoped = kit.operator(&["verify"]).await;
    let problem = kit.get(KEYS).with_key(&unscoped).answer().await.is_problem(403, "scope_missing");
    assert!(problem["detail"].as_str().unwrap().contains("keys:read"));
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn routes_and_methods_that_are_not_there() {
    let kit = Kit::start().await;
    kit.get("/v1/nothing").answer().await.is_problem(404, "no_such_route");
    let answer = kit.ask(Method::DELETE, KEYS).answer().await;
    answer.is_problem(405, "method_not_allowed");
    assert!(
        answer.header("allow").contains("POST") && answer.header("allow").contains("GET"),
        "{:?}",
        answer.headers
    );
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_has_a_request_id_and_a_fit_one_is_kept() {
    let kit = Kit::start().await;
    let made = kit.get(KEYS).answer().await;
    assert_eq!(made.header("x-request-id").len(), 16);
    let kept = kit.get(KEYS).header("x-request-id", "campaign-42").without("authorization").answer().await;
    assert_eq!(
        (kept.header("x-request-id"), &kept.json()["request_id"]),
        ("campaign-42", &json!("campaign-42"))
    );
    let refused = kit.get(KEYS).header("x-request-id", &kit.root).answer().await;
    assert_eq!(refused.header("x-request-id").len(), 16, "a key is never taken for an id");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_gate_sheds_its_own_kind_only() {
    let kit = Kit::start().await;
    let app = Arc::clone(&kit.node.app);
    let all = u32::try_from(app.gates.verifies.available_permits()).unwrap();
    let held = app.gates.verifies.acquire_many(all).await.unwrap();
    let shed = kit.post("/v1/verify", &json!({"key": "x"})).answer().await;
    shed.is_problem(503, "overloaded");
    assert_eq!(shed.header("retry-after"), "1");
    let key = kit.issue(json!({})).await;
    kit.revoke(key["key_id"].as_str().unwrap()).await;
    drop(held);
    kit.post("/v1/verify", &json!({"key": "x"})).answer().await.is(200);
    drop(app);
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn under_pressure_verifies_are_shed_after_a_pause_and_commands_pass() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await;
    kit.node.app.gates.pressure.press();
    let began = Instant::now();
    let shed = kit.post("/v1/verify", &json!({"key": key["key"]})).answer().await;
    shed.is_problem(503, "overloaded");
    assert_eq!(shed.header("retry-after"), "1");
    assert!(began.elapsed() >= SHED_AFTER, "a crowd is held up: {:?}", began.elapsed());
    kit.node.app.gates.pressure.press();
    kit.revoke(key["key_id"].as_str().unwrap()).await;
    // Nobody asks any more, so it ends by itself.
    let ended =
        async { while kit.post("/v1/verify", &json!({"key": key["key"]})).answer().await.status != 200 {} };
    timeout(PATIENCE, ended).await.expect("the pressure is over");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_a_500_without_what_it_said() {
    let kit = Kit::start().await;
    let app = Arc::clone(&kit.node.app);
    async fn breaks() -> &'static str {
        panic!("rsk_live_secret")
    }
    let edge_of = Edge { app, class: Class::Read };
    let router: Router =
        Router::new().route("/breaks", get(breaks)).route_layer(from_fn_with_state(edge_of, edge));
    let request = Request::builder().uri("/breaks").body(Body::empty()).unwrap();
    let response = router.oneshot(request).await.unwrap();
    assert_eq!(response.status(), 500);
    let body = axum::body::to_bytes(response.into_body(), 65536).await.unwrap();
    let text = String::from_utf8(body.to_vec()).unwrap();
    assert!(text.contains("\"code\":\"internal\"") && !text.contains("rsk_"), "{text}");
    kit.get("/livez").answer().await.is(200);
    kit.node.stop().await;
}
