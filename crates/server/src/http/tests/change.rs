//! Changes of one key: PATCH, suspension, If-Match, and what is refused.

use axum::http::Method;
use serde_json::{Value, json};

use super::kit::{Answer, Kit};

const KEYS: &str = "/v1/tenants/default/keys";

impl Kit {
    async fn patch(&self, key_id: &str, body: &Value) -> Answer {
        let ask = self.ask(Method::PATCH, &format!("{KEYS}/{key_id}"));
        ask.header("content-type", "application/json").body(body.to_string()).answer().await
    }

    async fn verdict(&self, key: &str, scope: &str) -> Value {
        let body = json!({"key": key, "scope": scope, "network": "192.0.2.9"});
        self.post("/v1/verify", &body).answer().await.is(200)["verdict"].clone()
    }
}

fn id(key: &Value) -> &str {
    key["key_id"].as_str().unwrap()
}

fn whole(key: &Value) -> &str {
    key["key"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn several_changes_are_one_unit_and_nothing_else_changes() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({"name": "spring", "labels": {"service": "mailer"}})).await;
    let body = json!({"name": "autumn", "owner": "list-team", "labels": {"service": "lists"}, "scopes": ["lists:read"],
        "networks": ["192.0.2.0/24"], "expires_at": "2999-01-01T00:00:00.000Z"});
    let answer = kit.patch(id(&key), &body).await;
    let changed = answer.is(200);
    assert_eq!((&changed["revision"], answer.header("etag")), (&json!(7), "\"7\""));
    assert_eq!(changed["effective"], true);
    assert_eq!(kit.verdict(whole(&key), "lists:read").await, "valid");
    assert_eq!(kit.verdict(whole(&key), "campaigns:send").await, "scope_denied");
    let path = format!("{KEYS}/{}?min_position={}", id(&key), changed["position"]);
    let shown = kit.get(&path).answer().await;
    assert_eq!(shown.header("etag"), "\"7\"");
    let shown = shown.is(200);
    for name in ["name", "owner", "labels", "scopes", "networks", "expires_at"] {
        assert_eq!(shown[name], body[name], "{name}");
    }
    assert_eq!((&shown["environment"], &shown["standing"]), (&json!("live"), &json!("active")));

    // One of two cannot be: neither happens.
    let refused = kit.patch(id(&key), &json!({"name": "winter", "expires_at": "2001-01-01T00:00:00Z"})).await;
    refused.is_problem(409, "expiry_in_past");
    let removed = kit.patch(id(&key), &json!({"name": null, "expires_at": null, "owner": "list-team"})).await;
    assert_eq!(removed.is(200)["revision"], 9, "what is as asked for makes no event");
    kit.patch(id(&key), &json!({"name": null})).await.is_problem(409, "unchanged");
    kit.patch(id(&key), &json!({})).await.is_problem(422, "invalid_value");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_named() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await;
    for (body, words) in [
        (json!({"scopes": ["campaigns::send"]}), "scopes"),
        (json!({"networks": ["192.0.2.7/24"]}), "192.0.2.0/24"),
        (json!({"labels": {"service": ""}}), "labels"),
        (json!({"owner": ""}), "owner"),
        (json!({"expires_at": "tomorrow"}), "expires_at"),
        (json!({"standing": "active"}), "standing"),
    ] {
        let problem = kit.patch(id(&key), &body).await.is_problem(422, "invalid_value");
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
    let missing = "01JDA7W5W6M4Q0T3S8V2N9X1YZ";
    kit.patch(missing, &json!({"name": "x"})).await.is_problem(404, "not_found");
    kit.revoke(id(&key)).await;
    kit.patch(id(&key), &json!({"name": "x"})).await.is_problem(409, "already_revoked");
    let suspend = format!("{KEYS}/{}/suspend", id(&key));
    kit.post(&suspend, &json!({})).answer().await.is_problem(409, "already_revoked");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_race_is_told_and_changes_nothing() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await;
    let path = format!("{KEYS}/{}", id(&key));
    let change = |revision: &'static str, name: &str| {
        kit.ask(Method::PATCH, &path)
            .header("content-type", "application/json")
            .header("if-match", revision)
            .body(json!({"name": name}).to_string())
    };
    change("\"1\"", "first").answer().await.is(200);
    let problem = change("\"1\"", "second").answer().await.is_problem(412, "revision_mismatch");
    assert!(problem["detail"].as_str().unwrap().contains('2'));
    change("\"2\"", "second").answer().await.is(200);
    change("two", "third").answer().await.is_problem(400, "bad_header");
    let revoke =
        kit.post(&format!("{path}/revoke"), &json!({"reason": "unused"})).header("if-match", "\"1\"");
    revoke.answer().await.is_problem(412, "revision_mismatch");
    assert_eq!(kit.verdict(whole(&key), "campaigns:send").await, "valid");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_key_has_needs_who_may_issue() {
    let kit = Kit::start().await;
    let key =
        kit.issue(json!({"scopes": ["campaigns:send", "lists:read"], "networks": ["192.0.2.0/24"]})).await;
    let writer = kit.operator(&["keys:write"]).await;
    let path = format!("{KEYS}/{}", id(&key));
    let change = |body: Value| {
        kit.ask(Method::PATCH, &path)
            .header("content-type", "application/json")
            .with_key(&writer)
            .body(body.to_string())
    };
    change(json!({"scopes": ["lists:*"]})).answer().await.is_problem(403, "widening_needs_issue");
    change(json!({"networks": []})).answer().await.is_problem(403, "widening_needs_issue");
    change(json!({"scopes": ["lists:read"], "networks": ["192.0.2.0/25"]})).answer().await.is(200);
    kit.patch(id(&key), &json!({"scopes": ["lists:*"], "networks": []})).await.is(200);
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_key_is_refused_until_it_is_reinstated() {
    let kit = Kit::start().await;
    let key = kit.issue(json!({})).await;
    let act = |action: &str, body: Value| kit.post(&format!("{KEYS}/{}/{action}", id(&key)), &body);
    act("reinstate", json!({})).answer().await.is_problem(409, "not_suspended");
    let why = json!({"reason": "investigating", "note": "odd traffic"});
    act("suspend", why.clone()).answer().await.is(200);
    assert_eq!(kit.verdict(whole(&key), "campaigns:send").await, "suspended");
    act("suspend", why).answer().await.is_problem(409, "already_suspended");
    act("suspend", json!({"reason": "holiday"})).answer().await.is_problem(422, "invalid_value");
    act("rotate", json!({})).answer().await.is_problem(409, "key_suspended");
    let reinstated = act("reinstate", json!({"note": "a load test"})).answer().await.is(200);
    assert_eq!(kit.verdict(whole(&key), "campaigns:send").await, "valid");
    let path = format!("{KEYS}/{}/events?min_position={}", id(&key), reinstated["position"]);
    let history = kit.get(&path).answer().await.is(200);
    let types: Vec<&str> =
        history["events"].as_array().unwrap().iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["KeyIssued", "KeySuspended", "KeyReinstated"]);
    act("suspend", json!({"until": "2001-01-01T00:00:00Z"}))
        .answer()
        .await
        .is_problem(409, "suspension_in_past");
    kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_is_configured_and_closed() {
    let kit = Kit::start().await;
    kit.post("/v1/tenants", &json!({"tenant": "acme"})).answer().await.is(201);
    let issued = kit.post("/v1/tenants/acme/keys", &json!({"owner": "list-sender"})).answer().await.is(201);
    let tenant = |method, body: Value| {
        kit.ask(method, "/v1/tenants/acme").header("content-type", "application/json").body(body.to_string())
    };
    let settings = json!({"name": "Acme", "prefix": "acme", "leak_response": "suspend"});
    tenant(Method::PATCH, settings.clone()).answer().await.is(200);
    tenant(Method::PATCH, settings).answer().await.is_problem(409, "unchanged");
    tenant(Method::PATCH, json!({"leak_response": "ignore"})).answer().await.is_problem(422, "invalid_value");
    let next = kit.post("/v1/tenants/acme/keys", &json!({"owner": "list-sender"})).answer().await.is(201);
    assert!(whole(&next).starts_with("acme_live_"));
    assert_eq!(kit.verdict(whole(&issued), "x").await, "scope_denied", "an old prefix stays valid");
    let closed = kit.ask(Method::DELETE, "/v1/tenants/acme?note=moved").answer().await.is(200);
    assert_eq!(kit.verdict(whole(&issued), "x").await, "tenant_closed");
    let path = format!("/v1/tenants?min_position={}", closed["position"]);
    let tenants = kit.get(&path).answer().await.is(200);
    let acme =
        tenants["tenants"].as_array().unwrap().iter().find(|row| row["tenant"] == "acme").unwrap().clone();
    assert_eq!((&acme["leak_response"], &acme["name"]), (&json!("suspend"), &json!("Acme")));
    assert!(acme["closed_at"].is_string());
    kit.post("/v1/tenants/acme/keys", &json!({"owner": "x"})).answer().await.is_problem(409, "tenant_closed");
    kit.ask(Method::DELETE, "/v1/tenants/rescind").answer().await.is_problem(409, "not_for_operators");
    kit.node.stop().await;
}
