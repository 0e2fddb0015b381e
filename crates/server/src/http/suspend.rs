//! `/v1/tenants/{tenant}/keys/{key_id}/suspend` and `/reinstate`: a key is put aside, and taken up again.

use axum::extract::State;
use axum::response::Response;
use domain::{Permission, Personal, PersonalText, ReinstateKey, SuspendKey, SuspendReason};
use serde::Deserialize;
use utoipa::ToSchema;
use wire::parse_rfc3339;

use crate::http::auth::Operator;
use crate::http::command::{ChangedKey, Meta, about, outcome};
use crate::http::extract::{Json, OfKey, Params, Shared, invalid};
use crate::http::problem::Problem;
use crate::http::receipts::{WaitQuery, enforced};

/// Why a key is suspended, and for how long.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SuspendBody {
    /// investigating, unused, requested, leaked, policy or other; other unless said.
    reason: Option<String>,
    /// In your words.
    note: Option<String>,
    /// When it is reinstated by itself, RFC 3339; never unless said.
    until: Option<String>,
}

/// Suspends a key.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/keys/{key_id}/suspend", tag = "keys", operation_id = "suspend_key",
    request_body = SuspendBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The key"),
        WaitQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("If-Match" = Option<String>, Header, description = "The revision that the key must have, in quotes"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses((status = 200, description = "The key is suspended", body = ChangedKey, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"), ("ETag" = String, description = "The key's revision, for If-Match")))),
)]
pub(crate) async fn suspend(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    Params(query): Params<WaitQuery>,
    meta: Meta,
    Json(body): Json<SuspendBody>,
) -> Result<Response, Problem> {
    operator.require_write(Permission::KeysRevoke, &tenant)?;
    let patience = query.patience()?;
    let reason = match body.reason.as_deref() {
        None => SuspendReason::Other,
        Some(text) => text.parse().map_err(|error| invalid("reason", &error))?,
    };
    let note = read_note(body.note.as_deref())?;
    let until = body.until.as_deref().map(parse_rfc3339).transpose();
    let until = until.map_err(|error| invalid("until", &error))?;
    let command = SuspendKey { tenant: tenant.clone(), key_id, reason, note, until };
    let request = meta.by(&operator);
    let suspended = app.application.suspend_key(&request, command);
    let changed =
        outcome(&app, "suspend_key", &request.command_id, None, suspended).await.map_err(about(key_id))?;
    let receipt = enforced(&app, &tenant, &changed, patience).await;
    Ok(ChangedKey::with_receipt(&app, &tenant, key_id, changed, receipt))
}

/// Why a key is taken up again.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ReinstateBody {
    /// In your words.
    note: Option<String>,
}

/// Reinstates a suspended key.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/keys/{key_id}/reinstate", tag = "keys", operation_id = "reinstate_key",
    request_body = ReinstateBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The key"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("If-Match" = Option<String>, Header, description = "The revision that the key must have, in quotes"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses((status = 200, description = "The key may be used again", body = ChangedKey, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"), ("ETag" = String, description = "The key's revision, for If-Match")))),
)]
pub(crate) async fn reinstate(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    meta: Meta,
    Json(body): Json<ReinstateBody>,
) -> Result<Response, Problem> {
    operator.require_write(Permission::KeysWrite, &tenant)?;
    let command = ReinstateKey { tenant: tenant.clone(), key_id, note: read_note(body.note.as_deref())? };
    let request = meta.by(&operator);
    let reinstated = app.application.reinstate_key(&request, command);
    let changed =
        outcome(&app, "reinstate_key", &request.command_id, None, reinstated).await.map_err(about(key_id))?;
    Ok(ChangedKey::answer(&app, &tenant, key_id, changed))
}

/// A note, as every command takes it.
pub(crate) fn read_note(text: Option<&str>) -> Result<Option<Personal>, Problem> {
    let note = text.map(PersonalText::note).transpose().map_err(|error| invalid("note", &error))?;
    Ok(note.map(Personal::Plain))
}
