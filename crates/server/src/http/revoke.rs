//! `POST /v1/tenants/{tenant}/keys/{key_id}/revoke`: the key may never be used again.

use application::Changed;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{KeyId, Permission, RevokeKey, RevokeReason, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::format_rfc3339;

use crate::http::auth::Operator;
use crate::http::command::{Meta, about, at_position, outcome};
use crate::http::extract::{Json, OfKey, Params, Shared, invalid};
use crate::http::problem::Problem;
use crate::http::recalls::CascadedJson;
use crate::http::receipts::{Patience, ReceiptJson, WaitQuery, enforced};
use crate::http::suspend::read_note;

/// Why a key is revoked.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RevokeBody {
    /// compromised, owner_left, service_changed, unused, superseded, leaked, requested, policy or other.
    reason: String,
    /// The same in your words.
    note: Option<String>,
    /// Take along what the key issued, and what those issued, in every tenant.
    #[serde(default)]
    cascade: bool,
}

/// A revocation that stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct Revoked {
    /// Where it stands in the log.
    position: u64,
    /// The key.
    key_id: String,
    /// Its tenant.
    tenant: String,
    /// Why.
    reason: &'static str,
    /// When, RFC 3339.
    revoked_at: String,
    /// The key's revision with it.
    revision: u32,
    /// This server refuses the key from now on. Always true.
    effective: bool,
    /// Who else does; null while this server's own index is behind.
    receipt: Option<ReceiptJson>,
    /// What was taken along.
    cascaded: Vec<CascadedJson>,
    /// Whether an earlier request with the same Idempotency-Key made it.
    repeated: bool,
}

/// Revokes a key.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/keys/{key_id}/revoke", tag = "keys", operation_id = "revoke_key",
    request_body = RevokeBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The key"),
        WaitQuery,
        ("If-Match" = Option<String>, Header, description = "The revision that the key must have, in quotes"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses((status = 200, description = "The key is revoked and refused here", body = Revoked, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position")))),
)]
pub(crate) async fn revoke(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    Params(query): Params<WaitQuery>,
    meta: Meta,
    Json(body): Json<RevokeBody>,
) -> Result<Response, Problem> {
    operator.require_write(Permission::KeysRevoke, &tenant)?;
    let patience = query.patience()?;
    let reason: RevokeReason = body.reason.parse().map_err(|error| invalid("reason", &error))?;
    let note = read_note(body.note.as_deref())?;
    let request = meta.by(&operator);
    let command = RevokeKey { tenant: tenant.clone(), key_id, reason, note };
    let revoke = async {
        match body.cascade {
            true => app.application.revoke_key_and_issued(&request, command).await,
            false => Ok((app.application.revoke_key(&request, command).await?, Vec::new())),
        }
    };
    let revoked = outcome(&app, "revoke_key", &request.command_id, None, revoke).await;
    let (changed, cascaded) = revoked.map_err(about(key_id))?;
    let cascaded = cascaded.iter().map(CascadedJson::from).collect();
    Ok(Revoked::answer(&app, (&tenant, key_id), (reason, changed, cascaded), patience).await)
}

impl Revoked {
    /// Waits for the fleet and tells what became of the key.
    pub(crate) async fn answer(
        app: &Shared,
        (tenant, key_id): (&TenantId, KeyId),
        (reason, changed, cascaded): (RevokeReason, Changed, Vec<CascadedJson>),
        patience: Patience,
    ) -> Response {
        let receipt = enforced(app, tenant, &changed, patience).await;
        let answer = Self {
            position: changed.position.get(),
            key_id: key_id.to_string(),
            tenant: tenant.to_string(),
            reason: reason.as_str(),
            revoked_at: format_rfc3339(changed.occurred_at),
            revision: changed.revision.get(),
            effective: true,
            receipt,
            cascaded,
            repeated: changed.repeated,
        };
        at_position(axum::Json(answer).into_response(), changed.position)
    }
}
