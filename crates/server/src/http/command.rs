//! What every write has in common: command id, trace, actor, the time it may take, and `Rescind-Position` on its answer.

use std::net::IpAddr;
use std::time::Duration;

use application::{Changed, CommandError, Request};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{
    Actor, Cause, CommandId, Envelope, KeyId, Personal, PersonalText, Position, Revision, TenantId,
};
use serde::Serialize;
use tokio::time::{Instant, timeout};
use utoipa::ToSchema;
use wire::format_rfc3339;

use crate::config::Role;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::Shared;
use crate::http::problem::Problem;
use crate::http::receipts::ReceiptJson;

/// How long a command may take here: the log settles doubt within 6 s, and the edge's 10 s must not come first, since only
/// this answer can name the command id.
const COMMAND_WITHIN: Duration = Duration::from_secs(9);

/// The header with the position that a write made, for `min_position`.
pub(crate) const POSITION: HeaderName = HeaderName::from_static("rescind-position");

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// What a write comes with, before who asks is known.
pub(crate) struct Meta {
    command_id: CommandId,
    may_be_repeat: bool,
    if_match: Option<Revision>,
    trace_context: Option<Box<str>>,
}

impl FromRequestParts<Shared> for Meta {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Shared) -> Result<Self, Problem> {
        if app.role == Role::Verify {
            return Err(Problem::new(&codes::VERIFY_ONLY));
        }
        let sent = command_id(&parts.headers)?;
        let may_be_repeat = sent.is_some();
        let command_id = sent.unwrap_or_else(|| CommandId::from_u128(app.ambient.draw_ulid()));
        let if_match = if_match(&parts.headers)?;
        Ok(Self { command_id, may_be_repeat, if_match, trace_context: trace_context(&parts.headers) })
    }
}

fn command_id(headers: &HeaderMap) -> Result<Option<CommandId>, Problem> {
    let mut sent = headers.get_all(IDEMPOTENCY_KEY).iter();
    let bad = |words: &str| Problem::new(&codes::BAD_HEADER).detail(format!("Idempotency-Key: {words}"));
    match (sent.next(), sent.next()) {
        (None, _) => Ok(None),
        (Some(_), Some(_)) => Err(bad("it is there twice")),
        (Some(value), None) => {
            let id = value.to_str().ok().and_then(|text| text.parse().ok());
            id.map(Some).ok_or_else(|| bad("it is 1 to 128 printable ASCII characters without spaces"))
        }
    }
}

/// The revision in `If-Match`, as the key's `ETag` has it: `"3"`. `*` asks for nothing that a command does not need anyway.
fn if_match(headers: &HeaderMap) -> Result<Option<Revision>, Problem> {
    let mut sent = headers.get_all(header::IF_MATCH).iter();
    let bad = || {
        Problem::new(&codes::BAD_HEADER).detail("If-Match: it is one revision in quotes, such as \"3\", or *")
    };
    let (Some(value), None) = (sent.next(), sent.next()) else {
        return if headers.contains_key(header::IF_MATCH) { Err(bad()) } else { Ok(None) };
    };
    let text = value.to_str().map_err(|_| bad())?;
    if text == "*" {
        return Ok(None);
    }
    let number = text.strip_prefix('"').and_then(|text| text.strip_suffix('"'));
    let revision = number.and_then(|text| text.parse().ok()).filter(|revision| *revision > 0);
    revision.map(|revision| Some(Revision::new(revision))).ok_or_else(bad)
}

/// The `ETag` of a key at a revision.
pub(crate) fn etag(revision: Revision) -> HeaderValue {
    HeaderValue::try_from(format!("\"{revision}\"")).expect("a number in quotes is a header")
}

/// A valid version 00 `traceparent`; anything else is left out, as the specification wants it.
fn trace_context(headers: &HeaderMap) -> Option<Box<str>> {
    let text = headers.get(TRACEPARENT)?.to_str().ok()?;
    let hex = |part: &str, len: usize| {
        part.len() == len && part.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    };
    let parts: Vec<&str> = text.split('-').collect();
    let &[version, trace, span, flags] = parts.as_slice() else { return None };
    let fits = version == "00" && hex(trace, 32) && hex(span, 16) && hex(flags, 2);
    let is_zero = |part: &str| part.bytes().all(|b| b == b'0');
    (fits && text.len() <= Envelope::MAX_TRACE_CONTEXT && !is_zero(trace) && !is_zero(span))
        .then(|| text.into())
}

impl Meta {
    /// The command's request, now that it is known who asks.
    pub(crate) fn by(self, operator: &Operator) -> Request {
        let actor = Actor::Operator { key_id: operator.key_id, network: network(operator.network) };
        self.of(actor, Cause::Command)
    }

    /// The request of whoever holds the key that it is about.
    pub(crate) fn by_holder(self, address: Option<IpAddr>) -> Request {
        self.of(Actor::Holder { network: network(address) }, Cause::Command)
    }

    /// The request of any actor.
    pub(crate) fn of(self, actor: Actor, cause: Cause) -> Request {
        Request {
            actor,
            cause,
            command_id: self.command_id,
            may_be_repeat: self.may_be_repeat,
            if_match: self.if_match,
            trace_context: self.trace_context,
        }
    }
}

fn network(address: Option<IpAddr>) -> Option<Personal> {
    let text = address.and_then(|address| PersonalText::name(&address.to_string()).ok());
    text.map(Personal::Plain)
}

/// What every change of a key answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedKey {
    /// The key.
    key_id: String,
    /// Its tenant.
    tenant: String,
    /// Where the change stands in the log; the last event, where it made several.
    position: u64,
    /// The key's revision with it, for If-Match.
    revision: u32,
    /// When, RFC 3339.
    changed_at: String,
    /// This server goes by it from now on. False when its index is more than a second behind: ask with min_position.
    effective: bool,
    /// Who else does, where a change takes a key away; null while this server's own index is behind.
    #[serde(skip_serializing_if = "Option::is_none")]
    receipt: Option<ReceiptJson>,
    /// Whether an earlier request with the same Idempotency-Key made it.
    repeated: bool,
}

impl ChangedKey {
    pub(crate) fn answer(app: &Shared, tenant: &TenantId, key_id: KeyId, changed: Changed) -> Response {
        Self::with_receipt(app, tenant, key_id, changed, None)
    }

    pub(crate) fn with_receipt(
        app: &Shared,
        tenant: &TenantId,
        key_id: KeyId,
        changed: Changed,
        receipt: Option<ReceiptJson>,
    ) -> Response {
        let body = Self {
            key_id: key_id.to_string(),
            tenant: tenant.to_string(),
            position: changed.position.get(),
            revision: changed.revision.get(),
            changed_at: format_rfc3339(changed.occurred_at),
            effective: app.index.applied() >= changed.position,
            receipt,
            repeated: changed.repeated,
        };
        let mut response = at_position(axum::Json(body).into_response(), changed.position);
        response.headers_mut().insert(header::ETAG, etag(changed.revision));
        response
    }
}

/// Names the key in what went wrong with it. What does not exist is told in the same words everywhere.
pub(crate) fn about(key_id: KeyId) -> impl FnOnce(Problem) -> Problem {
    move |problem| if *problem.code == codes::NOT_FOUND { problem } else { problem.key(key_id) }
}

/// Waits for a command's outcome, and measures it. Past its time the outcome is unknown: the log may still take it.
pub(crate) async fn outcome<T>(
    app: &Shared,
    name: &'static str,
    command_id: &CommandId,
    key_id: Option<KeyId>,
    command: impl Future<Output = Result<T, CommandError>>,
) -> Result<T, Problem> {
    let started = Instant::now();
    let ended = timeout(COMMAND_WITHIN, command).await.unwrap_or_else(|_| {
        let reason = "the log did not answer in time".to_owned();
        Err(CommandError::OutcomeUnknown { command_id: command_id.clone(), key_id, reason })
    });
    let ended = ended.map_err(Problem::from);
    let code = ended.as_ref().map_or_else(|problem| problem.code.code, |_| "ok");
    app.meters.command(name, code, started.elapsed());
    ended
}

/// Names the position that a write made.
pub(crate) fn at_position(mut response: Response, position: Position) -> Response {
    response.headers_mut().insert(POSITION, HeaderValue::from(position.get()));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn if_match_is_one_revision_in_quotes() {
        let of = |text: &'static str| {
            if_match(&HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(text))]))
        };
        assert_eq!(of("\"3\"").unwrap(), Some(Revision::new(3)));
        assert_eq!(of("*").unwrap(), None);
        assert_eq!(etag(Revision::new(3)), "\"3\"");
        for bad in ["3", "", "\"\"", "\"x\"", "\"0\"", "W/\"3\"", "\"3\", \"4\"", "\"-1\""] {
            assert_eq!(of(bad).unwrap_err().code.code, "bad_header", "{bad}");
        }
    }

    #[test]
    fn only_a_valid_traceparent_is_kept() {
        let of = |text: &'static str| {
            trace_context(&HeaderMap::from_iter([(TRACEPARENT, HeaderValue::from_static(text))]))
        };
        let good = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
        assert_eq!(of(good).as_deref(), Some(good));
        for bad in [
            "",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
        ] {
            assert_eq!(of(bad), None, "{bad}");
        }
    }
}
