//! The guard's calls to the server: one keep-alive HTTP client with its credential, a deadline on each call.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use parking_lot::RwLock;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use tokio::time::timeout;

use crate::tls::{Roots, TlsError, tls_config};

/// A connection is there after that, or the machine is not.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// Shorter than what servers and proxies keep an idle connection for, so that few calls meet one that is being closed.
const IDLE: Duration = Duration::from_secs(20);

/// The longest answer that is read: 256 keys with all that one can have.
const MAX_ANSWER: usize = 8 << 20;

/// What of a refusal is read for its code.
const MAX_PROBLEM: usize = 64 << 10;

/// Why a call brought nothing.
#[derive(Debug, Error)]
pub(crate) enum CallError {
    #[error("the server cannot be reached: {0}")]
    Away(String),
    #[error("the server did not answer within {0:?}")]
    TimedOut(Duration),
    #[error("the server does not know this guard")]
    GuardUnknown,
    #[error("the server refuses the guard's credential: {0}")]
    CredentialRefused(String),
    #[error("the server refuses the guard: {0}")]
    Refused(String),
    #[error("the server is busy: {code}")]
    Busy { code: String, retry_after: Option<Duration> },
    #[error("the server's answer cannot be read: {0}")]
    Unreadable(String),
}

impl CallError {
    /// The words for each why of a call that brought nothing.
    pub(crate) const WHYS: [&str; 7] =
        ["away", "timed_out", "guard_unknown", "credential_refused", "refused", "busy", "unreadable"];

    /// Which of [`Self::WHYS`].
    pub(crate) const fn why(&self) -> usize {
        match self {
            Self::Away(_) => 0,
            Self::TimedOut(_) => 1,
            Self::GuardUnknown => 2,
            Self::CredentialRefused(_) => 3,
            Self::Refused(_) => 4,
            Self::Busy { .. } => 5,
            Self::Unreadable(_) => 6,
        }
    }
}

/// Why a URL is none that a guard can use.
#[derive(Debug, Error)]
pub enum UrlError {
    /// Not `http://host` or `https://host`.
    #[error("the server's URL is http:// or https:// and a host, such as https://rescind.example:8443")]
    Shape,
    /// Plain text to another machine.
    #[error(
        "http:// sends the guard's credential in plain text to {0}: use https://, or allow it with `insecure`"
    )]
    PlainText(String),
    /// The certificates to trust.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The credential has characters that no header may have.
    #[error("the guard's credential is not a key")]
    Credential,
}

type HttpClient = Http<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// Where the server is and how it is spoken to. `Debug` does not tell the credential.
#[derive(Debug)]
pub(crate) struct Client {
    /// With the connections that are idle. Another one, without any, takes its place when something did not come in time.
    http: RwLock<HttpClient>,
    connector: HttpsConnector<HttpConnector>,
    base: String,
    authorization: HeaderValue,
}

impl Client {
    pub(crate) fn new(url: &str, credential: &str, roots: &Roots, insecure: bool) -> Result<Self, UrlError> {
        let base = url.trim_end_matches('/').to_owned();
        let uri: Uri = base.parse().map_err(|_| UrlError::Shape)?;
        let host = uri.host().ok_or(UrlError::Shape)?;
        match uri.scheme_str() {
            Some("https") => {}
            Some("http") if insecure || is_loopback(host) => {}
            Some("http") => return Err(UrlError::PlainText(host.to_owned())),
            _ => return Err(UrlError::Shape),
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {}", credential.trim()))
            .map_err(|_| UrlError::Credential)?;
        authorization.set_sensitive(true);
        let mut tcp = HttpConnector::new();
        tcp.enforce_http(false);
        tcp.set_nodelay(true);
        tcp.set_connect_timeout(Some(CONNECT_WITHIN));
        let connector = hyper_rustls::HttpsConnectorBuilder::new()
            .with_tls_config(tls_config(roots)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(tcp);
        let http = RwLock::new(without_connections(connector.clone()));
        Ok(Self { http, connector, base, authorization })
    }

    /// Uses no connection again that is open now: what did not come in time on one will not come on the others either, and
    /// each would be found out only by another call that fails.
    pub(crate) fn forget_connections(&self) {
        *self.http.write() = without_connections(self.connector.clone());
    }

    /// POST of a body; the answer's body, within the deadline.
    pub(crate) async fn post<A: DeserializeOwned>(
        &self,
        path: &str,
        body: &(impl Serialize + Sync),
        within: Duration,
    ) -> Result<A, CallError> {
        let body = serde_json::to_vec(body).map_err(|error| CallError::Unreadable(error.to_string()))?;
        let exchange = async {
            let request = self.request(Method::POST, path).header(CONTENT_TYPE, "application/json");
            let answer = self.send(request.body(Full::from(body))).await?;
            let bytes = read(answer.into_body(), MAX_ANSWER).await?;
            // A route that has nothing to tell answers with an empty body.
            let bytes = if bytes.is_empty() { Bytes::from_static(b"null") } else { bytes };
            serde_json::from_slice(&bytes).map_err(|error| CallError::Unreadable(error.to_string()))
        };
        timeout(within, exchange).await.unwrap_or_else(|_| Err(self.timed_out(within)))
    }

    fn timed_out(&self, within: Duration) -> CallError {
        self.forget_connections();
        CallError::TimedOut(within)
    }

    /// GET of a body without an end; its head within the deadline.
    pub(crate) async fn open(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
        within: Duration,
    ) -> Result<Incoming, CallError> {
        let mut request = self.request(Method::GET, path);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = self.send(request.body(Full::default()));
        Ok(timeout(within, answer).await.unwrap_or_else(|_| Err(self.timed_out(within)))?.into_body())
    }

    fn request(&self, method: Method, path: &str) -> hyper::http::request::Builder {
        let uri = format!("{}{path}", self.base);
        Request::builder().method(method).uri(uri).header(AUTHORIZATION, self.authorization.clone())
    }

    async fn send(
        &self,
        request: Result<Request<Full<Bytes>>, hyper::http::Error>,
    ) -> Result<Response<Incoming>, CallError> {
        let request = request.map_err(|error| CallError::Unreadable(error.to_string()))?;
        let http = self.http.read().clone();
        let answer = http.request(request).await.map_err(|error| CallError::Away(chain(&error)))?;
        if answer.status().is_success() { Ok(answer) } else { Err(refusal(answer).await) }
    }
}

fn without_connections(connector: HttpsConnector<HttpConnector>) -> HttpClient {
    Http::builder(TokioExecutor::new()).pool_idle_timeout(IDLE).pool_timer(TokioTimer::new()).build(connector)
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

async fn read(body: Incoming, at_most: usize) -> Result<Bytes, CallError> {
    let collected = Limited::new(body, at_most).collect().await;
    Ok(collected.map_err(|error| CallError::Away(chain(&*error)))?.to_bytes())
}

/// The error and what caused it, in one line: a bare `connect error` helps nobody.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}

async fn refusal(answer: Response<Incoming>) -> CallError {
    let status = answer.status();
    let retry_after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok()?.parse().ok());
    let body = read(answer.into_body(), MAX_PROBLEM).await.unwrap_or_default();
    let problem: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
    let code = problem["code"].as_str().unwrap_or_default();
    let told = match problem["detail"].as_str().or(problem["title"].as_str()) {
        Some(text) => format!("{} {code}: {text}", status.as_u16()),
        None => format!("{} {code}", status.as_u16()),
    };
    match status {
        StatusCode::NOT_FOUND if code == "guard_unknown" => CallError::GuardUnknown,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => CallError::CredentialRefused(told),
        StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::GATEWAY_TIMEOUT => {
            CallError::Busy { code: told, retry_after: retry_after.map(Duration::from_secs) }
        }
        _ => CallError::Refused(told),
    }
}
