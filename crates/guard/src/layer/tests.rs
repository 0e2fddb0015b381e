//! Requests before a protected route.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::routing::get;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Request, Response};
use serde_json::Value;
use tower::ServiceExt;
use wire::guard::{FilledKey, Register};

use super::*;
use crate::client::Client;
use crate::clock::SystemClock;
use crate::core::tests::given::{Given, filled, token};
use crate::guard::FeedBy;
use crate::link::Link;
use crate::tls::Roots;

/// A guard without a server that holds keys 1 (good), 2 (revoked) and 3 (bound to a network).
async fn guard(has_lease: bool) -> Guard {
    let clock = SystemClock;
    let given = Given::following_from(10).at(crate::clock::Clock::boot_ms(&clock));
    let revoked = FilledKey { standing: "revoked".to_owned(), ..filled(2) };
    let bound = FilledKey { networks: vec!["192.0.2.0/24".to_owned()], ..filled(3) };
    given.fill(10, &[1, 2, 3], vec![Some(filled(1)), Some(revoked), Some(bound)]);
    if has_lease {
        given.core.on_registered(crate::core::tests::given::LOG, domain::Position::new(10), 600_000);
        given.lease(10, 10, 0);
    }
    let client = Client::new("http://127.0.0.1:1", "rsk_live_x", &Roots::Public, false).unwrap();
    let register = Register {
        guard_id: String::new(),
        tenant: "acme".to_owned(),
        name: "mailer".to_owned(),
        version: String::new(),
        feed: "sse".to_owned(),
        max_staleness_ms: 5_000,
    };
    let link = Link::new(given.core, client, Arc::new(clock), register);
    Guard::spawn(link, FeedBy::Sse, Duration::from_millis(50))
}

async fn send(guard: &Guard, scope: &str, headers: &[(&str, &str)]) -> Response<Body> {
    let layer = guard.layer(Requirement::of_scope(scope).unwrap());
    let layer = layer.client_address(|parts| parts.headers.get("x-client")?.to_str().ok()?.parse().ok());
    let route = get(async |holder: Holder| holder.key_id().to_string());
    let app = Router::new().route("/send", route).route_layer(layer);
    let mut request = Request::get("/send");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn body(response: Response<Body>) -> String {
    String::from_utf8(to_bytes(response.into_body(), 1 << 16).await.unwrap().to_vec()).unwrap()
}

#[track_caller]
fn header(response: &Response<Body>, name: HeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().unwrap())
}

#[tokio::test]
async fn a_good_key_passes_and_its_holder_is_told() {
    let guard = guard(true).await;
    let bearer = format!("bearer {}", token(1));
    for headers in [[("authorization", bearer.as_str())], [("x-api-key", &token(1))]] {
        let response = send(&guard, "campaigns:send", &headers).await;
        assert_eq!(response.status(), 200);
        assert_eq!(body(response).await, crate::core::tests::given::key_id(1).to_string());
    }
    let key = token(3);
    let from = |address| [("x-api-key", key.as_str()), ("x-client", address)];
    assert_eq!(send(&guard, "campaigns:send", &from("192.0.2.9")).await.status(), 200);
    assert_eq!(send(&guard, "campaigns:send", &from("198.51.100.9")).await.status(), 403);
}

#[tokio::test]
async fn everybody_else_is_told_why_as_far_as_they_may_know() {
    let guard = guard(true).await;
    let (good, revoked) = (format!("Bearer {}", token(1)), format!("Bearer {}", token(2)));
    for (headers, scope, status, code, challenge) in [
        (&[][..], "campaigns:send", 401, "key_missing", "Bearer"),
        (&[("authorization", "Basic x")], "campaigns:send", 401, "key_missing", "Bearer"),
        (&[("authorization", "x")], "campaigns:send", 401, "key_malformed", "Bearer error=\"invalid_token\""),
        (
            &[("authorization", good.as_str()), ("x-api-key", "x")],
            "campaigns:send",
            401,
            "key_malformed",
            "Bearer error=\"invalid_token\"",
        ),
        (
            &[("authorization", revoked.as_str())],
            "campaigns:send",
            401,
            "key_refused",
            "Bearer error=\"invalid_token\"",
        ),
        (&[("authorization", good.as_str())], "lists:read", 403, "key_scope_denied", ""),
        // Not held, and nobody to ask.
        (&[("x-api-key", "sk-campaigns-guessed")], "campaigns:send", 503, "stale", ""),
    ] {
        let response = send(&guard, scope, headers).await;
        assert_eq!(response.status(), status, "{code}");
        assert_eq!(header(&response, WWW_AUTHENTICATE), challenge);
        assert_eq!(header(&response, CONTENT_TYPE), "application/problem+json");
        let problem: Value = serde_json::from_str(&body(response).await).unwrap();
        assert_eq!(problem["code"], code);
    }
}

#[tokio::test]
async fn a_stale_guard_lets_nobody_pass() {
    let guard = guard(false).await;
    let bearer = format!("Bearer {}", token(1));
    let response = send(&guard, "campaigns:send", &[(AUTHORIZATION.as_str(), &bearer)]).await;
    assert_eq!((response.status().as_u16(), header(&response, RETRY_AFTER)), (503, "1"));
}

#[tokio::test]
async fn a_route_that_nobody_guards_lets_nobody_in() {
    let app: Router = Router::new().route("/send", get(async |holder: Holder| holder.key_id().to_string()));
    let response = app.oneshot(Request::get("/send").body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.status(), 500);
}
