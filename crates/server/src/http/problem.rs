//! Errors as answers: RFC 9457 problem documents, and the one place where refusals and failures become status and words.

use std::borrow::Cow;

use application::CommandError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{CommandId, KeyId, Refusal};
use projection::QueryError;
use serde::Serialize;
use utoipa::ToSchema;

use crate::http::codes::{self, Code};

/// Seconds after which a client may try again what was away or too much.
const RETRY_AFTER: u32 = 1;

/// The media type of a problem document.
pub(crate) const CONTENT_TYPE: &str = "application/problem+json";

/// An error on its way out. The edge writes it, with the request id that only it knows.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    pub(crate) code: &'static Code,
    /// What happened in this case; never holds what a client sent, but for names and numbers known to be no secret.
    detail: Option<Cow<'static, str>>,
    command_id: Option<CommandId>,
    key_id: Option<KeyId>,
    retry_after: Option<u32>,
}

/// The document, as RFC 9457 and the OpenAPI page have it.
#[derive(Serialize, ToSchema)]
#[schema(as = Problem)]
pub(crate) struct ProblemDocument<'a> {
    /// `urn:rescind:problem:` and the code.
    #[serde(rename = "type")]
    kind: String,
    /// What it says, in few words.
    title: &'a str,
    /// The HTTP status.
    status: u16,
    /// Stable; the catalogue is in docs/errors.md.
    code: &'a str,
    /// What happened in this case.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    /// What to do.
    remedy: &'a str,
    /// The id to ask again with, where the outcome is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    command_id: Option<&'a str>,
    /// The key that it is about, or that may exist.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// Finds the request in the server's logs.
    request_id: &'a str,
}

impl Problem {
    pub(crate) const fn new(code: &'static Code) -> Self {
        Self { code, detail: None, command_id: None, key_id: None, retry_after: None }
    }

    pub(crate) fn detail(mut self, detail: impl Into<Cow<'static, str>>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    pub(crate) fn command(mut self, id: &CommandId) -> Self {
        self.command_id = Some(id.clone());
        self
    }

    pub(crate) const fn key(mut self, id: KeyId) -> Self {
        self.key_id = Some(id);
        self
    }

    pub(crate) const fn retry(mut self) -> Self {
        self.retry_after = Some(RETRY_AFTER);
        self
    }

    /// The detail, for logs.
    pub(crate) fn said(&self) -> &str {
        self.detail.as_deref().unwrap_or(self.code.title)
    }

    /// The finished answer.
    pub(crate) fn write(&self, request_id: &str) -> Response {
        let document = ProblemDocument {
            kind: format!("urn:rescind:problem:{}", self.code.code),
            title: self.code.title,
            status: self.code.status,
            code: self.code.code,
            detail: self.detail.as_deref(),
            remedy: self.code.remedy,
            command_id: self.command_id.as_ref().map(CommandId::as_str),
            key_id: self.key_id.map(|id| id.to_string()),
            request_id,
        };
        let body = serde_json::to_vec(&document).expect("texts and numbers always serialise");
        let status = StatusCode::from_u16(self.code.status).expect("the catalogue holds real statuses");
        let mut response = (status, body).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, self.challenge());
        }
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    /// RFC 6750: no error is named where no key was presented.
    fn challenge(&self) -> HeaderValue {
        HeaderValue::from_static(if *self.code == codes::OPERATOR_MISSING {
            "Bearer realm=\"rescind\""
        } else {
            "Bearer realm=\"rescind\", error=\"invalid_token\""
        })
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.code.status).expect("the catalogue holds real statuses");
        let mut response = status.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

impl From<CommandError> for Problem {
    fn from(error: CommandError) -> Self {
        match error {
            CommandError::Refused(refusal) => refused(&refusal),
            CommandError::NotFound => Self::new(&codes::NOT_FOUND),
            CommandError::CommandIdReused => Self::new(&codes::COMMAND_ID_REUSED),
            CommandError::Unavailable { reason } => Self::new(&codes::UNAVAILABLE).detail(reason).retry(),
            CommandError::ClockSkew { skew_ms } => {
                Self::new(&codes::CLOCK_SKEW).detail(format!("the difference is {skew_ms} ms")).retry()
            }
            CommandError::OutcomeUnknown { command_id, key_id, reason } => {
                let problem = Self::new(&codes::OUTCOME_UNKNOWN).detail(reason).command(&command_id);
                Self { key_id, ..problem }
            }
        }
    }
}

/// The answer to a refusal: always 409, always its own code.
fn refused(refusal: &Refusal) -> Problem {
    let code = match refusal {
        Refusal::TenantAlreadyOpen => &codes::TENANT_ALREADY_OPEN,
        Refusal::TenantClosed => &codes::TENANT_CLOSED,
        Refusal::KeyAlreadyIssued => &codes::KEY_ALREADY_ISSUED,
        Refusal::ExpiryInPast { .. } => &codes::EXPIRY_IN_PAST,
        Refusal::ScopeNotHeld { scope } => {
            return Problem::new(&codes::SCOPE_NOT_HELD).detail(format!("the scope is {scope}"));
        }
        Refusal::AlreadyRevoked => &codes::ALREADY_REVOKED,
        Refusal::AlreadyExpired => &codes::ALREADY_EXPIRED,
        Refusal::NotYetExpired => &codes::NOT_YET_EXPIRED,
        Refusal::AlreadyRecalled => &codes::ALREADY_RECALLED,
        Refusal::KeyQuarantined => &codes::KEY_QUARANTINED,
        Refusal::LastOperator => &codes::LAST_OPERATOR,
    };
    Problem::new(code)
}

impl From<QueryError> for Problem {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::NotReady { view, applied, head } => Self::new(&codes::VIEW_NOT_READY)
                .detail(format!("the view {view} is at position {applied} of {head}"))
                .retry(),
            QueryError::OtherCursor => {
                Self::new(&codes::BAD_QUERY).detail("cursor: it comes from a list with other filters")
            }
            QueryError::Failed { view, .. } => {
                tracing::warn!(view, error = %error, "a view could not answer");
                Self::new(&codes::VIEW_FAILED).detail(format!("the view is {view}")).retry()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_keeps_its_code_and_is_a_conflict() {
        for refusal in [
            Refusal::TenantAlreadyOpen,
            Refusal::TenantClosed,
            Refusal::KeyAlreadyIssued,
            Refusal::ExpiryInPast { expires_at: domain::Timestamp::default() },
            Refusal::ScopeNotHeld { scope: "campaigns:send".parse().unwrap() },
            Refusal::AlreadyRevoked,
            Refusal::AlreadyExpired,
            Refusal::NotYetExpired,
            Refusal::AlreadyRecalled,
            Refusal::KeyQuarantined,
            Refusal::LastOperator,
        ] {
            let problem = refused(&refusal);
            assert_eq!((problem.code.code, problem.code.status), (refusal.code(), 409));
        }
    }
}
