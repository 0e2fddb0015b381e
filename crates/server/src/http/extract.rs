//! Bodies, queries and paths as typed values; whatever does not fit becomes a problem that names the place, never the value.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Bytes, to_bytes};
use axum::extract::{ConnectInfo, FromRequest, FromRequestParts, RawPathParams, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use domain::{KeyId, TenantId};
use projection::MAX_PAGE;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::http::app::App;
use crate::http::codes;
use crate::http::problem::Problem;

/// The largest body: a batch of verifies fits, and memory for all requests at the gates stays below 256 MiB.
pub(crate) const BODY_MAX: usize = 64 * 1024;

/// How long a body may take to arrive.
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// Rows of a page where the client does not say.
const PAGE: usize = 50;

/// The longest field name shown back to a client; shorter than a key, so that none is shown by mistake.
const NAME_MAX: usize = 32;

/// A body's bytes, known to be said to be JSON.
pub(crate) struct JsonBytes(pub(crate) Bytes);

impl<S: Send + Sync> FromRequest<S> for JsonBytes {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        read_json(request, BODY_MAX).await.map(Self)
    }
}

/// A body that is said to be JSON and no larger than the route takes.
pub(crate) async fn read_json(request: Request, max: usize) -> Result<Bytes, Problem> {
    check_headers(request.headers(), max)?;
    // Whoever sends more than announced or without announcing is stopped while reading.
    match timeout(BODY_WITHIN, to_bytes(request.into_body(), max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Err(_elapsed) => Err(Problem::new(&codes::REQUEST_TIMEOUT)),
        Ok(Err(error)) if is_too_large(&error) => Err(Problem::new(&codes::BODY_TOO_LARGE)),
        Ok(Err(_)) => Err(Problem::new(&codes::MALFORMED_JSON).detail("the body broke off")),
    }
}

fn is_too_large(error: &axum::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        if error.to_string().contains("length limit exceeded") {
            return true;
        }
        source = error.source();
    }
    false
}

fn check_headers(headers: &HeaderMap, max: usize) -> Result<(), Problem> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    if text(header::CONTENT_ENCODING).is_some_and(|encoding| !encoding.eq_ignore_ascii_case("identity")) {
        return Err(Problem::new(&codes::UNSUPPORTED_ENCODING));
    }
    let media_type = text(header::CONTENT_TYPE).unwrap_or_default();
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("application/json") {
        return Err(Problem::new(&codes::UNSUPPORTED_MEDIA_TYPE));
    }
    let announced = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
    if announced.is_some_and(|length| length > max as u64) {
        return Err(Problem::new(&codes::BODY_TOO_LARGE));
    }
    Ok(())
}

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let JsonBytes(bytes) = JsonBytes::from_request(request, state).await?;
        parse_json(&bytes).map(Self)
    }
}

/// Reads JSON that may borrow from its bytes.
pub(crate) fn parse_json<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        json_problem(&path, error.inner())
    })?;
    reader.end().map_err(|error| json_problem("", &error))?;
    Ok(value)
}

fn json_problem(path: &str, error: &serde_json::Error) -> Problem {
    if !error.is_data() {
        let at = format!("it breaks at line {} column {}", error.line(), error.column());
        return Problem::new(&codes::MALFORMED_JSON).detail(at);
    }
    Problem::new(&codes::INVALID_VALUE).detail(describe(path, &error.to_string()))
}

/// What serde says without what the client sent: its messages quote values, and a value may be a key.
fn describe(path: &str, message: &str) -> String {
    let quoted = |prefix: &str| message.strip_prefix(prefix)?.split('`').next();
    let place = match path {
        "" | "." => "the body",
        path if path.split(['.', '[']).all(is_plain) => path,
        _ => "a field",
    };
    if let Some(name) = quoted("missing field `") {
        return format!("the field {name} is missing");
    }
    if let Some(name) = quoted("duplicate field `") {
        return format!("the field {name} is there twice");
    }
    if let Some(name) = quoted("unknown field `") {
        let shown = if is_plain(name) { name } else { "(a name that is not shown)" };
        return format!("there is no field {shown}");
    }
    match message.rsplit_once(", expected ") {
        Some((_, expected)) => {
            let expected = expected.rsplit_once(" at line ").map_or(expected, |(expected, _)| expected);
            format!("{place}: it has to be {}", in_json(expected))
        }
        None => format!("{place} is not valid"),
    }
}

/// What serde expects, in the words of who writes JSON rather than Rust.
fn in_json(expected: &str) -> Cow<'_, str> {
    let below = |max: u64| Cow::Owned(format!("a whole number from 0 to {max}"));
    match expected {
        "u8" => below(u8::MAX.into()),
        "u16" => below(u16::MAX.into()),
        "u32" => below(u32::MAX.into()),
        "u64" | "usize" => "a whole number, 0 or more".into(),
        "a boolean" => "true or false".into(),
        "a borrowed string" => "a string".into(),
        // With how many elements a tuple would have, which no route wants.
        _ if expected == "a map" || expected.starts_with("struct ") => "an object".into(),
        _ if expected == "a sequence" || expected.starts_with("tuple ") => "a list".into(),
        _ if expected.starts_with("enum ") => "one of the names in /openapi.json".into(),
        other => other.into(),
    }
}

fn is_plain(name: &str) -> bool {
    name.len() <= NAME_MAX
        && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_]".contains(&b))
}

/// A query string.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Params<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        axum::extract::Query::try_from_uri(&parts.uri).map(|query| Self(query.0)).map_err(|rejection| {
            let mut message = rejection.body_text();
            let known = "Failed to deserialize query string: ";
            if let Some(rest) = message.strip_prefix(known) {
                message = rest.to_owned();
            }
            let (path, message) =
                message.split_once(": ").filter(|(path, _)| is_plain(path)).unwrap_or(("", &message));
            let described = describe(path, message);
            Problem::new(&codes::BAD_QUERY).detail(described)
        })
    }
}

/// Reads one query parameter.
pub(crate) fn parameter<T: FromStr<Err: Display>>(
    name: &str,
    text: Option<&str>,
) -> Result<Option<T>, Problem> {
    let parsed = text.map(str::parse).transpose();
    parsed.map_err(|error| Problem::new(&codes::BAD_QUERY).detail(format!("{name}: {error}")))
}

/// How many rows a page may have.
pub(crate) fn page_limit(limit: Option<usize>) -> Result<usize, Problem> {
    let limit = limit.unwrap_or(PAGE);
    if (1..=MAX_PAGE).contains(&limit) {
        return Ok(limit);
    }
    Err(Problem::new(&codes::BAD_QUERY).detail(format!("limit: it is 1 to {MAX_PAGE}, not {limit}")))
}

/// One instant in a query.
pub(crate) fn instant(name: &str, text: Option<&str>) -> Result<Option<domain::Timestamp>, Problem> {
    let parsed = text.map(wire::parse_rfc3339).transpose();
    parsed.map_err(|error| Problem::new(&codes::BAD_QUERY).detail(format!("{name}: {error}")))
}

/// A value of a body that the domain does not take.
pub(crate) fn invalid(field: &str, error: &impl Display) -> Problem {
    Problem::new(&codes::INVALID_VALUE).detail(format!("{field}: {error}"))
}

/// Tells a member that is null from one that is absent: only who names it means it.
pub(crate) fn given<'de, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<String>>, D::Error> {
    <Option<String> as serde::Deserialize>::deserialize(deserializer).map(Some)
}

/// The tenant in the path. What is no tenant id names no tenant.
pub(crate) struct InTenant(pub(crate) TenantId);

impl<S: Send + Sync> FromRequestParts<S> for InTenant {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        path_parameter(parts, state, "tenant").await.map(Self)
    }
}

/// The key in the path.
pub(crate) struct OfKey(pub(crate) TenantId, pub(crate) KeyId);

impl<S: Send + Sync> FromRequestParts<S> for OfKey {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let tenant = path_parameter(parts, state, "tenant").await?;
        Ok(Self(tenant, path_parameter(parts, state, "key_id").await?))
    }
}

/// The policy's name in the path, as it was written.
pub(crate) struct OfPolicy(pub(crate) TenantId, pub(crate) String);

impl<S: Send + Sync> FromRequestParts<S> for OfPolicy {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let tenant = path_parameter(parts, state, "tenant").await?;
        Ok(Self(tenant, path_parameter(parts, state, "name").await?))
    }
}

async fn path_parameter<T: FromStr, S: Send + Sync>(
    parts: &mut Parts,
    state: &S,
    name: &str,
) -> Result<T, Problem> {
    let not_found = || Problem::new(&codes::NOT_FOUND);
    let parameters = RawPathParams::from_request_parts(parts, state).await.map_err(|_| not_found())?;
    let found = parameters.iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.parse().ok());
    found.ok_or_else(not_found)
}

/// Where a request comes from; none only where no connection is (tests).
pub(crate) fn peer(parts: &Parts) -> Option<IpAddr> {
    parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical())
}

/// Every handler's view of the node.
pub(crate) type Shared = Arc<App>;

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only the errors matter")]
    struct Sample {
        owner: String,
        limit: Option<u8>,
        labels: Option<std::collections::BTreeMap<String, String>>,
    }

    #[track_caller]
    fn check(body: &str, code: &str, words: &str) {
        let problem = parse_json::<Sample>(body.as_bytes()).map(|_| ()).unwrap_err();
        assert_eq!(problem.code.code, code, "{body}");
        assert!(problem.said().contains(words), "{body}: {}", problem.said());
        assert!(!problem.said().contains("rsk_"), "{}", problem.said());
    }

    #[test]
    fn what_does_not_fit_is_named_without_its_value() {
        check("{", "malformed_json", "line 1");
        check("", "malformed_json", "line 1");
        check(r#"{"owner":"a"} x"#, "malformed_json", "line 1");
        check("{}", "invalid_value", "the field owner is missing");
        check(r#"{"owner":1}"#, "invalid_value", "owner: it has to be a string");
        check(r#"{"owner":"a","limit":"rsk_live_x, expected y"}"#, "invalid_value", "limit");
        check(
            r#"{"owner":"a","limit":300}"#,
            "invalid_value",
            "limit: it has to be a whole number from 0 to 255",
        );
        check(r#"{"owner":"a","labels":[]}"#, "invalid_value", "labels: it has to be an object");
        for body in ["[]", "7", "null", r#""text""#] {
            check(body, "invalid_value", "the body: it has to be an object");
        }
        check(r#"{"owner":"a","rsk_live_01JDA7W5W6M4Q0T3S8V2N9X1YZ0123":1}"#, "invalid_value", "not shown");
        check(r#"{"owner":"a","colour":1}"#, "invalid_value", "no field colour");
        check(r#"{"owner":"a","labels":{"rsk_live_X":5}}"#, "invalid_value", "a field");
    }
}
