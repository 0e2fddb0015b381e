//! `/v1/tenants`: open one, list them, show one.

use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::{OpenTenant, Permission, Personal, PersonalText, TenantId, operator};
use projection::TenantRow;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::format_rfc3339;

use crate::http::auth::{Operator, scope_missing};
use crate::http::command::{Meta, at_position, outcome};
use crate::http::extract::{Json, Params, Shared, invalid, page_limit, parameter};
use crate::http::opened::open_tenants;
use crate::http::problem::Problem;

/// How long an opening waits for this server's own index, which is microseconds behind. If it takes longer, the answer's
/// position lets the client wait for it.
const READABLE_WITHIN: Duration = Duration::from_secs(1);

/// A tenant to open.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OpenTenantBody {
    /// The id it will have for ever: 1 to 63 of a-z, 0-9 and `-`.
    tenant: String,
    /// What people call it.
    name: Option<String>,
    /// What its keys begin with: 2 to 16 of a-z and 0-9; `rsk` unless said otherwise.
    prefix: Option<String>,
}

/// A text about a person or a thing: readable, or sealed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum PersonalJson {
    /// Readable.
    Plain(String),
    /// Sealed: nobody can read it any more.
    Sealed {
        /// Always true.
        sealed: bool,
    },
}

impl From<&Personal> for PersonalJson {
    fn from(personal: &Personal) -> Self {
        match personal {
            Personal::Plain(text) => Self::Plain(text.as_str().to_owned()),
            Personal::Sealed(_) => Self::Sealed { sealed: true },
        }
    }
}

/// A tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Tenant)]
pub(crate) struct TenantJson {
    /// Its id.
    tenant: String,
    /// What people call it.
    name: Option<PersonalJson>,
    /// What its new keys begin with.
    prefix: Option<String>,
    /// What happens to a key that is reported as leaked: revoke or suspend.
    leak_response: Option<&'static str>,
    /// When it was opened, RFC 3339.
    opened_at: Option<String>,
    /// When it was closed, RFC 3339: all its keys are refused and it takes no command.
    closed_at: Option<String>,
    /// Whether an event of its own history cannot be read by this build: all its keys are refused.
    quarantined: bool,
    /// How many events its own history has.
    revision: u32,
    /// The position of the last of them.
    position: u64,
}

impl From<TenantRow> for TenantJson {
    fn from(row: TenantRow) -> Self {
        let settings = row.settings.as_ref();
        Self {
            tenant: row.tenant.to_string(),
            name: settings.and_then(|settings| settings.name.as_ref()).map(PersonalJson::from),
            prefix: settings.map(|settings| settings.prefix.to_string()),
            leak_response: settings.map(|settings| settings.leak_response.as_str()),
            opened_at: settings.map(|settings| format_rfc3339(settings.opened_at)),
            closed_at: row.closed_at.map(format_rfc3339),
            quarantined: row.quarantined,
            revision: row.revision.get(),
            position: row.position.get(),
        }
    }
}

/// Opens a tenant.
#[utoipa::path(
    post, path = "/v1/tenants", tag = "tenants", operation_id = "open_tenant", request_body = OpenTenantBody,
    params(
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses(
        (status = 201, description = "The tenant is open", body = TenantJson, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"))),
        (status = 200, description = "A repeat: the tenant as it was opened", body = TenantJson, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"))),
    ),
)]
pub(crate) async fn open(
    State(app): State<Shared>,
    operator: Operator,
    meta: Meta,
    Json(body): Json<OpenTenantBody>,
) -> Result<Response, Problem> {
    operator.require_everywhere(Permission::TenantsAdmin)?;
    let name =
        body.name.as_deref().map(PersonalText::name).transpose().map_err(|error| invalid("name", &error))?;
    let prefix =
        body.prefix.as_deref().map(str::parse).transpose().map_err(|error| invalid("prefix", &error))?;
    let command = OpenTenant {
        tenant: body.tenant.parse().map_err(|error| invalid("tenant", &error))?,
        name: name.clone().map(Personal::Plain),
        prefix: prefix.unwrap_or_default(),
    };
    let request = meta.by(&operator);
    let (tenant, prefix) = (command.tenant.clone(), command.prefix.clone());
    let opened = app.application.open_tenant(&request, command);
    let changed = outcome(&app, "open_tenant", &request.command_id, None, opened).await?;
    // So that who lists its keys next finds it.
    app.application.wait_applied(changed.position, READABLE_WITHIN).await;
    let shown = TenantJson {
        tenant: tenant.to_string(),
        name: name.map(|name| PersonalJson::Plain(name.as_str().to_owned())),
        prefix: Some(prefix.to_string()),
        leak_response: Some(domain::LeakResponse::default().as_str()),
        opened_at: Some(format_rfc3339(changed.occurred_at)),
        closed_at: None,
        quarantined: false,
        revision: changed.revision.get(),
        position: changed.position.get(),
    };
    let status = if changed.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok(at_position((status, axum::Json(shown)).into_response(), changed.position))
}

/// Which tenants.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListTenants {
    /// Rows of a page, 1 to 200; 50 unless said otherwise.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Answer only what is at least as new as this position.
    min_position: Option<u64>,
}

/// A part of the list of tenants.
#[derive(Serialize, ToSchema)]
pub(crate) struct TenantList {
    /// The tenants, by id; those that the operator may see.
    tenants: Vec<TenantJson>,
    /// Where the next page begins; null if this is the last.
    next_cursor: Option<String>,
}

/// Lists tenants.
#[utoipa::path(
    get, path = "/v1/tenants", tag = "tenants", operation_id = "list_tenants", params(ListTenants),
    responses((status = 200, description = "The tenants that the operator may see", body = TenantList)),
)]
pub(crate) async fn list(
    State(app): State<Shared>,
    operator: Operator,
    Params(query): Params<ListTenants>,
) -> Result<Response, Problem> {
    let administers = operator::permits_everywhere(&operator.scopes, Permission::TenantsAdmin);
    if !administers && !operator.permits_somewhere(Permission::KeysRead) {
        return Err(scope_missing(Permission::KeysRead, None));
    }
    let after: Option<TenantId> = parameter("cursor", query.cursor.as_deref())?;
    app.reach_view(app.tenants.status(), query.min_position).await?;
    let mut page = app.tenants.list(after.as_ref(), page_limit(query.limit)?).await?;
    open_tenants(&app, &mut page.tenants).await?;
    // Filtered after paging: a page may be short, and the cursor still leads on.
    let sees = |row: &TenantRow| {
        administers || operator::permits_in(&operator.scopes, Permission::KeysRead, &row.tenant)
    };
    let tenants = page.tenants.into_iter().filter(sees).map(TenantJson::from).collect();
    let list = TenantList { tenants, next_cursor: page.next.map(|tenant| tenant.to_string()) };
    Ok(axum::Json(list).into_response())
}
