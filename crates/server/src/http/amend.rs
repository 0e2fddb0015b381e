//! `PATCH /v1/tenants/{tenant}/keys/{key_id}`: what a key is called, whose it is, what it may do, where and until when.

use std::collections::BTreeMap;

use application::AmendRequest;
use axum::extract::State;
use axum::response::Response;
use domain::{KeyId, Label, Labels, Networks, Permission, PersonalText, ScopeSet, TenantId};
use serde::Deserialize;
use utoipa::ToSchema;
use wire::parse_rfc3339;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::command::{ChangedKey, Meta, about, outcome};
use crate::http::extract::{Json, OfKey, Shared, given, invalid};
use crate::http::problem::Problem;

/// What to change; what is absent stays. All of it happens, or nothing.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct AmendBody {
    /// What people will call it; null takes its name away.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    name: Option<Option<String>>,
    /// Whom it will belong to.
    owner: Option<String>,
    /// All its labels from then on.
    labels: Option<BTreeMap<String, String>>,
    /// All that it will be able to do. More than it has needs keys:issue.
    scopes: Option<Vec<String>>,
    /// All networks that it may be used from; an empty list means anywhere. More than it has needs keys:issue.
    networks: Option<Vec<String>>,
    /// When its time will be up, RFC 3339; null means never.
    #[serde(deserialize_with = "given")]
    #[schema(value_type = Option<String>)]
    expires_at: Option<Option<String>>,
}

impl AmendBody {
    fn read(self, tenant: TenantId, key_id: KeyId, operator: &Operator) -> Result<AmendRequest, Problem> {
        let name = self.name.map(|name| name.as_deref().map(PersonalText::name).transpose()).transpose();
        let owner = self.owner.as_deref().map(PersonalText::name).transpose();
        let labels = self.labels.map(|labels| {
            let labels = labels.iter().map(|(name, value)| Label::new(name, value));
            labels.collect::<Result<Vec<_>, _>>().and_then(Labels::new)
        });
        let scopes = self.scopes.map(ScopeSet::parse).transpose();
        let networks = self.networks.map(Networks::parse).transpose();
        let expires_at = self.expires_at.map(|at| at.as_deref().map(parse_rfc3339).transpose()).transpose();
        let asked = AmendRequest {
            name: name.map_err(|error| invalid("name", &error))?,
            labels: labels.transpose().map_err(|error| invalid("labels", &error))?,
            owner: owner.map_err(|error| invalid("owner", &error))?,
            scopes: scopes.map_err(|error| invalid("scopes", &error))?,
            networks: networks.map_err(|error| invalid("networks", &error))?,
            expires_at: expires_at.map_err(|error| invalid("expires_at", &error))?,
            by: operator.as_issuer(),
            widening: operator.widening(&tenant),
            tenant,
            key_id,
        };
        Ok(asked)
    }
}

/// Changes a key.
#[utoipa::path(
    patch, path = "/v1/tenants/{tenant}/keys/{key_id}", tag = "keys", operation_id = "amend_key",
    request_body = AmendBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The key"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("If-Match" = Option<String>, Header, description = "The revision that the key must have, in quotes"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses((status = 200, description = "The key is as asked for", body = ChangedKey, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"), ("ETag" = String, description = "The key's revision, for If-Match")))),
)]
pub(crate) async fn amend(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    meta: Meta,
    Json(body): Json<AmendBody>,
) -> Result<Response, Problem> {
    operator.require_write(Permission::KeysWrite, &tenant)?;
    let asked = body.read(tenant.clone(), key_id, &operator)?;
    if !asked.asks() {
        return Err(Problem::new(&codes::INVALID_VALUE).detail("nothing to change was named"));
    }
    let request = meta.by(&operator);
    let amended = app.application.amend_key(&request, asked);
    let changed =
        outcome(&app, "amend_key", &request.command_id, None, amended).await.map_err(about(key_id))?;
    Ok(ChangedKey::answer(&app, &tenant, key_id, changed))
}
