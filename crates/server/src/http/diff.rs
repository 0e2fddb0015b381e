//! `GET /v1/tenants/{tenant}/diff`: what changed for a tenant between two moments.

use std::collections::BTreeSet;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{Permission, PolicyName, Position, Standing};
use projection::{KeyDiff, KeyRow, TenantDiff, TenantThen};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{InTenant, Params, Shared};
use crate::http::keys::KeyJson;
use crate::http::moment::{Then, ThenJson};
use crate::http::opened::open_diff;
use crate::http::policies::PolicyJson;
use crate::http::problem::Problem;
use crate::http::tenants::TenantJson;

/// Members that say where a history stands and not what something is: they differ whenever anything happened.
const PLACES: [&str; 2] = ["revision", "position"];

/// The span. Each end is a position, or a time in RFC 3339, which means the last position whose log time is not above it.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct DiffQuery {
    /// What stood here is *before*; 0 is before the first event.
    from: String,
    /// What stood here is *after*; now unless said otherwise.
    to: Option<String>,
}

/// One thing that is not what it was.
#[derive(Serialize, ToSchema)]
#[schema(as = AttributeDiff)]
pub(crate) struct AttributeJson {
    /// Its name, as in the JSON of a key or tenant.
    attribute: String,
    /// What it was; null if it was not.
    before: Value,
    /// What it became.
    after: Value,
}

/// A key that is not what it was.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyDiff)]
pub(crate) struct KeyDiffJson {
    /// Which key.
    key_id: String,
    /// What of it changed.
    changes: Vec<AttributeJson>,
}

/// A policy that is not what it was.
#[derive(Serialize, ToSchema)]
#[schema(as = PolicyDiff)]
pub(crate) struct PolicyDiffJson {
    /// Its name.
    name: String,
    /// What it asked; null if there was none.
    before: Option<PolicyJson>,
    /// What it asks; null if there is none any more.
    after: Option<PolicyJson>,
}

/// All that changed for a tenant.
#[derive(Serialize, ToSchema)]
#[schema(as = Diff)]
pub(crate) struct DiffJson {
    /// Which tenant.
    tenant: String,
    /// The begin of the span.
    from: ThenJson,
    /// Its end.
    to: ThenJson,
    /// What of the tenant itself changed.
    settings: Vec<AttributeJson>,
    /// Its policies that changed, by name.
    policies: Vec<PolicyDiffJson>,
    /// The keys that came to be within the span, as they are at its end, by id.
    issued: Vec<KeyJson>,
    /// The keys that were revoked, recalled or expired within the span, as they are at its end.
    ended: Vec<KeyJson>,
    /// The keys that stand on both ends of the span and are not the same, those that ended too.
    changed: Vec<KeyDiffJson>,
    /// The positions within the span of events that this build cannot read: what they changed is not known.
    unreadable: Vec<u64>,
}

/// Compares a tenant with what it was.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/diff", tag = "audit", operation_id = "diff",
    params(("tenant" = String, Path, description = "The tenant"), DiffQuery),
    responses((status = 200, description = "What changed; keys by id", body = DiffJson)),
)]
pub(crate) async fn diff(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    Params(query): Params<DiffQuery>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::AuditRead, &tenant)?;
    let permit = app.gates.readings.clone().try_acquire_owned();
    let _permit = permit.map_err(|_| Problem::new(&codes::TOO_MANY_CLIENTS).retry())?;
    let from = Then::read(&app, "from", Some(&query.from)).await?;
    let to = Then::read(&app, "to", query.to.as_deref()).await?;
    if from.position > to.position {
        let words = format!("from: position {} lies behind to, position {}", from.position, to.position);
        return Err(Problem::new(&codes::BAD_QUERY).detail(words));
    }
    // Whom a recall hit is read from there.
    app.reach_view(app.keys.status(), Some(to.position.get())).await?;
    let found = app.past.diff(&tenant, from.position, to.position).await?;
    let mut found = found.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    open_diff(&app, &mut found).await?;
    if found.after.row.is_none() {
        let words = format!("the tenant was not open yet at position {}", to.position);
        return Err(Problem::new(&codes::NOT_THERE_THEN).detail(words));
    }
    Ok(axum::Json(DiffJson::of(tenant.to_string(), (from, to), found)).into_response())
}

impl DiffJson {
    fn of(tenant: String, (from, to): (Then, Then), found: TenantDiff) -> Self {
        let TenantDiff { before, after, keys, unreadable } = found;
        let shown = |row: Option<&KeyRow>| row.map(KeyJson::from);
        let is_new = |key: &&KeyDiff| key.before.is_none();
        let has_ended_now = |key: &&KeyDiff| !has_ended(key.before.as_ref()) && has_ended(key.after.as_ref());
        Self {
            tenant,
            from: from.into(),
            to: to.into(),
            policies: policies(&before, &after),
            settings: attributes(
                &members(before.row.map(TenantJson::from)),
                &members(after.row.map(TenantJson::from)),
            ),
            issued: keys.iter().filter(is_new).filter_map(|key| shown(key.after.as_ref())).collect(),
            ended: keys.iter().filter(has_ended_now).filter_map(|key| shown(key.after.as_ref())).collect(),
            changed: keys.iter().filter_map(changed).collect(),
            unreadable: unreadable.into_iter().map(Position::get).collect(),
        }
    }
}

fn has_ended(row: Option<&KeyRow>) -> bool {
    row.is_some_and(|row| matches!(row.standing, Standing::Revoked | Standing::Recalled | Standing::Expired))
}

fn changed(key: &KeyDiff) -> Option<KeyDiffJson> {
    let (before, after) = (key.before.as_ref()?, key.after.as_ref()?);
    let changes = attributes(&members(Some(KeyJson::from(before))), &members(Some(KeyJson::from(after))));
    (!changes.is_empty()).then(|| KeyDiffJson { key_id: key.key_id.to_string(), changes })
}

fn policies(before: &TenantThen, after: &TenantThen) -> Vec<PolicyDiffJson> {
    let names: BTreeSet<&PolicyName> = before.policies.keys().chain(after.policies.keys()).collect();
    let pairs = names.into_iter().map(|name| (name, before.policies.get(name), after.policies.get(name)));
    pairs
        .filter(|(_, before, after)| before != after)
        .map(|(name, before, after)| PolicyDiffJson {
            name: name.to_string(),
            before: before.map(PolicyJson::from),
            after: after.map(PolicyJson::from),
        })
        .collect()
}

/// What is shown of something, by name; nothing of what is not there.
fn members(shown: Option<impl Serialize>) -> Map<String, Value> {
    match serde_json::to_value(shown) {
        Ok(Value::Object(members)) => members,
        _ => Map::new(),
    }
}

fn attributes(before: &Map<String, Value>, after: &Map<String, Value>) -> Vec<AttributeJson> {
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let told = names.into_iter().filter(|name| !PLACES.contains(&name.as_str()));
    let pairs = told.map(|name| {
        let of = |members: &Map<String, Value>| members.get(name).cloned().unwrap_or(Value::Null);
        AttributeJson { attribute: name.clone(), before: of(before), after: of(after) }
    });
    pairs.filter(|pair| pair.before != pair.after).collect()
}
