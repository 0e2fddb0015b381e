//! What a gateway is answered: who passes, whom the service is told of, and what nobody can talk it into.

use std::sync::atomic::Ordering;

use axum::http::Method;
use serde_json::{Value, json};

use super::kit::{Answer, Ask, Kit};

const IDENTITY: [&str; 5] =
    ["x-rescind-key-id", "x-rescind-tenant", "x-rescind-owner", "x-rescind-scopes", "x-rescind-environment"];

struct Gate {
    kit: Kit,
    /// A gateway's operator key, which can verify and nothing else.
    operator: String,
}

impl Gate {
    async fn start() -> Self {
        let kit = Kit::start().await;
        let operator = kit.operator(&["verify"]).await;
        Self { kit, operator }
    }

    /// The request of a gateway with these settings.
    fn ask<'a>(&'a self, settings: &str, key: &Value) -> Ask<'a> {
        let gateway = format!("{}; {settings}", self.operator);
        let ask = self.kit.get("/v1/authz").with_key(key.as_str().unwrap());
        ask.header("x-rescind-gateway", &gateway)
    }
}

#[track_caller]
fn passes(answer: &Answer) {
    assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, ""));
    for name in IDENTITY {
        assert!(answer.headers.contains_key(name), "{name}");
    }
    assert_eq!(answer.header("cache-control"), "no-store");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_good_key_passes_with_all_that_is_known_of_it() {
    let gate = Gate::start().await;
    let issued = gate.kit.issue(json!({"owner": "Zoë, lists"})).await;
    let answer = gate.ask("tenant=default; scope=campaigns:send", &issued["key"]).answer().await;
    passes(&answer);
    assert_eq!(
        IDENTITY.map(|name| answer.header(name)),
        [issued["key_id"].as_str().unwrap(), "default", "Zo%C3%AB%2C%20lists", "campaigns:send", "live"]
    );
    let bare = gate.kit.issue(json!({"scopes": []})).await;
    let answer = gate.ask("tenant=*", &bare["key"]).answer().await;
    passes(&answer);
    assert_eq!(answer.header("x-rescind-scopes"), "");

    // In another header, with another method, below any path, with any query: the same.
    let key = issued["key"].as_str().unwrap();
    let gateway = format!("{}; tenant=default", gate.operator);
    for (method, path) in
        [(Method::DELETE, "/v1/authz/"), (Method::POST, "/v1/authz/lists/../7%2f?scope=none&tenant=acme")]
    {
        let ask = gate.kit.ask(method, path).without("authorization").header("x-api-key", key);
        passes(&ask.header("x-rescind-gateway", &gateway).answer().await);
    }
    gate.kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_not_be_used_is_401_or_403_with_the_reason() {
    let gate = Gate::start().await;
    let issued = gate.kit.issue(json!({"networks": ["192.0.2.0/24"]})).await;
    let near = "tenant=default; client=192.0.2.5";
    passes(&gate.ask(near, &issued["key"]).answer().await);
    let scope = format!("{near}; scope=lists:read");
    let told = gate.ask(&scope, &issued["key"]).answer().await.is_problem(403, "key_scope_denied");
    assert!(told["detail"].as_str().unwrap().contains("lists:read"), "{told}");
    for far in ["tenant=default; client=198.51.100.1", "tenant=default"] {
        // A header that the gateway does not say it sets is the client's own word.
        let ask = gate.ask(far, &issued["key"]).header("x-forwarded-for", "192.0.2.5");
        ask.header("x-real-ip", "192.0.2.5").answer().await.is_problem(403, "key_network_denied");
    }

    let missing = gate.ask(near, &json!("")).without("authorization").answer().await;
    missing.is_problem(401, "key_missing");
    assert_eq!(missing.header("www-authenticate"), "Bearer realm=\"rescind\"");
    gate.ask(near, &json!("rsk_live_x")).answer().await.is_problem(401, "key_malformed");
    let two = gate.ask(near, &issued["key"]).header("x-api-key", issued["key"].as_str().unwrap());
    two.answer().await.is_problem(401, "key_malformed");

    gate.kit.revoke(issued["key_id"].as_str().unwrap()).await;
    let revoked = gate.ask(near, &issued["key"]).answer().await;
    let told = revoked.is_problem(401, "key_refused");
    assert!(told["detail"].as_str().unwrap().contains("revoked"), "{told}");
    assert_eq!(revoked.header("www-authenticate"), "Bearer realm=\"rescind\", error=\"invalid_token\"");
    assert!(IDENTITY.iter().all(|name| !revoked.headers.contains_key(*name)));
    gate.kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_the_gateway_lets_nobody_pass() {
    let gate = Gate::start().await;
    gate.kit.post("/v1/tenants", &json!({"tenant": "acme"})).answer().await.is(201);
    let issued = gate.kit.issue(json!({})).await;
    let key = issued["key"].as_str().unwrap();
    let forget = gate.kit.get("/v1/authz").with_key(key).answer().await;
    forget.is_problem(502, "gateway_missing");
    let bound = gate.kit.operator(&["acme/verify"]).await;
    let reader = gate.kit.operator(&["keys:read"]).await;
    for (gateway, words) in [
        (format!("{key}; tenant=default"), "operator_unknown"),
        ("rsk_live_x; tenant=default".to_owned(), "operator_malformed"),
        (format!("{reader}; tenant=default"), "scope_missing"),
        (format!("{bound}; tenant=default"), "default/verify"),
        (gate.operator.clone(), "names no tenant"),
    ] {
        let ask = gate.kit.get("/v1/authz").with_key(key).header("x-rescind-gateway", &gateway);
        let told = ask.answer().await.is_problem(502, "gateway_refused");
        let detail = told["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{told}");
        assert!(!detail.contains("rsk_live_"), "{told}");
    }
    // An operator of one tenant need not name it, and knows no other's keys.
    let ask = gate.kit.get("/v1/authz").with_key(key).header("x-rescind-gateway", &bound);
    ask.answer().await.is_problem(401, "key_unknown");
    gate.ask("tenant=acme", &issued["key"]).answer().await.is_problem(401, "key_unknown");
    gate.kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_server_is_closed_in_the_form_that_the_gateway_knows() {
    let gate = Gate::start().await;
    let issued = gate.kit.issue(json!({})).await;
    let gates = &gate.kit.node.app.gates;
    let all = u32::try_from(gates.verifies.available_permits()).unwrap();
    let taken = gates.verifies.acquire_many(all).await.unwrap();
    let plain = gate.ask("tenant=default", &issued["key"]).answer().await;
    plain.is_problem(503, "overloaded");
    let mapped = gate.ask("tenant=default; closed=403", &issued["key"]).answer().await;
    assert_eq!((mapped.status.as_u16(), mapped.header("x-rescind-status")), (403, "503"));
    assert_eq!(mapped.header("retry-after"), "1");
    drop(taken);
    passes(&gate.ask("tenant=default; closed=403", &issued["key"]).answer().await);
    gate.kit.node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_metered_as_one_route_whatever_its_clients_send() {
    let gate = Gate::start().await;
    let issued = gate.kit.issue(json!({})).await;
    let before = gate.kit.node.app.requests.load(Ordering::Relaxed);
    for method in ["GET", "PROPFIND", "CAMPAIGN7"] {
        let gateway = format!("{}; tenant=default; scope=lists:read", gate.operator);
        let ask = gate.kit.ask(method.parse().unwrap(), "/v1/authz/lists/7");
        let ask = ask.with_key(issued["key"].as_str().unwrap()).header("x-rescind-gateway", &gateway);
        ask.answer().await.is_problem(403, "key_scope_denied");
    }
    assert_eq!(gate.kit.node.app.requests.load(Ordering::Relaxed), before + 3);
    let told = gate.kit.get("/metrics").without("authorization").answer().await;
    assert!(!told.text.contains("CAMPAIGN7") && !told.text.contains("PROPFIND"), "{}", told.text);
    assert!(told.text.contains(r#"route="/v1/authz",method="ANY",status="403""#), "{}", told.text);
    gate.kit.node.stop().await;
}
