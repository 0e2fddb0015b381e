//! Bare HTTP servers that parse the same request and write the same answer: axum, and hyper without it.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;

use axum::Router;
use axum::extract::{Json, State};
use axum::response::IntoResponse;
use axum::routing::post;
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::load::Answer;
use crate::rush::Failure;

const REQUEST_ID: &str = "x-request-id";

/// On which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bare {
    Axum,
    Hyper,
}

/// A bare server on a runtime of its own. Stopped when dropped.
pub(crate) struct BareServer {
    pub(crate) address: SocketAddr,
    runtime: Option<Runtime>,
}

/// What is asked.
#[derive(Deserialize)]
struct Asked {
    key: String,
}

#[derive(Deserialize)]
struct AskedBatch {
    requests: Vec<Asked>,
}

/// What is told: the members of ours.
#[derive(Deserialize, Serialize)]
struct Told {
    verdict: String,
    key_id: String,
    tenant: String,
    owner: String,
    scopes: Vec<String>,
    environment: String,
    as_of: ToldAsOf,
}

#[derive(Deserialize, Serialize)]
struct ToldAsOf {
    position: u64,
    lag_ms: u64,
}

#[derive(Deserialize, Serialize)]
struct ToldBatch {
    results: Vec<Told>,
}

/// One answer of ours, to be told again and again.
struct Script {
    one: Option<Told>,
    batch: Option<ToldBatch>,
    /// Of one of our request ids.
    id_bytes: usize,
}

impl Script {
    fn of(answer: &Answer) -> Result<Self, Failure> {
        let id = answer.head.lines().find_map(|line| line.strip_prefix("x-request-id: "));
        let id_bytes = id.ok_or("an answer of ours without a request id")?.trim().len();
        let (one, batch) = (serde_json::from_slice(&answer.body), serde_json::from_slice(&answer.body));
        let script = Self { one: one.ok(), batch: batch.ok(), id_bytes };
        if script.one.is_none() && script.batch.is_none() {
            return Err("an answer of ours that the floor cannot repeat".into());
        }
        Ok(script)
    }

    fn id(&self) -> String {
        "0".repeat(self.id_bytes)
    }

    fn one(&self, asked: &Asked) -> Vec<u8> {
        assert!(!asked.key.is_empty(), "a request without a key is none of this load");
        serde_json::to_vec(&self.one).unwrap_or_default()
    }

    fn batch(&self, asked: &AskedBatch) -> Vec<u8> {
        assert!(asked.requests.iter().all(|asked| !asked.key.is_empty()), "as above");
        serde_json::to_vec(&self.batch).unwrap_or_default()
    }
}

impl BareServer {
    /// Starts one that answers as ours did.
    pub(crate) fn start(bare: Bare, like: &Answer) -> Result<Self, Failure> {
        let script = Arc::new(Script::of(like)?);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let runtime = Runtime::new()?;
        let listener = {
            let _entered = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        match bare {
            Bare::Axum => drop(runtime.spawn(serve_axum(listener, script))),
            Bare::Hyper => drop(runtime.spawn(serve_hyper(listener, script))),
        }
        Ok(Self { address, runtime: Some(runtime) })
    }
}

impl Drop for BareServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn serve_axum(listener: tokio::net::TcpListener, script: Arc<Script>) {
    let headers = |script: &Script| {
        [
            (REQUEST_ID, script.id()),
            ("cache-control", "no-store".to_owned()),
            ("content-type", "application/json".to_owned()),
        ]
    };
    let one = async move |State(script): State<Arc<Script>>, Json(asked): Json<Asked>| {
        (headers(&script), script.one(&asked)).into_response()
    };
    let batch = async move |State(script): State<Arc<Script>>, Json(asked): Json<AskedBatch>| {
        (headers(&script), script.batch(&asked)).into_response()
    };
    let routes = Router::new().route("/v1/verify", post(one)).route("/v1/verify/batch", post(batch));
    // It ends with its runtime; until then there is nobody to tell of an error but the load, which sees it.
    let _ = axum::serve(listener, routes.with_state(script)).await;
}

async fn serve_hyper(listener: tokio::net::TcpListener, script: Arc<Script>) {
    while let Ok((stream, _)) = listener.accept().await {
        let script = Arc::clone(&script);
        tokio::spawn(async move {
            // As in front of ours.
            let _ = stream.set_nodelay(true);
            let answer = service_fn(|request| answer(request, Arc::clone(&script)));
            // The load closes its connections when it ends.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).await;
        });
    }
}

async fn answer(
    request: Request<Incoming>,
    script: Arc<Script>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_batch = request.uri().path().ends_with("/batch");
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes);
    let body = body.unwrap_or_default();
    let told = if is_batch {
        serde_json::from_slice(&body).map(|asked| script.batch(&asked))
    } else {
        serde_json::from_slice(&body).map(|asked| script.one(&asked))
    };
    let response = Response::builder()
        .header(CONTENT_TYPE, "application/json")
        .header(CACHE_CONTROL, "no-store")
        .header(REQUEST_ID, script.id())
        .body(Full::from(told.unwrap_or_default()));
    Ok(response.unwrap_or_default())
}
