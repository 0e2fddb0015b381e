//! The client of the HTTP API: time-outs on everything, one command id a command, bounded retries under that same id.

use std::fs;
use std::io::{BufReader, Read};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use ureq::config::{Config, ConfigBuilder};
use ureq::http::request::Builder;
use ureq::http::{HeaderValue, Method, Request, Response};
use ureq::tls::{PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::typestate::AgentScope;
use ureq::{Agent, Body, BodyReader};
use zeroize::Zeroizing;

use crate::clock;
use crate::failure::Failure;
use crate::problem::{self, Away};
use crate::target::{Connection, FoundKey, Url};

/// Attempts at one request. A lost answer is settled by asking again under the same command id; more than this and a person
/// should know.
const TRIES: u32 = 3;
/// To reach the server at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(3);
/// One attempt, answer included. Above the server's own limits, so that its word (503, 504) comes before ours.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);
/// The first pause between attempts; doubled each time.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest pause that a server's `Retry-After` can ask of a person who waits.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// To send one part of an import, which the server takes in as fast as its log goes.
const UPLOAD_WITHIN: Duration = Duration::from_secs(120);
/// Between two lines of what it answers to that: it tells at least each second how far it is.
const UPLOAD_SILENCE: Duration = Duration::from_secs(20);
/// The largest answer that is held in memory: a page of 200 keys with every label and scope is below it.
const MAX_ANSWER: u64 = 16 << 20;

/// One request, as the API knows it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
    command_id: Option<String>,
    /// The revision that the key must have.
    if_match: Option<u32>,
}

impl Call {
    /// A read.
    pub(crate) fn get(path: impl Into<String>) -> Self {
        Self {
            method: Method::GET,
            path: path.into(),
            query: Vec::new(),
            body: None,
            command_id: None,
            if_match: None,
        }
    }

    /// A question that is sent as a POST so that what it holds stays out of addresses; changes nothing.
    pub(crate) fn ask(path: impl Into<String>, body: Value) -> Self {
        Self { method: Method::POST, body: Some(body), ..Self::get(path) }
    }

    /// A command: every attempt of it carries this id, so it has one effect.
    pub(crate) fn command(path: impl Into<String>, body: Value, command_id: &str) -> Self {
        Self { command_id: Some(command_id.to_owned()), ..Self::ask(path, body) }
    }

    /// The same as another method.
    pub(crate) fn by(self, method: Method) -> Self {
        Self { method, ..self }
    }

    /// Without a body.
    pub(crate) fn bare(self) -> Self {
        Self { body: None, ..self }
    }

    /// Only if the key is still at this revision.
    pub(crate) fn if_match(self, revision: Option<u32>) -> Self {
        Self { if_match: revision, ..self }
    }

    /// Adds a query parameter.
    pub(crate) fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    /// Adds a query parameter if there is a value.
    pub(crate) fn with_some(self, name: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    fn target(&self) -> String {
        let mut target = self.path.clone();
        for (n, (name, value)) in self.query.iter().enumerate() {
            target.push(if n == 0 { '?' } else { '&' });
            target.push_str(name);
            target.push('=');
            target.push_str(&percent_encode(value));
        }
        target
    }
}

/// A 2xx, or whatever the caller takes for an answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The JSON body; null if there was none.
    pub(crate) body: Value,
    /// From the first attempt sent to the answer read.
    pub(crate) took: Duration,
}

/// An answer without end, to be read line by line.
pub(crate) type Lines = BufReader<BodyReader<'static>>;

/// A server, and the right to ask it.
pub(crate) struct Client {
    agent: Agent,
    tls: TlsConfig,
    url: Url,
    authorization: Option<HeaderValue>,
    key_origin: String,
}

impl Client {
    /// Finds server and key, or says where it looked.
    pub(crate) fn find(connection: &Connection) -> Result<Self, Failure> {
        let url = connection.url()?;
        Self::of(connection, url, Some(&connection.key()?))
    }

    /// A client for a server and key that were found before.
    pub(crate) fn of(connection: &Connection, url: Url, key: Option<&FoundKey>) -> Result<Self, Failure> {
        Self::new(url, key, connection.ca().map(|path| read_roots(path)).transpose()?)
    }

    /// A client of this server.
    pub(crate) fn new(url: Url, key: Option<&FoundKey>, roots: Option<RootCerts>) -> Result<Self, Failure> {
        let authorization = key.map(bearer).transpose()?;
        let key_origin = key.map(|key| key.origin.clone()).unwrap_or_default();
        let tls = TlsConfig::builder().root_certs(roots.unwrap_or(RootCerts::WebPki)).build();
        let agent = config(&url, &tls).timeout_global(Some(ANSWER_WITHIN)).build().into();
        Ok(Self { agent, tls, url, authorization, key_origin })
    }

    /// The server's address and where it comes from.
    pub(crate) const fn url(&self) -> &Url {
        &self.url
    }

    /// Sends a call, again under the same command id while that can help, and takes a 2xx for the answer.
    pub(crate) fn send(&self, call: &Call) -> Result<Answer, Failure> {
        let started = clock::now();
        let mut pause = FIRST_PAUSE;
        // Whether an attempt went out whose effect nobody has told us.
        let mut in_doubt = false;
        for attempt in 1..=TRIES {
            let is_last = attempt == TRIES;
            let mut asked_pause = None;
            match self.exchange(call) {
                Ok((answer, _)) if is_last || !matches!(answer.status, 503 | 504) => {
                    return self.judge(call, Answer { took: started.elapsed(), ..answer }, in_doubt);
                }
                Ok((answer, retry_after)) => {
                    in_doubt |= answer.status == 504;
                    asked_pause = retry_after;
                }
                Err(error) => {
                    let away = Away::of(&error);
                    in_doubt |= away.may_have_arrived();
                    if is_last || !away.is_worth_another_try() {
                        return Err(self.away(call, away, &error, in_doubt));
                    }
                }
            }
            thread::sleep(asked_pause.unwrap_or(pause).min(LONGEST_PAUSE));
            pause *= 2;
        }
        unreachable!("the last attempt returns")
    }

    /// Opens an answer without end (the feed, the log), for the caller to read line by line. A pause longer than `silence`
    /// is an error.
    pub(crate) fn stream(
        &self,
        call: &Call,
        headers: &[(&'static str, String)],
        silence: Duration,
    ) -> Result<Lines, Failure> {
        let config = config(&self.url, &self.tls).timeout_recv_response(Some(ANSWER_WITHIN));
        let agent: Agent = config.timeout_per_read(Some(silence)).build().into();
        let sent = self.attempt(&agent, call, headers);
        self.open(call, sent)
    }

    /// The bytes of an answer that is no JSON, at most so many.
    pub(crate) fn bytes(&self, call: &Call, most: u64) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let read = self.stream(call, &[], ANSWER_WITHIN)?.take(most).read_to_end(&mut bytes);
        read.map_err(|error| Failure::io("the answer broke off", &error).remedy("try again"))?;
        Ok(bytes)
    }

    fn open(&self, call: &Call, sent: Result<Response<Body>, ureq::Error>) -> Result<Lines, Failure> {
        let response = sent.map_err(|error| self.away(call, Away::of(&error), &error, false))?;
        if response.status().is_success() {
            return Ok(BufReader::new(response.into_body().into_with_config().limit(u64::MAX).reader()));
        }
        let answer = read(response).map_err(|error| self.away(call, Away::of(&error), &error, false))?;
        Err(problem::failure(&answer, &self.url, &self.key_origin, None))
    }

    /// Sends a part of a stream of lines and opens the answer, for the caller to read line by line.
    pub(crate) fn upload(&self, call: &Call, lines: &[u8]) -> Result<Lines, Failure> {
        let config = config(&self.url, &self.tls).timeout_send_body(Some(UPLOAD_WITHIN));
        let config = config.timeout_recv_response(Some(ANSWER_WITHIN)).timeout_per_read(Some(UPLOAD_SILENCE));
        let agent: Agent = config.build().into();
        let request = self.request(call, &[("content-type", "application/x-ndjson".to_owned())]);
        let sent = request.body(lines).map_err(ureq::Error::from).and_then(|request| agent.run(request));
        self.open(call, sent)
    }

    /// The same read, but of nothing older than what the server's log holds now: the views that answer are a moment behind.
    /// A server that does not tell its head is asked without.
    pub(crate) fn fresh(&self, call: Call) -> Call {
        let head = self.once(&Call::get("/readyz").with("verbose", "")).ok();
        call.with_some("min_position", head.and_then(|answer| answer.body["checks"]["log"]["head"].as_u64()))
    }

    /// One attempt, any status.
    pub(crate) fn once(&self, call: &Call) -> Result<Answer, Failure> {
        let exchanged = self.exchange(call).map_err(|error| self.away(call, Away::of(&error), &error, false));
        Ok(exchanged?.0)
    }

    /// One attempt, with how long the server wants to be left alone.
    fn exchange(&self, call: &Call) -> Result<(Answer, Option<Duration>), ureq::Error> {
        let started = clock::now();
        let response = self.attempt(&self.agent, call, &[])?;
        let retry_after = retry_after(&response);
        Ok((Answer { took: started.elapsed(), ..read(response)? }, retry_after))
    }

    fn attempt(
        &self,
        agent: &Agent,
        call: &Call,
        headers: &[(&'static str, String)],
    ) -> Result<Response<Body>, ureq::Error> {
        let request = self.request(call, headers);
        match &call.body {
            Some(body) => {
                agent.run(request.header("content-type", "application/json").body(body.to_string())?)
            }
            None => agent.run(request.body(())?),
        }
    }

    fn request(&self, call: &Call, headers: &[(&'static str, String)]) -> Builder {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(format!("{}{}", self.url.text, call.target()))
            .header("accept", "application/json, application/problem+json, */*;q=0.1");
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        if let Some(id) = &call.command_id {
            request = request.header("idempotency-key", id);
        }
        if let Some(revision) = call.if_match {
            request = request.header("if-match", format!("\"{revision}\""));
        }
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        request
    }

    fn judge(&self, call: &Call, answer: Answer, in_doubt: bool) -> Result<Answer, Failure> {
        if (200..300).contains(&answer.status) {
            return Ok(answer);
        }
        let failure = problem::failure(&answer, &self.url, &self.key_origin, call.command_id.as_deref());
        Err(problem::after_doubt(failure, in_doubt, call.command_id.as_deref()))
    }

    fn away(&self, call: &Call, away: Away, error: &ureq::Error, in_doubt: bool) -> Failure {
        let failure = problem::away(away, error, &self.url);
        problem::after_doubt(failure, in_doubt, call.command_id.as_deref())
    }
}

/// The whole answer. One that breaks off may be an answer to something that was done.
fn read(response: Response<Body>) -> Result<Answer, ureq::Error> {
    let status = response.status().as_u16();
    let bytes = response.into_body().into_with_config().limit(MAX_ANSWER).read_to_vec()?;
    // What is no JSON is no answer of ours, which the status and the missing members tell.
    let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
    Ok(Answer { status, body, took: Duration::ZERO })
}

/// What every request keeps to.
fn config(url: &Url, tls: &TlsConfig) -> ConfigBuilder<AgentScope> {
    let config = Config::builder()
        .http_status_as_error(false)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("rescind-cli/", env!("CARGO_PKG_VERSION")))
        .tls_config(tls.clone())
        .timeout_connect(Some(CONNECT_WITHIN));
    // A proxy from the environment is for other machines.
    if url.is_loopback() { config.proxy(None) } else { config }
}

fn bearer(key: &FoundKey) -> Result<HeaderValue, Failure> {
    let text = Zeroizing::new(format!("Bearer {}", key.key.expose()));
    let mut value = HeaderValue::from_str(&text)
        .map_err(|_| Failure::usage(format!("what {} holds is not a key", key.origin)))?;
    value.set_sensitive(true);
    Ok(value)
}

fn read_roots(path: &std::path::Path) -> Result<RootCerts, Failure> {
    let pem =
        fs::read(path).map_err(|error| Failure::io(format!("cannot read {}", path.display()), &error))?;
    let certificates: Vec<_> = parse_pem(&pem)
        .filter_map(|item| match item {
            Ok(PemItem::Certificate(certificate)) => Some(certificate),
            _ => None,
        })
        .collect();
    if certificates.is_empty() {
        return Err(Failure::usage(format!("{} holds no PEM certificate", path.display())));
    }
    Ok(RootCerts::new_with_certs(&certificates))
}

fn retry_after(response: &Response<Body>) -> Option<Duration> {
    let seconds = response.headers().get("retry-after")?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// A path segment from the command line, which has to be an id: nothing that could change the path.
pub(crate) fn segment<'a>(what: &str, text: &'a str) -> Result<&'a str, Failure> {
    let fits =
        (1..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if fits { Ok(text) } else { Err(Failure::usage(format!("that is not a {what}"))) }
}

fn percent_encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_stays_in_its_place() {
        let call =
            Call::get("/v1/tenants/default/keys").with("owner", "team&limit=1 ä").with_some("q", None::<u8>);
        assert_eq!(call.target(), "/v1/tenants/default/keys?owner=team%26limit%3D1%20%C3%A4");
        for bad in ["", "a/b", "..", "a?b", "rsk_live_x"] {
            assert!(segment("key id", bad).is_err(), "{bad}");
        }
    }
}
