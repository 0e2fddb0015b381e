//! A node in a temporary folder, and requests to its router.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, Response, StatusCode};
use projection::Stage;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::config::ServeConfig;
use crate::http::router;
use crate::node::Node;

/// More than any answer of these tests.
const ANSWER_MAX: usize = 4 << 20;

/// The views open behind a node that is ready; on a busy machine, seconds behind.
const VIEWS_WITHIN: Duration = Duration::from_secs(60);

/// Workers look once a second, and sums arrive as often; on a busy machine, later.
const EVENTUALLY_WITHIN: Duration = Duration::from_secs(60);
/// How often a wait looks again.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(super) struct Kit {
    pub(super) node: Node,
    pub(super) router: Router,
    /// The first operator's key.
    pub(super) root: String,
    _dir: TempDir,
}

pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
    }

    #[track_caller]
    pub(super) fn is(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        self.json()
    }

    /// A problem document with this status and code, in its whole form.
    #[track_caller]
    pub(super) fn is_problem(&self, status: u16, code: &str) -> Value {
        let body = self.is(status);
        assert_eq!(
            (body["code"].as_str(), body["status"].as_u64()),
            (Some(code), Some(u64::from(status))),
            "{body}"
        );
        assert_eq!(body["type"], format!("urn:rescind:problem:{code}"));
        assert_eq!(self.header("content-type"), "application/problem+json");
        assert!(body["remedy"].is_string() && body["title"].is_string() && body["request_id"].is_string());
        body
    }
}

async fn views_ready(node: &Node) {
    let projection = node.app.projection.clone();
    let ready = || {
        let progress = projection.upgrade().map(|projection| projection.progress()).unwrap_or_default();
        progress.iter().all(|view| view.status.stage == Stage::Ready)
    };
    while !ready() {
        yield_now().await;
    }
}

/// Looks again and again until there is what has to come.
pub(super) async fn eventually<T>(what: &str, look: impl AsyncFn() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            sleep(LOOK_AGAIN).await;
        }
    };
    timeout(EVENTUALLY_WITHIN, found).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// A request in the making.
pub(super) struct Ask<'a> {
    kit: &'a Kit,
    request: Request<Body>,
}

impl Kit {
    pub(super) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(super) async fn start_with(change: impl FnOnce(&mut ServeConfig)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut config = ServeConfig::embedded(dir.path().join("data"));
        change(&mut config);
        config.listen = "127.0.0.1:0".parse().unwrap();
        let node = Node::start(config).await.unwrap();
        let root = std::fs::read_to_string(node.operator_key_path()).unwrap().trim().to_owned();
        timeout(VIEWS_WITHIN, views_ready(&node)).await.expect("the views of an empty log are soon there");
        Self { router: router(node.app.clone()), node, root, _dir: dir }
    }

    pub(super) fn ask(&self, method: Method, path: &str) -> Ask<'_> {
        let mut request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([192, 0, 2, 7], 50000))));
        Ask { kit: self, request }.header("authorization", &format!("Bearer {}", self.root))
    }

    pub(super) fn get(&self, path: &str) -> Ask<'_> {
        self.ask(Method::GET, path)
    }

    pub(super) fn post(&self, path: &str, body: &Value) -> Ask<'_> {
        let mut ask = self.ask(Method::POST, path).header("content-type", "application/json");
        *ask.request.body_mut() = Body::from(body.to_string());
        ask
    }

    /// Issues a key of tenant `default`.
    pub(super) async fn issue(&self, more: Value) -> Value {
        let mut body = json!({"owner": "list-sender", "scopes": ["campaigns:send"]});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.post("/v1/tenants/default/keys", &body).answer().await.is(201)
    }

    /// Issues an operator with these scopes; its whole key.
    pub(super) async fn operator(&self, scopes: &[&str]) -> String {
        let body = json!({"owner": "operations", "scopes": scopes});
        let issued = self.post("/v1/tenants/rescind/keys", &body).answer().await.is(201);
        issued["key"].as_str().unwrap().to_owned()
    }

    pub(super) async fn revoke(&self, key_id: &str) -> Value {
        let path = format!("/v1/tenants/default/keys/{key_id}/revoke");
        self.post(&path, &json!({"reason": "compromised"})).answer().await.is(200)
    }
}

impl Ask<'_> {
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.request.headers_mut().insert(name, value.parse().unwrap());
        self
    }

    pub(super) fn without(mut self, name: &'static str) -> Self {
        self.request.headers_mut().remove(name);
        self
    }

    pub(super) fn with_key(self, key: &str) -> Self {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub(super) fn body(mut self, body: impl Into<Body>) -> Self {
        *self.request.body_mut() = body.into();
        self
    }

    pub(super) async fn response(self) -> Response<Body> {
        self.kit.router.clone().oneshot(self.request).await.unwrap()
    }

    /// Sends it and reads the whole answer.
    pub(super) async fn answer(self) -> Answer {
        let response = self.response().await;
        let (status, headers) = (response.status(), response.headers().clone());
        let bytes = to_bytes(response.into_body(), ANSWER_MAX).await.unwrap();
        Answer { status, headers, text: String::from_utf8(bytes.to_vec()).unwrap() }
    }
}
