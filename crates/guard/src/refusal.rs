//! What a client is told that may not pass: `application/problem+json`, in the words of the server's own gateway route.

use domain::Scope;
use hyper::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use hyper::{Response, StatusCode};
use serde_json::json;
use verify::Verdict;

const MISSING: &str = "key_missing";
const SCOPE_DENIED: &str = "key_scope_denied";

/// Why a request does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    /// Told only to who presented the full secret.
    verdict: Option<Verdict>,
}

impl Refusal {
    const fn new(status: StatusCode, code: &'static str, title: &'static str) -> Self {
        Self { status, code, title, verdict: None }
    }

    /// No key at all.
    pub(crate) const fn missing() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, MISSING, "No key was presented")
    }

    /// A mistake of the service: it asks for the holder of a key where nobody asks for a key.
    #[cfg(feature = "axum")]
    pub(crate) const fn unguarded() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "No guard stands before this route")
    }

    pub(crate) const fn of(verdict: Verdict) -> Self {
        let unauthorized = StatusCode::UNAUTHORIZED;
        match verdict {
            Verdict::Malformed => Self::new(unauthorized, "key_malformed", "What was presented is not a key"),
            // A valid key has a holder; without one it is nobody's.
            Verdict::Unknown | Verdict::Valid => {
                Self::new(unauthorized, "key_unknown", "What was presented is not the secret of any key")
            }
            Verdict::Revoked
            | Verdict::Recalled
            | Verdict::Quarantined
            | Verdict::Expired
            | Verdict::Suspended
            | Verdict::TenantClosed => Self {
                verdict: Some(verdict),
                ..Self::new(unauthorized, "key_refused", "The key presented may not be used")
            },
            Verdict::Stale => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "stale",
                "This service cannot prove that it has heard every revocation",
            ),
            Verdict::NetworkDenied => Self::new(
                StatusCode::FORBIDDEN,
                "key_network_denied",
                "The key may not be used from this network",
            ),
            Verdict::ScopeDenied => Self::new(StatusCode::FORBIDDEN, SCOPE_DENIED, "The key may not do this"),
        }
    }

    pub(crate) fn into_response<R: From<String>>(self, wanted: Option<&Scope>) -> Response<R> {
        let mut problem = json!({
            "type": format!("urn:rescind:problem:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "code": self.code,
        });
        if let Some(verdict) = self.verdict {
            problem["detail"] = format!("the verdict is {verdict}").into();
        } else if let Some(wanted) = wanted.filter(|_| self.code == SCOPE_DENIED) {
            problem["detail"] = format!("the scope is {wanted}").into();
        }
        let mut response = Response::new(R::from(problem.to_string()));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self.status {
            StatusCode::UNAUTHORIZED => {
                headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(self.challenge()));
            }
            StatusCode::SERVICE_UNAVAILABLE => {
                headers.insert(RETRY_AFTER, HeaderValue::from_static("1"));
            }
            _ => {}
        }
        response
    }

    /// RFC 6750: no error is named where no key was presented.
    fn challenge(&self) -> &'static str {
        if self.code == MISSING { "Bearer" } else { "Bearer error=\"invalid_token\"" }
    }
}
