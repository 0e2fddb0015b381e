//! `/v1/tenants/{tenant}/keys/{key_id}/rotate` and what follows it, and `/v1/tenants/{tenant}/rotations`: how far each is.

use application::{RotateRequest, Rotated};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::{CancelRotation, Finish, FinishRotation, Permission, PlainKey, RotationRule};
use projection::KeyRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{format_rfc3339, parse_rfc3339};

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::command::{ChangedKey, Meta, about, at_position, outcome};
use crate::http::extract::{InTenant, Json, OfKey, Params, Shared, invalid, page_limit, parameter};
use crate::http::problem::Problem;
use crate::http::receipts::keep_track;
use crate::http::rotation_json::RotationJson;
use crate::rotation::{Evidence, Straggler};

/// When the predecessor is to go.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RotateBody {
    /// At this time, RFC 3339, whatever was seen. Goes with none of the next three.
    finish_at: Option<String>,
    /// On evidence: once the successor was used and the predecessor was quiet for so many seconds. A day unless said.
    quiet_s: Option<u64>,
    /// Services that used the predecessor in the last so many seconds have to have moved. 30 days unless said.
    look_back_s: Option<u64>,
    /// Only when somebody finishes it.
    by_hand: bool,
    /// When the successor's time is up, RFC 3339; unless said it gets as long as the predecessor was given.
    expires_at: Option<String>,
}

impl RotateBody {
    fn rule(&self) -> Result<RotationRule, Problem> {
        let on_evidence = self.quiet_s.is_some() || self.look_back_s.is_some();
        let ways = [self.finish_at.is_some(), on_evidence, self.by_hand];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return Err(invalid(
                "finish_at",
                &"it goes neither with quiet_s and look_back_s nor with by_hand",
            ));
        }
        if let Some(at) = &self.finish_at {
            return parse_rfc3339(at).map(RotationRule::At).map_err(|error| invalid("finish_at", &error));
        }
        if self.by_hand {
            return Ok(RotationRule::ByHand);
        }
        let RotationRule::OnEvidence { quiet_ms, look_back_ms } = RotationRule::DEFAULT else {
            return Ok(RotationRule::DEFAULT);
        };
        let quiet_ms = self.quiet_s.map_or(quiet_ms, |seconds| seconds.saturating_mul(1000));
        let look_back_ms = self
            .look_back_s
            .map_or_else(|| look_back_ms.max(quiet_ms), |seconds| seconds.saturating_mul(1000));
        RotationRule::on_evidence(quiet_ms, look_back_ms).map_err(|error| invalid("quiet_s", &error))
    }
}

/// A rotation that began, with the new key: the only answer that ever holds it.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotatedKey<'a> {
    /// The new key's id.
    key_id: String,
    /// The key that it is to replace; that stays valid until the rotation ends.
    predecessor: String,
    /// Their tenant.
    tenant: String,
    /// The whole new key, shown this once; null when an earlier request with the same Idempotency-Key began the rotation.
    key: Option<&'a str>,
    /// True when the secret went out with the answer to an earlier request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    secret_already_shown: bool,
    /// Where it stands in the log.
    position: u64,
    /// The predecessor's revision with it.
    predecessor_revision: u32,
    /// When, RFC 3339.
    rotated_at: String,
}

/// Rotates a key: a successor with the same grants, and both valid until it is in place.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/keys/{key_id}/rotate", tag = "rotations", operation_id = "rotate_key",
    request_body = RotateBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The key that is to be replaced"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("If-Match" = Option<String>, Header, description = "The revision that the key must have, in quotes"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses(
        (status = 201, description = "The rotation began; the new key, this once", body = RotatedKey, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"))),
        (status = 200, description = "A repeat: without the secret", body = RotatedKey, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"))),
    ),
)]
pub(crate) async fn rotate(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    meta: Meta,
    Json(body): Json<RotateBody>,
) -> Result<Response, Problem> {
    operator.require_write(Permission::KeysIssue, &tenant)?;
    let expires_at = body.expires_at.as_deref().map(parse_rfc3339).transpose();
    let asked = RotateRequest {
        tenant: tenant.clone(),
        key_id,
        rule: body.rule()?,
        expires_at: expires_at.map_err(|error| invalid("expires_at", &error))?,
        issuer: Some(operator.as_issuer()),
    };
    let request = meta.by(&operator);
    let successor = domain::IssueKey::key_id(&tenant, &request.command_id);
    let rotation = app.application.rotate_key(&request, asked);
    let rotated = outcome(&app, "rotate_key", &request.command_id, Some(successor), rotation).await;
    let Rotated { successor, key, changed } = rotated.map_err(about(key_id))?;
    let answer = RotatedKey {
        key_id: successor.to_string(),
        predecessor: key_id.to_string(),
        tenant: tenant.to_string(),
        key: key.as_ref().map(PlainKey::expose),
        secret_already_shown: key.is_none(),
        position: changed.position.get(),
        predecessor_revision: changed.revision.get(),
        rotated_at: format_rfc3339(changed.occurred_at),
    };
    let status = if changed.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok(at_position((status, axum::Json(answer)).into_response(), changed.position))
}

/// How to finish.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct FinishBody {
    /// Even if the successor was never used, or cannot be: whoever still holds the predecessor is locked out.
    force: bool,
}

/// Finishes a rotation by hand: the predecessor is refused from then on.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/keys/{key_id}/rotation/finish", tag = "rotations",
    operation_id = "finish_rotation", request_body = FinishBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The predecessor"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("If-Match" = Option<String>, Header, description = "The revision that the key must have, in quotes"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses((status = 200, description = "The successor took over", body = ChangedKey, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"), ("ETag" = String, description = "The key's revision, for If-Match")))),
)]
pub(crate) async fn finish(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    meta: Meta,
    Json(body): Json<FinishBody>,
) -> Result<Response, Problem> {
    operator.require_write(Permission::KeysRevoke, &tenant)?;
    // The worker may not have recorded the successor's first use yet.
    crate::rotation::note_adoption(&app, &tenant, key_id).await?;
    let finish = if body.force { Finish::Forced } else { Finish::ByHand };
    let command = FinishRotation { tenant: tenant.clone(), key_id, finish };
    let request = meta.by(&operator);
    let finished = app.application.finish_rotation(&request, command);
    let changed = outcome(&app, "finish_rotation", &request.command_id, None, finished).await;
    let changed = changed.map_err(about(key_id))?;
    keep_track(&app, &tenant, &changed).await;
    Ok(ChangedKey::answer(&app, &tenant, key_id, changed))
}

/// Calls a rotation off: the predecessor stays, and the successor is refused from then on.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/keys/{key_id}/rotation/cancel", tag = "rotations",
    operation_id = "cancel_rotation",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The predecessor"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("If-Match" = Option<String>, Header, description = "The revision that the key must have, in quotes"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses((status = 200, description = "The predecessor stays", body = ChangedKey, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"), ("ETag" = String, description = "The key's revision, for If-Match")))),
)]
pub(crate) async fn cancel(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    meta: Meta,
) -> Result<Response, Problem> {
    operator.require_write(Permission::KeysRevoke, &tenant)?;
    let command = CancelRotation { tenant: tenant.clone(), key_id };
    let request = meta.by(&operator);
    let cancelled = app.application.cancel_rotation(&request, command);
    let changed = outcome(&app, "cancel_rotation", &request.command_id, None, cancelled).await;
    Ok(ChangedKey::answer(&app, &tenant, key_id, changed.map_err(about(key_id))?))
}

/// Which rotations.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListRotations {
    /// running, finished, cancelled or overtaken.
    state: Option<String>,
    /// Rows of a page, 1 to 200; 50 unless said otherwise.
    limit: Option<usize>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    /// Answer only what is at least as new as this position.
    min_position: Option<u64>,
}

/// A service that has not moved yet.
#[derive(Serialize, ToSchema)]
#[schema(as = Straggler)]
pub(crate) struct StragglerJson {
    /// The service; null for those that are no longer told apart.
    service: Option<String>,
    /// Where the predecessor came from last.
    network: Option<String>,
    /// When it last used the predecessor, RFC 3339.
    last_seen_at: String,
    /// Whether it has used the successor too.
    seen_with_successor: bool,
}

impl From<&Straggler> for StragglerJson {
    fn from(straggler: &Straggler) -> Self {
        Self {
            service: straggler.service.as_deref().map(str::to_owned),
            network: straggler.network.as_deref().map(str::to_owned),
            last_seen_at: format_rfc3339(straggler.last_seen),
            seen_with_successor: straggler.seen_with_successor,
        }
    }
}

/// A rotation and how far it is.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotationState {
    /// The predecessor.
    key_id: String,
    /// Its tenant.
    tenant: String,
    /// The rotation.
    #[serde(flatten)]
    rotation: RotationJson,
    /// What the successor is now.
    successor_standing: Option<&'static str>,
    /// Since when the predecessor is known to be quiet, RFC 3339; null while it is used, or nothing is known.
    quiet_since: Option<String>,
    /// Services that used the predecessor within the time it has to be quiet: the rotation waits for them.
    stragglers: Vec<StragglerJson>,
    /// Verifiers whose reports are missing: what they saw is unknown, so the rotation waits for them too.
    unreported: Vec<String>,
}

/// A part of the list of rotations.
#[derive(Serialize, ToSchema)]
pub(crate) struct RotationList {
    /// Running ones first, then by what became of them; of each key the last.
    rotations: Vec<RotationState>,
    /// Where the next page begins; null if this is the last.
    next_cursor: Option<String>,
}

/// Lists a tenant's rotations, and for whom each waits.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/rotations", tag = "rotations", operation_id = "list_rotations",
    params(("tenant" = String, Path, description = "The tenant"), ListRotations),
    responses((status = 200, description = "The rotations", body = RotationList)),
)]
pub(crate) async fn list(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    Params(query): Params<ListRotations>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::KeysRead, &tenant)?;
    app.reach_view(app.keys.status(), query.min_position).await?;
    if app.index.tenant(&tenant).is_none() {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let phase = parameter("state", query.state.as_deref())?;
    let cursor = parameter("cursor", query.cursor.as_deref())?;
    let page = app.keys.rotations(&tenant, phase, cursor, page_limit(query.limit)?).await?;
    let mut rotations = Vec::with_capacity(page.keys.len());
    for row in &page.keys {
        rotations.extend(state_of(&app, row).await?);
    }
    let list = RotationList { rotations, next_cursor: page.next.map(|cursor| cursor.to_string()) };
    Ok(axum::Json(list).into_response())
}

async fn state_of(app: &Shared, row: &KeyRow) -> Result<Option<RotationState>, Problem> {
    let Some(rotation) = &row.rotation else { return Ok(None) };
    let evidence = Evidence::of(app, row, rotation).await?;
    let successor = app.index.key(&row.tenant, rotation.successor);
    Ok(Some(RotationState {
        key_id: row.key_id.to_string(),
        tenant: row.tenant.to_string(),
        rotation: rotation.into(),
        successor_standing: successor.map(|state| state.key.standing.as_str()),
        quiet_since: evidence.quiet_since.map(format_rfc3339),
        stragglers: evidence.stragglers.iter().map(StragglerJson::from).collect(),
        unreported: evidence.unreported,
    }))
}
