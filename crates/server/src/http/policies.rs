//! `/v1/tenants/{tenant}/policies`: what a tenant asks of its keys; set, shown, removed, and tried before it is set.

mod rules;
mod state;
mod trial;

use application::AskedSelector;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{Owner, Permission, Personal, Policy, PolicyName, RemovePolicy, Selector, SetPolicy, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::command::{Meta, outcome};
use crate::http::configure::ChangedTenant;
use crate::http::extract::{InTenant, Json, OfPolicy, Params, Shared, invalid};
use crate::http::keys::AsNewAs;
use crate::http::policies::rules::{RulesBody, RulesJson};
use crate::http::policies::state::PolicyState;
use crate::http::problem::Problem;
use crate::http::recalls::SelectorBody;
use crate::http::tenants::PersonalJson;

pub(crate) use trial::{__path_try_out, try_out};

/// A policy to set or try.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyBody {
    /// Which keys it is about; every key of the tenant unless said otherwise.
    selector: Option<SelectorBody>,
    /// What it asks of them; at least one rule.
    rules: RulesBody,
}

impl PolicyBody {
    async fn read(self, app: &App, tenant: &TenantId, name: PolicyName) -> Result<Policy, Problem> {
        let rules = self.rules.read()?;
        // Operators' keys are not counted when they are presented as operators, so that nobody could tell that one is idle.
        let by_use = rules.suspend_idle_after_ms.or(rules.revoke_idle_after_ms).is_some();
        if tenant.is_operators() && by_use {
            return Err(Problem::new(&codes::NOT_FOR_OPERATORS).detail(
                "the use of operator keys as operators is not counted, so none is ever known to be idle",
            ));
        }
        let selector = match self.selector {
            Some(selector) => tagged(app, tenant, selector.read()?).await?,
            None => Selector::ALL,
        };
        Policy::new(name, selector, rules).map_err(|error| invalid("rules", &error))
    }
}

/// The selector with the owner's tag in this tenant.
async fn tagged(app: &App, tenant: &TenantId, asked: AskedSelector) -> Result<Selector, Problem> {
    let owner = match asked.owner {
        None => None,
        Some(name) => {
            let tag = app.application.owner_tag(tenant, name.as_str()).await?;
            Some(Owner { tag, name: Personal::Plain(name) })
        }
    };
    let AskedSelector { label, scope, issuer, environment, .. } = asked;
    Ok(Selector { owner, label, scope, issuer, environment })
}

/// Which keys.
#[derive(Serialize, ToSchema)]
#[schema(as = Selector)]
struct SelectorJson {
    /// Belong to this owner.
    owner: Option<PersonalJson>,
    /// Have this label.
    label: Option<String>,
    /// May do this.
    scope: Option<String>,
    /// Were issued by this key.
    issuer: Option<String>,
    /// `live` or `test`.
    environment: Option<&'static str>,
    /// Whether it means every key of the tenant.
    all: bool,
}

impl From<&Selector> for SelectorJson {
    fn from(selector: &Selector) -> Self {
        Self {
            owner: selector.owner.as_ref().map(|owner| PersonalJson::from(&owner.name)),
            label: selector.label.as_ref().map(ToString::to_string),
            scope: selector.scope.as_ref().map(ToString::to_string),
            issuer: selector.issuer.map(|issuer| issuer.to_string()),
            environment: selector.environment.map(domain::Environment::as_str),
            all: selector.is_all(),
        }
    }
}

/// A policy.
#[derive(Serialize, ToSchema)]
#[schema(as = Policy)]
pub(crate) struct PolicyJson {
    /// What it is called.
    name: String,
    /// Which keys it is about.
    selector: SelectorJson,
    /// What it asks of them.
    rules: RulesJson,
    /// What this server saw when it last applied it; null until it has.
    state: Option<PolicyState>,
}

impl From<&Policy> for PolicyJson {
    fn from(policy: &Policy) -> Self {
        Self {
            name: policy.name.to_string(),
            selector: SelectorJson::from(&policy.selector),
            rules: RulesJson::from(&policy.rules),
            state: None,
        }
    }
}

/// The policies of a tenant.
#[derive(Serialize, ToSchema)]
pub(crate) struct PolicyList {
    /// By name.
    policies: Vec<PolicyJson>,
}

/// Lists the policies of a tenant.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/policies", tag = "policies", operation_id = "list_policies",
    params(("tenant" = String, Path, description = "The tenant"), AsNewAs),
    responses((status = 200, description = "The policies, by name", body = PolicyList)),
)]
pub(crate) async fn list(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    Params(query): Params<AsNewAs>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::KeysRead, &tenant)?;
    app.reach_index(query.min_position).await?;
    let state = app.application.tenant(&tenant).await?;
    let state = app.application.readable(&state).await?;
    let policies = state.policies.iter().map(|policy| PolicyJson {
        state: app.policies.of(&tenant, &policy.name).map(PolicyState::from),
        ..PolicyJson::from(policy)
    });
    Ok(axum::Json(PolicyList { policies: policies.collect() }).into_response())
}

/// Sets a policy, in place of the one of that name if there is one.
#[utoipa::path(
    put, path = "/v1/tenants/{tenant}/policies/{name}", tag = "policies", operation_id = "set_policy",
    request_body = PolicyBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("name" = String, Path, description = "What it is called: 1 to 63 of a-z, 0-9 and `-`; not `try`"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses((status = 200, description = "The policy holds", body = ChangedTenant, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position")))),
)]
pub(crate) async fn set(
    State(app): State<Shared>,
    operator: Operator,
    OfPolicy(tenant, name): OfPolicy,
    meta: Meta,
    Json(body): Json<PolicyBody>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::TenantsAdmin, &tenant)?;
    let name = name.parse().map_err(|error| invalid("name", &error))?;
    let policy = body.read(&app, &tenant, name).await?;
    let request = meta.by(&operator);
    let set = app.application.set_policy(&request, SetPolicy { tenant: tenant.clone(), policy });
    let changed = outcome(&app, "set_policy", &request.command_id, None, set).await?;
    Ok(ChangedTenant::answer(&tenant, changed))
}

/// Removes a policy. What it did stays done.
#[utoipa::path(
    delete, path = "/v1/tenants/{tenant}/policies/{name}", tag = "policies", operation_id = "remove_policy",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("name" = String, Path, description = "What it is called"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses((status = 200, description = "The policy is gone", body = ChangedTenant, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position")))),
)]
pub(crate) async fn remove(
    State(app): State<Shared>,
    operator: Operator,
    OfPolicy(tenant, name): OfPolicy,
    meta: Meta,
) -> Result<Response, Problem> {
    operator.require_in(Permission::TenantsAdmin, &tenant)?;
    let name = name.parse().map_err(|_| Problem::new(&codes::NO_SUCH_POLICY))?;
    let request = meta.by(&operator);
    let removed = app.application.remove_policy(&request, RemovePolicy { tenant: tenant.clone(), name });
    let changed = outcome(&app, "remove_policy", &request.command_id, None, removed).await?;
    Ok(ChangedTenant::answer(&tenant, changed))
}
