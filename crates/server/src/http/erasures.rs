//! `POST /v1/tenants/{tenant}/erasures`: nobody can read any more who an owner was.

use application::{Erased, ErasurePreview, InTheClear};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::{KeyId, Permission, PersonalText, SealTrace};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::format_rfc3339;

use crate::http::auth::Operator;
use crate::http::command::{Meta, at_position, outcome};
use crate::http::extract::{InTenant, Json, Shared, invalid};
use crate::http::problem::Problem;

/// An owner to erase.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EraseBody {
    /// The owner, by exactly the text that the keys were issued for.
    owner: String,
    /// Only show what there is.
    #[serde(default)]
    dry_run: bool,
}

/// Events that an erasure does not reach: they were written before texts were sealed.
#[derive(Serialize, ToSchema)]
#[schema(as = InTheClear)]
pub(crate) struct InTheClearJson {
    /// How many events of the owner's keys hold a readable text.
    events: u64,
    /// Whether every key that is the owner's now was looked at. Keys that were given to somebody else are never counted.
    complete: bool,
}

impl From<InTheClear> for InTheClearJson {
    fn from(found: InTheClear) -> Self {
        Self { events: found.events, complete: found.complete }
    }
}

/// What there is of an owner.
#[derive(Serialize, ToSchema)]
#[schema(as = ErasurePreview)]
pub(crate) struct PreviewJson {
    /// Every event up to here was considered.
    position: u64,
    /// Keys that can be used, or could be again: while there is one, nobody is erased.
    live_keys: u64,
    /// Some of them.
    sample: Vec<String>,
    /// Keys of theirs, ended ones too.
    keys: u64,
    /// Whether anything about them is sealed under a seal that is whole: what an erasure destroys.
    sealed: bool,
    /// Whether they were erased, and nothing about them was sealed since.
    erased: bool,
    /// What an erasure would not reach.
    in_the_clear: InTheClearJson,
}

/// An erasure that stands, and is done.
#[derive(Serialize, ToSchema)]
#[schema(as = Erasure)]
pub(crate) struct ErasureJson {
    /// The tenant.
    tenant: String,
    /// Where the fact stands in the log. It holds the owner's tag and no text.
    position: u64,
    /// When, RFC 3339.
    erased_at: String,
    /// What it did not reach.
    in_the_clear: InTheClearJson,
    /// Keys that came to the owner in the instant between the look and the erasure. They can be used, and nobody can read
    /// whose they are: revoke them.
    issued_meanwhile: Vec<String>,
    /// Whether an earlier request with the same Idempotency-Key made it.
    repeated: bool,
}

/// Erases an owner, or shows what there is of one.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/erasures", tag = "tenants", operation_id = "erase_owner", request_body = EraseBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses(
        (status = 200, description = "With dry_run what there is; otherwise a repeat", body = PreviewJson),
        (status = 201, description = "The seal is destroyed", body = ErasureJson, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"))),
    ),
)]
pub(crate) async fn erase(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    meta: Meta,
    Json(body): Json<EraseBody>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::TenantsAdmin, &tenant)?;
    let owner = PersonalText::name(&body.owner).map_err(|error| invalid("owner", &error))?;
    if body.dry_run {
        let ErasurePreview { position, traces, in_the_clear } =
            app.application.preview_erasure(&tenant, owner).await?;
        let preview = PreviewJson {
            position: position.get(),
            live_keys: traces.live,
            sample: ids(&traces.sample),
            keys: traces.keys,
            sealed: matches!(traces.seal, SealTrace::Whole { .. }),
            erased: traces.seal == SealTrace::Destroyed,
            in_the_clear: in_the_clear.into(),
        };
        return Ok(axum::Json(preview).into_response());
    }
    let request = meta.by(&operator);
    let erase = app.application.erase_owner(&request, tenant.clone(), owner);
    let Erased { changed, in_the_clear, issued_meanwhile } =
        outcome(&app, "erase_owner", &request.command_id, None, erase).await?;
    let answer = ErasureJson {
        tenant: tenant.to_string(),
        position: changed.position.get(),
        erased_at: format_rfc3339(changed.occurred_at),
        in_the_clear: in_the_clear.into(),
        issued_meanwhile: ids(&issued_meanwhile),
        repeated: changed.repeated,
    };
    let status = if changed.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok(at_position((status, axum::Json(answer)).into_response(), changed.position))
}

fn ids(keys: &[KeyId]) -> Vec<String> {
    keys.iter().map(ToString::to_string).collect()
}
