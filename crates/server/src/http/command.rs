//! What every write has in common: command id, trace, actor, the time it may take, and `Rescind-Position` on its answer.

use std::time::Duration;

use application::{CommandError, Request};
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::Response;
use domain::{Actor, Cause, CommandId, Envelope, KeyId, Personal, PersonalText, Position};
use tokio::time::{Instant, timeout};

use crate::config::Role;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::Shared;
use crate::http::problem::Problem;

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
        Ok(Self { command_id, may_be_repeat, trace_context: trace_context(&parts.headers) })
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
        let network = operator.network.and_then(|address| PersonalText::name(&address.to_string()).ok());
        Request {
            actor: Actor::Operator { key_id: operator.key_id, network: network.map(Personal::Plain) },
            cause: Cause::Command,
            command_id: self.command_id,
            may_be_repeat: self.may_be_repeat,
            trace_context: self.trace_context,
        }
    }
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
