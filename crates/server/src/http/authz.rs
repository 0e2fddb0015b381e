//! `/v1/authz`: a gateway asks whether a request may pass, and whom its service is to be told it comes from.

mod gateway;

use std::fmt::Write as _;

use ::verify::{HolderRef, Verdict, VerifyRequest};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use domain::{Scope, ScopeSet, TenantId};

use crate::http::auth::{Asker, Bearer, bearer};
use crate::http::authz::gateway::{Gateway, OfTenant};
use crate::http::codes;
use crate::http::extract::Shared;
use crate::http::opened::name_of;
use crate::http::problem::Problem;
use crate::http::verify::{Bounds, judge, service_of};

const API_KEY: HeaderName = HeaderName::from_static("x-api-key");
/// Where the status of an answer is that a gateway would have made something else of.
const STATUS: HeaderName = HeaderName::from_static("x-rescind-status");

const KEY_ID: HeaderName = HeaderName::from_static("x-rescind-key-id");
const TENANT: HeaderName = HeaderName::from_static("x-rescind-tenant");
const OWNER: HeaderName = HeaderName::from_static("x-rescind-owner");
const SCOPES: HeaderName = HeaderName::from_static("x-rescind-scopes");
const ENVIRONMENT: HeaderName = HeaderName::from_static("x-rescind-environment");

/// Says whether a request may pass.
#[utoipa::path(
    get, path = "/v1/authz", tag = "verify", operation_id = "authorize",
    description = "For gateways, with any method; docs/gateways.md has their configuration. The key is in `Authorization: Bearer` or `X-Api-Key`.",
    params(("X-Rescind-Gateway" = String, Header, description = "Set by the gateway: its operator key (`verify`), then `; tenant=` (a tenant, or `*`), and if wanted `; scope=`, `; client=` (the client's address, or `x-real-ip`), `; service=`, `; closed=403`")),
    security(("holder" = [])),
    responses((status = 200, description = "It may pass", headers(
        ("X-Rescind-Key-Id" = String, description = "Which key"),
        ("X-Rescind-Tenant" = String, description = "Its tenant"),
        ("X-Rescind-Owner" = String, description = "Whom it belongs to, percent-encoded; empty when that is sealed"),
        ("X-Rescind-Scopes" = String, description = "What it may do, separated by spaces; may be empty"),
        ("X-Rescind-Environment" = String, description = "`live` or `test`"),
    ))),
)]
pub(crate) async fn ask(State(app): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let gateway = Gateway::of(&parts.headers)?;
    let Asker(operator) = Asker::holding(gateway.key, &parts, &app).map_err(|why| refused(&why))?;
    let bounds = Bounds::of(&operator).map_err(|why| refused(&why))?;
    let tenant = tenant_of(&gateway, &bounds)?;
    let token = presented(&parts)?;
    let own_service;
    let service = match gateway.service {
        Some(service) => service,
        None => {
            own_service = service_of(&app, &operator);
            own_service.as_str()
        }
    };
    let scope = gateway.scope.as_ref();
    let request = VerifyRequest { token, tenant, scope, network: gateway.client };
    let judged = judge(&app, &bounds, service, &request);
    match (&judged.holder, judged.verdict) {
        (Some(holder), Verdict::Valid) => {
            let name = name_of(&app, holder.tenant(), holder.owner()).await;
            identity(holder, name.as_deref())
        }
        (_, verdict) => Err(denied(verdict, scope)),
    }
}

/// The same for gateways that put the path of the request behind the address they are given. What stands there is the
/// client's, so it says nothing here.
#[utoipa::path(
    get, path = "/v1/authz/{rest}", tag = "verify", operation_id = "authorize_path",
    description = "As `/v1/authz`, for gateways that append the path of the request, which is not looked at.",
    params(
        ("rest" = String, Path, description = "Any path"),
        ("X-Rescind-Gateway" = String, Header, description = "As for `/v1/authz`"),
    ),
    security(("holder" = [])),
    responses((status = 200, description = "It may pass; headers as for `/v1/authz`")),
)]
pub(crate) async fn ask_below(state: State<Shared>, request: Request) -> Result<Response, Problem> {
    ask(state, request).await
}

/// For a gateway that knows only 401 and 403 and makes an error of its own of all else: with `closed=403` it is told 403,
/// and the status in a header. Whoever forges the wish is refused in another form, no more.
pub(crate) async fn closed_as_403(request: Request, next: Next) -> Response {
    let wanted = gateway::wants_403(request.headers());
    let mut response = next.run(request).await;
    let status = response.status();
    if wanted && matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        *response.status_mut() = StatusCode::FORBIDDEN;
        response.headers_mut().insert(STATUS, HeaderValue::from(status.as_u16()));
    }
    response
}

/// Whose keys count.
fn tenant_of<'a>(gateway: &'a Gateway<'_>, bounds: &'a Bounds<'_>) -> Result<Option<&'a TenantId>, Problem> {
    match &gateway.tenant {
        Some(OfTenant::Named(tenant)) if bounds.permit(tenant) => Ok(Some(tenant)),
        Some(OfTenant::Named(tenant)) => {
            let words = format!("the gateway's operator needs verify, or {tenant}/verify");
            Err(Problem::new(&codes::GATEWAY_REFUSED).detail(words))
        }
        Some(OfTenant::Any) => Ok(bounds.only()),
        None => match bounds.only() {
            Some(only) => Ok(Some(only)),
            None => Err(gateway::unfit(
                "it names no tenant; tenant=* stands for all that the operator may ask about",
            )),
        },
    }
}

/// The one key that a request presents. Of two the service behind the gateway might take the other.
fn presented(parts: &Parts) -> Result<&str, Problem> {
    let mut api_keys = parts.headers.get_all(API_KEY).iter();
    let api_key = match (api_keys.next(), api_keys.next()) {
        (None, _) => None,
        (Some(value), None) => Some(value.to_str().map_err(|_| Problem::new(&codes::KEY_MALFORMED))?.trim()),
        (Some(_), Some(_)) => return Err(two_keys()),
    };
    match (bearer(&parts.headers), api_key) {
        (Bearer::Token(token), None) => Ok(token),
        (Bearer::Token(_), Some(_)) => Err(two_keys()),
        (Bearer::Missing | Bearer::Malformed, Some(key)) => Ok(key),
        (Bearer::Missing, None) => Err(Problem::new(&codes::KEY_MISSING)),
        (Bearer::Malformed, None) => Err(Problem::new(&codes::KEY_MALFORMED)),
    }
}

fn two_keys() -> Problem {
    Problem::new(&codes::KEY_MALFORMED).detail("more than one key was presented")
}

/// What is wrong with the gateway itself. Never 401 or 403, which would blame the client's key.
fn refused(why: &Problem) -> Problem {
    Problem::new(&codes::GATEWAY_REFUSED).detail(format!("{}: {}", why.code.code, why.said()))
}

fn denied(verdict: Verdict, scope: Option<&Scope>) -> Problem {
    match verdict {
        Verdict::Malformed => Problem::new(&codes::KEY_MALFORMED),
        // A valid key has a holder; without one it is nobody's.
        Verdict::Unknown | Verdict::Valid => Problem::new(&codes::KEY_UNKNOWN),
        Verdict::Revoked
        | Verdict::Recalled
        | Verdict::Quarantined
        | Verdict::Expired
        | Verdict::Suspended
        | Verdict::TenantClosed => {
            Problem::new(&codes::KEY_REFUSED).detail(format!("the verdict is {verdict}"))
        }
        Verdict::Stale => Problem::new(&codes::STALE).retry(),
        Verdict::NetworkDenied => Problem::new(&codes::KEY_NETWORK_DENIED),
        Verdict::ScopeDenied => {
            let wanted = scope.map(Scope::as_str).unwrap_or_default();
            Problem::new(&codes::KEY_SCOPE_DENIED).detail(format!("the scope is {wanted}"))
        }
    }
}

/// Every header, always: a gateway may let one that the client forged pass where we leave ours out.
fn identity(holder: &HolderRef<'_>, owner: Option<&str>) -> Result<Response, Problem> {
    let owner = owner.map(percent_encoded).unwrap_or_default();
    let told = [
        (KEY_ID, holder.key_id().to_string()),
        (TENANT, holder.tenant().to_string()),
        (OWNER, owner),
        (SCOPES, spaced(holder.scopes())),
        (ENVIRONMENT, holder.environment().as_str().to_owned()),
    ];
    let mut headers = HeaderMap::with_capacity(8);
    for (name, value) in told {
        let value = HeaderValue::from_maybe_shared(bytes::Bytes::from(value));
        headers.insert(name, value.map_err(|_| Problem::new(&codes::INTERNAL))?);
    }
    Ok((StatusCode::OK, headers).into_response())
}

fn spaced(scopes: &ScopeSet) -> String {
    let mut text = String::new();
    for scope in scopes.iter() {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(scope.as_str());
    }
    text
}

/// Names may be in any script, headers may not.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~@".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing into a String cannot fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}
