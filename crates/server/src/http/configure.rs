//! `PATCH` and `DELETE /v1/tenants/{tenant}`: a tenant's settings, and its end.

use application::Changed;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{CloseTenant, ConfigureTenant, Permission, Personal, PersonalText, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::format_rfc3339;

use crate::http::auth::Operator;
use crate::http::command::{Meta, at_position, outcome};
use crate::http::extract::{InTenant, Json, Params, Shared, given, invalid};
use crate::http::problem::Problem;
use crate::http::suspend::read_note;

/// What to change; what is absent stays.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ConfigureBody {
    /// What people will call it; null takes its name away.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    /// What its new keys will begin with; those that exist stay valid.
    prefix: Option<String>,
    /// What will happen to a key that is reported as leaked: revoke or suspend.
    leak_response: Option<String>,
}

/// What every change of a tenant answers.
#[derive(Serialize, ToSchema)]
pub(crate) struct ChangedTenant {
    /// The tenant.
    tenant: String,
    /// Where the change stands in the log.
    position: u64,
    /// The revision of the tenant's own history with it.
    revision: u32,
    /// When, RFC 3339.
    changed_at: String,
    /// Whether an earlier request with the same Idempotency-Key made it.
    repeated: bool,
}

impl ChangedTenant {
    pub(crate) fn answer(tenant: &TenantId, changed: Changed) -> Response {
        let body = Self {
            tenant: tenant.to_string(),
            position: changed.position.get(),
            revision: changed.revision.get(),
            changed_at: format_rfc3339(changed.occurred_at),
            repeated: changed.repeated,
        };
        at_position(axum::Json(body).into_response(), changed.position)
    }
}

/// Configures a tenant.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "configure_tenant",
    request_body = ConfigureBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses((status = 200, description = "The tenant is as asked for", body = ChangedTenant, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position")))),
)]
pub(crate) async fn configure(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    meta: Meta,
    Json(body): Json<ConfigureBody>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::TenantsAdmin, &tenant)?;
    let name = body.name.map(|name| name.as_deref().map(PersonalText::name).transpose()).transpose();
    let prefix = body.prefix.as_deref().map(str::parse).transpose();
    let leak_response = body.leak_response.as_deref().map(str::parse).transpose();
    let command = ConfigureTenant {
        tenant: tenant.clone(),
        name: name.map_err(|error| invalid("name", &error))?.map(|name| name.map(Personal::Plain)),
        prefix: prefix.map_err(|error| invalid("prefix", &error))?,
        leak_response: leak_response.map_err(|error| invalid("leak_response", &error))?,
    };
    let request = meta.by(&operator);
    let configured = app.application.configure_tenant(&request, command);
    let changed = outcome(&app, "configure_tenant", &request.command_id, None, configured).await?;
    Ok(ChangedTenant::answer(&tenant, changed))
}

/// How to close.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct CloseQuery {
    /// Why, in your words.
    note: Option<String>,
}

/// Closes a tenant for good: its keys are refused and it takes no command any more.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}", tag = "tenants", operation_id = "close_tenant",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        CloseQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses((status = 200, description = "The tenant is closed", body = ChangedTenant, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position")))),
)]
pub(crate) async fn close(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    Params(query): Params<CloseQuery>,
    meta: Meta,
) -> Result<Response, Problem> {
    operator.require_everywhere(Permission::TenantsAdmin)?;
    let command = CloseTenant { tenant: tenant.clone(), note: read_note(query.note.as_deref())? };
    let request = meta.by(&operator);
    let closed = app.application.close_tenant(&request, command);
    let changed = outcome(&app, "close_tenant", &request.command_id, None, closed).await?;
    Ok(ChangedTenant::answer(&tenant, changed))
}
