//! Errors as answers: RFC 9457 problem documents, and the one place where refusals and failures become status and words.

use std::borrow::Cow;

use application::CommandError;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{CommandId, KeyId, Refusal};
use projection::{PastError, QueryError};
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
        HeaderValue::from_static(
            if *self.code == codes::OPERATOR_MISSING || *self.code == codes::KEY_MISSING {
                "Bearer realm=\"rescind\""
            } else {
                "Bearer realm=\"rescind\", error=\"invalid_token\""
            },
        )
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
            CommandError::RevisionMismatch { actual } => {
                Self::new(&codes::REVISION_MISMATCH).detail(format!("the key is at revision {actual}"))
            }
            CommandError::PreviewInvalid => Self::new(&codes::PREVIEW_INVALID),
            CommandError::PreviewOutdated { count, sample } => {
                let sample: Vec<_> = sample.iter().map(ToString::to_string).collect();
                let words = format!("{count} more than were shown, such as {}", sample.join(", "));
                Self::new(&codes::PREVIEW_OUTDATED).detail(words)
            }
            CommandError::RotationOvertaken { successor, position } => {
                let words =
                    format!("the rotation stands at position {position}; the successor is {successor}");
                Self::new(&codes::ROTATION_OVERTAKEN).detail(words)
            }
            CommandError::Unavailable { reason } => Self::new(&codes::UNAVAILABLE).detail(reason).retry(),
            CommandError::SealMissing { .. } => {
                Self::new(&codes::SEAL_MISSING).detail(error.to_string()).retry()
            }
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

/// The answer to a refusal: its own code, and what it is about.
fn refused(refusal: &Refusal) -> Problem {
    let problem = Problem::new(code_of(refusal));
    match refusal {
        Refusal::ScopeNotHeld { scope } => problem.detail(format!("the scope is {scope}")),
        Refusal::PolicyDenies { policy, rule } => {
            problem.detail(format!("the policy is {policy}, its rule {rule}"))
        }
        Refusal::AlreadyRotating { successor }
        | Refusal::SuccessorUnused { successor }
        | Refusal::SuccessorEnded { successor } => problem.detail(format!("the successor is {successor}")),
        Refusal::OwnerHasLiveKeys { count, sample } => {
            let sample: Vec<_> = sample.iter().map(ToString::to_string).collect();
            problem.detail(format!("{count}: {}", sample.join(", ")))
        }
        Refusal::NoSuchPolicy { policy } => problem.detail(format!("the policy asked for is {policy}")),
        _ => problem,
    }
}

const fn code_of(refusal: &Refusal) -> &'static Code {
    match refusal {
        Refusal::TenantAlreadyOpen => &codes::TENANT_ALREADY_OPEN,
        Refusal::TenantClosed => &codes::TENANT_CLOSED,
        Refusal::KeyAlreadyIssued => &codes::KEY_ALREADY_ISSUED,
        Refusal::ExpiryInPast { .. } => &codes::EXPIRY_IN_PAST,
        Refusal::ScopeNotHeld { .. } => &codes::SCOPE_NOT_HELD,
        Refusal::AlreadyRevoked => &codes::ALREADY_REVOKED,
        Refusal::AlreadyExpired => &codes::ALREADY_EXPIRED,
        Refusal::NotYetExpired => &codes::NOT_YET_EXPIRED,
        Refusal::AlreadyRecalled => &codes::ALREADY_RECALLED,
        Refusal::KeyQuarantined => &codes::KEY_QUARANTINED,
        Refusal::LastOperator => &codes::LAST_OPERATOR,
        Refusal::Unchanged => &codes::UNCHANGED,
        Refusal::WideningNeedsIssue => &codes::WIDENING_NEEDS_ISSUE,
        Refusal::PolicyDenies { .. } => &codes::POLICY_DENIES,
        Refusal::AlreadySuspended => &codes::ALREADY_SUSPENDED,
        Refusal::SuspensionInPast { .. } => &codes::SUSPENSION_IN_PAST,
        Refusal::RotationInPast { .. } => &codes::ROTATION_IN_PAST,
        Refusal::NotSuspended => &codes::NOT_SUSPENDED,
        Refusal::SuspensionNotOver => &codes::SUSPENSION_NOT_OVER,
        Refusal::KeySuspended => &codes::KEY_SUSPENDED,
        Refusal::AlreadyRotating { .. } => &codes::ALREADY_ROTATING,
        Refusal::NotRotating => &codes::NOT_ROTATING,
        Refusal::NotASuccessor => &codes::NOT_A_SUCCESSOR,
        Refusal::AlreadyAdopted => &codes::ALREADY_ADOPTED,
        Refusal::SuccessorUnused { .. } => &codes::SUCCESSOR_UNUSED,
        Refusal::SuccessorEnded { .. } => &codes::SUCCESSOR_ENDED,
        Refusal::RotationNotDue => &codes::ROTATION_NOT_DUE,
        Refusal::WarningNotDue => &codes::WARNING_NOT_DUE,
        Refusal::NothingMatches => &codes::NOTHING_MATCHES,
        Refusal::TooManyPolicies => &codes::TOO_MANY_POLICIES,
        Refusal::NoSuchPolicy { .. } => &codes::NO_SUCH_POLICY,
        Refusal::NotForOperators => &codes::NOT_FOR_OPERATORS,
        Refusal::OwnerHasLiveKeys { .. } => &codes::OWNER_HAS_LIVE_KEYS,
        Refusal::NoSuchOwner => &codes::NO_SUCH_OWNER,
        Refusal::AlreadyErased => &codes::ALREADY_ERASED,
    }
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

impl From<PastError> for Problem {
    fn from(error: PastError) -> Self {
        match error {
            PastError::Log(error) => Self::new(&codes::UNAVAILABLE).detail(error.to_string()).retry(),
            PastError::View(error) => error.into(),
            PastError::TooMuch { .. } => Self::new(&codes::SPAN_TOO_LARGE).detail(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_keeps_its_code_and_is_a_conflict() {
        let (key, policy) = (KeyId::from_u128(1), "lists".parse().unwrap());
        let at = domain::Timestamp::default();
        for refusal in [
            Refusal::TenantAlreadyOpen,
            Refusal::TenantClosed,
            Refusal::KeyAlreadyIssued,
            Refusal::ExpiryInPast { expires_at: at },
            Refusal::ScopeNotHeld { scope: "campaigns:send".parse().unwrap() },
            Refusal::AlreadyRevoked,
            Refusal::AlreadyExpired,
            Refusal::NotYetExpired,
            Refusal::AlreadyRecalled,
            Refusal::KeyQuarantined,
            Refusal::LastOperator,
            Refusal::Unchanged,
            Refusal::WideningNeedsIssue,
            Refusal::PolicyDenies { policy, rule: "longest_lifetime" },
            Refusal::AlreadySuspended,
            Refusal::SuspensionInPast { until: at },
            Refusal::RotationInPast { at },
            Refusal::NotSuspended,
            Refusal::SuspensionNotOver,
            Refusal::KeySuspended,
            Refusal::AlreadyRotating { successor: key },
            Refusal::NotRotating,
            Refusal::NotASuccessor,
            Refusal::AlreadyAdopted,
            Refusal::SuccessorUnused { successor: key },
            Refusal::SuccessorEnded { successor: key },
            Refusal::RotationNotDue,
            Refusal::WarningNotDue,
            Refusal::NothingMatches,
            Refusal::TooManyPolicies,
            Refusal::NoSuchPolicy { policy: "lists".parse().unwrap() },
            Refusal::NotForOperators,
            Refusal::OwnerHasLiveKeys { count: 1, sample: vec![key] },
            Refusal::NoSuchOwner,
            Refusal::AlreadyErased,
        ] {
            let problem = refused(&refusal);
            // Who may not widen lacks a scope; all else is about the key.
            let status = if refusal == Refusal::WideningNeedsIssue { 403 } else { 409 };
            assert_eq!((problem.code.code, problem.code.status), (refusal.code(), status));
        }
    }
}
