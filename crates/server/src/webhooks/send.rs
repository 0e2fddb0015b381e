//! One attempt: a signed POST, and what its answer means.

use std::time::Duration;

use ureq::Agent;
use ureq::config::Config;
use ureq::http::{Response, StatusCode};
use ureq::unversioned::transport::DefaultConnector;
use wire::Notice;

use super::address::{self, Checked, Reach};
use super::hook::Failure;

/// How long a receiver may take for all of it. It should take note and answer; its work comes after. Not longer than a stop
/// of the server waits for requests.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);
/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// What is read of an answer, so that the connection can be used again; the rest is not wanted.
const ANSWER_MAX: u64 = 4 * 1024;

/// What is sent.
pub(super) struct Delivery {
    pub(super) url: String,
    /// The log's id and the position: the same for every attempt.
    pub(super) id: String,
    /// Seconds since 1970, of this attempt.
    pub(super) timestamp: u64,
    pub(super) signature: String,
    /// The notice, as the feed has it.
    pub(super) body: String,
}

/// Sends to addresses that are allowed.
pub(super) struct Sender {
    agent: Agent,
}

impl Sender {
    pub(super) fn new(reach: Reach) -> Self {
        let config = Config::builder()
            .http_status_as_error(false)
            // Whoever a receiver points to was not checked, and not asked for.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // A proxy would connect for us, to addresses that nobody checked.
            .proxy(None)
            .user_agent(concat!("rescind/", env!("CARGO_PKG_VERSION")))
            .timeout_connect(Some(CONNECT_WITHIN))
            .timeout_global(Some(ANSWER_WITHIN))
            .build();
        Self { agent: Agent::with_parts(config, DefaultConnector::default(), Checked(reach)) }
    }

    /// Blocks for at most [`ANSWER_WITHIN`].
    pub(super) fn send(&self, delivery: &Delivery) -> Result<(), Failure> {
        let request = self
            .agent
            .post(&delivery.url)
            .header("content-type", Notice::CONTENT_TYPE)
            .header("webhook-id", &delivery.id)
            .header("webhook-timestamp", delivery.timestamp.to_string())
            .header("webhook-signature", &delivery.signature);
        let mut response = request.send(&delivery.body).map_err(|error| failed(&error))?;
        // Received is received, whatever follows.
        let _ = response.body_mut().with_config().limit(ANSWER_MAX).read_to_vec();
        judge(&response)
    }
}

/// 2xx alone means received.
fn judge<T>(response: &Response<T>) -> Result<(), Failure> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let more = if status.is_redirection() { ": redirects are not followed" } else { "" };
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    Err(Failure {
        error: format!("its receiver answered {}{more}", status.as_u16()),
        retry_after: retry_after.and_then(|seconds| seconds.parse().ok()).map(Duration::from_secs),
        gone: status == StatusCode::GONE,
    })
}

/// In words of ours: what the client says may hold the URL.
fn failed(error: &ureq::Error) -> Failure {
    let words = match error {
        error if address::is_refused(error) => "its host has an address that is not public",
        ureq::Error::Timeout(_) => "its receiver did not answer in time",
        ureq::Error::HostNotFound => "its host does not resolve",
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) => "TLS could not be agreed on",
        ureq::Error::Protocol(_) => "its receiver does not answer with HTTP",
        _ => "its receiver cannot be reached",
    };
    Failure { error: words.to_owned(), retry_after: None, gone: false }
}
