//! `POST /v1/self/revoke`: whoever holds a key may end it; no operator is needed.

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::header;
use axum::response::Response;
use domain::{KeyId, ParsedKey, RevokeKey, RevokeReason, TenantId};
use serde::Deserialize;
use utoipa::ToSchema;
use verify::VerifyRequest;

use crate::http::app::App;
use crate::http::auth::{Bearer, bearer};
use crate::http::codes;
use crate::http::command::{Meta, about, outcome};
use crate::http::extract::{JsonBytes, Params, Shared, invalid, parse_json, peer};
use crate::http::problem::Problem;
use crate::http::receipts::WaitQuery;
use crate::http::revoke::Revoked;
use crate::http::suspend::read_note;

/// Why, if there is more to say than that somebody else may have the key. May be left away.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SelfRevokeBody {
    /// compromised, owner_left, service_changed, unused, superseded, leaked, requested, policy or other; compromised unless said.
    reason: Option<String>,
    /// The same in your words.
    note: Option<String>,
    /// The tenant of a key that was imported, which is found only there.
    tenant: Option<String>,
}

/// Revokes the key that is presented.
#[utoipa::path(
    post, path = "/v1/self/revoke", tag = "keys", operation_id = "self_revoke", request_body = Option<SelfRevokeBody>,
    params(
        WaitQuery,
        ("Authorization" = String, Header, description = "`Bearer` and the key that is to be revoked, of whatever tenant"),
        ("If-Match" = Option<String>, Header, description = "The revision that the key must have, in quotes"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    security(("holder" = [])),
    responses((status = 200, description = "The key is revoked and refused here", body = Revoked, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position")))),
)]
pub(crate) async fn revoke(State(app): State<Shared>, request: Request) -> Result<Response, Problem> {
    let (mut parts, body) = request.into_parts();
    let meta = Meta::from_request_parts(&mut parts, &app).await?;
    let Params(query) = Params::<WaitQuery>::from_request_parts(&mut parts, &app).await?;
    let patience = query.patience()?;
    let network = peer(&parts);
    let headers = parts.headers.clone();
    let bytes = optional_json(Request::from_parts(parts, body)).await?;
    let body: SelfRevokeBody = if bytes.is_empty() { SelfRevokeBody::default() } else { parse_json(&bytes)? };
    let reason = match body.reason.as_deref() {
        None => RevokeReason::Compromised,
        Some(text) => text.parse().map_err(|error| invalid("reason", &error))?,
    };
    let note = read_note(body.note.as_deref())?;
    let token = match bearer(&headers) {
        Bearer::Token(token) => token,
        Bearer::Missing => return Err(Problem::new(&codes::KEY_MISSING)),
        Bearer::Malformed => return Err(Problem::new(&codes::KEY_MALFORMED)),
    };
    let (tenant, key_id) = held(&app, token, body.tenant.as_deref()).await?;
    let request = meta.by_holder(network);
    let command = RevokeKey { tenant: tenant.clone(), key_id, reason, note };
    let revoked = app.application.revoke_key(&request, command);
    let changed =
        outcome(&app, "self_revoke", &request.command_id, None, revoked).await.map_err(about(key_id))?;
    Ok(Revoked::answer(&app, (&tenant, key_id), (reason, changed, Vec::new()), patience).await)
}

/// A body that may be left away.
async fn optional_json(request: Request) -> Result<Bytes, Problem> {
    if !request.headers().contains_key(header::CONTENT_TYPE) && request.body().is_end_stream() {
        return Ok(Bytes::new());
    }
    Ok(JsonBytes::from_request(request, &()).await?.0)
}

/// The key whose whole secret this is. Whatever else is presented gets one answer, after the same work.
async fn held(app: &App, token: &str, tenant: Option<&str>) -> Result<(TenantId, KeyId), Problem> {
    // What is no tenant id names no tenant.
    let bound: Option<Option<TenantId>> = tenant.map(|text| text.parse().ok());
    let (bound, is_nowhere) = (bound.clone().flatten(), bound == Some(None));
    if bound.is_none() && !is_nowhere && ParsedKey::parse(token).is_err() {
        return Err(Problem::new(&codes::KEY_MALFORMED));
    }
    let look = || (!is_nowhere).then(|| identify(app, token, bound.as_ref())).flatten();
    if let Some(found) = look() {
        return Ok((found.tenant, found.key_id));
    }
    app.reach_head().await?;
    let found = look().ok_or_else(|| Problem::new(&codes::KEY_UNKNOWN))?;
    Ok((found.tenant, found.key_id))
}

/// A key whose whole secret was shown to us.
#[derive(Clone, Debug)]
pub(crate) struct Identified {
    pub(crate) tenant: TenantId,
    pub(crate) key_id: KeyId,
    pub(crate) verdict: verify::Verdict,
}

/// The key that a token opens; with a tenant only one of its own, and then an imported one too.
pub(crate) fn identify(app: &App, token: &str, tenant: Option<&TenantId>) -> Option<Identified> {
    let request = VerifyRequest { token, tenant, scope: None, network: None };
    let answer = app.index.verify(&request, app.moment());
    let holder = answer.holder?;
    Some(Identified { tenant: (*holder.tenant).clone(), key_id: holder.key_id, verdict: answer.verdict })
}
