//! `/v1/webhooks`: where a tenant's notices are sent to; added, shown, removed, their secrets rotated, dead letters sent again.

mod shown;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::{CommandId, Permission, TenantId};
use projection::tree::TreeError;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::task::spawn_blocking;
use utoipa::{IntoParams, ToSchema};
use wire::NoticeKind;

use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::command::Meta;
use crate::http::extract::{Json, Params, Shared, invalid, page_limit, parameter};
use crate::http::problem::Problem;
use crate::http::webhooks::shown::{
    DeadLetterJson, DeadLetterPage, NewWebhook, Redelivering, RemovedWebhook, RotatedSecret, WebhookJson,
    WebhookList,
};
use crate::policy::span::Span;
use crate::webhooks::{Added, TENANT_MAX, Webhook, WebhookId, WebhookSecret, look_up, read_url};

/// For how long the secret before still signs, unless said otherwise: a day is enough to change a receiver's configuration.
const OVERLAP: Span = Span(24 * 3600 * 1000);
/// A secret that still counts after longer than this was not rotated.
const OVERLAP_MAX: Span = Span(7 * 24 * 3600 * 1000);
/// Dead letters that are named in one request; to send all again, name none.
const POSITIONS_MAX: usize = 200;

/// A webhook to add.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AddBody {
    /// Whose notices.
    tenant: String,
    /// Where to: https, and public unless the server says otherwise.
    url: String,
    /// Which kinds: `revoked`, `recalled` and so on; all unless said otherwise.
    #[serde(default)]
    kinds: Vec<String>,
}

/// How to rotate a secret.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RotateBody {
    /// For how long deliveries are signed with both, such as `1h`; a day unless said otherwise, `none` for a secret that others
    /// know, at most 7 days.
    overlap: Option<String>,
}

/// Which dead letters to send again.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RedeliverBody {
    /// By position; all unless said otherwise.
    #[serde(default)]
    positions: Vec<u64>,
}

/// Which webhooks.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListQuery {
    /// Only this tenant's. Needed by an operator that is bound to tenants.
    tenant: Option<String>,
}

/// Which dead letters.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct LettersQuery {
    /// Only those behind this position.
    after: Option<u64>,
    /// At most so many: 1 to 200, 50 unless said otherwise.
    limit: Option<usize>,
}

/// Adds a webhook; it is sent what is announced from now on.
#[utoipa::path(
    post, path = "/v1/webhooks", tag = "webhooks", operation_id = "add_webhook", request_body = AddBody,
    params(("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one adds nothing, and does not show the secret again")),
    responses(
        (status = 201, description = "Added; the secret is shown this once", body = NewWebhook),
        (status = 200, description = "This command added it before; the secret was shown then", body = NewWebhook),
    ),
)]
pub(crate) async fn add(
    State(app): State<Shared>,
    operator: Operator,
    meta: Meta,
    Json(body): Json<AddBody>,
) -> Result<Response, Problem> {
    let tenant: TenantId = body.tenant.parse().map_err(|_| Problem::new(&codes::NOT_FOUND))?;
    operator.require_in(Permission::TenantsAdmin, &tenant)?;
    let state = app.index.tenant(&tenant).ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    if state.closed {
        return Err(Problem::new(&codes::TENANT_CLOSED));
    }
    let kinds = read_kinds(body.kinds)?;
    check_url(&app, &body.url).await?;
    let request = meta.by(&operator);
    let id = webhook_id(&tenant, &request.command_id);
    let by = (app.ambient.now().as_millis(), operator.key_id.to_string());
    let secret = WebhookSecret::draw(|bytes| app.ambient.fill(bytes));
    let webhook = Webhook::new(tenant, body.url, kinds, by, secret, state.last_notice.get());
    let now = app.ambient.now();
    match app.webhooks.add(id, webhook.clone()).await.map_err(away)? {
        Added::New => {
            tracing::info!(webhook.id = %id, operator.id = %operator.key_id, "a webhook was added");
            let answer = NewWebhook::shown(id, &webhook, now);
            Ok((StatusCode::CREATED, axum::Json(answer)).into_response())
        }
        Added::There(there) if there.url == webhook.url && there.kinds == webhook.kinds => {
            Ok(axum::Json(NewWebhook::repeated(id, &there, now)).into_response())
        }
        Added::There(_) => Err(Problem::new(&codes::COMMAND_ID_REUSED)),
        Added::TooMany => Err(Problem::new(&codes::TOO_MANY_WEBHOOKS)
            .detail(format!("a tenant has at most {TENANT_MAX} on a server"))),
    }
}

fn read_kinds(mut kinds: Vec<String>) -> Result<Vec<String>, Problem> {
    let known = |kind: &String| NoticeKind::ALL.iter().any(|known| known.as_str() == kind);
    if !kinds.iter().all(known) {
        let all: Vec<&str> = NoticeKind::ALL.iter().map(|kind| kind.as_str()).collect();
        return Err(invalid("kinds", &format!("each is one of {}", all.join(", "))));
    }
    kinds.sort_unstable();
    kinds.dedup();
    Ok(kinds)
}

async fn check_url(app: &App, text: &str) -> Result<(), Problem> {
    let reach = app.webhooks.reach();
    let url = read_url(text, reach).map_err(|error| invalid("url", &error))?;
    // Bounded inside.
    let looked_up = spawn_blocking(move || look_up(&url, reach)).await;
    let looked_up = looked_up.map_err(|_| Problem::new(&codes::INTERNAL))?;
    looked_up.map_err(|refused| Problem::new(&codes::ADDRESS_REFUSED).detail(refused.to_string()))
}

/// Follows from tenant and command, so that a repeat meets its own webhook.
fn webhook_id(tenant: &TenantId, command: &CommandId) -> WebhookId {
    let digest = Sha256::digest(format!("rescind webhook\n{tenant}\n{}", command.as_str()));
    WebhookId::from_digest(&digest)
}

/// Lists webhooks, by id.
#[utoipa::path(
    get, path = "/v1/webhooks", tag = "webhooks", operation_id = "list_webhooks", params(ListQuery),
    responses((status = 200, description = "The webhooks of this server", body = WebhookList)),
)]
pub(crate) async fn list(
    State(app): State<Shared>,
    operator: Operator,
    Params(query): Params<ListQuery>,
) -> Result<Response, Problem> {
    let tenant: Option<TenantId> = parameter("tenant", query.tenant.as_deref())?;
    operator.require_for(Permission::TenantsAdmin, tenant.as_ref())?;
    let now = app.ambient.now();
    let webhooks = app.webhooks.list(tenant.as_ref());
    let webhooks = webhooks.iter().map(|(id, webhook)| WebhookJson::of(*id, webhook, now)).collect();
    Ok(axum::Json(WebhookList { webhooks }).into_response())
}

/// Shows one webhook.
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", operation_id = "show_webhook",
    params(("webhook_id" = String, Path, description = "The webhook")),
    responses((status = 200, description = "The webhook", body = WebhookJson)),
)]
pub(crate) async fn show(
    State(app): State<Shared>,
    operator: Operator,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    let (id, webhook) = find(&app, &operator, &id)?;
    Ok(axum::Json(WebhookJson::of(id, &webhook, app.ambient.now())).into_response())
}

/// Removes a webhook and its dead letters. Nothing is sent to it any more, but for an attempt that is under way.
#[utoipa::path(
    delete, path = "/v1/webhooks/{webhook_id}", tag = "webhooks", operation_id = "remove_webhook",
    params(("webhook_id" = String, Path, description = "The webhook")),
    responses((status = 200, description = "It is gone", body = RemovedWebhook)),
)]
pub(crate) async fn remove(
    State(app): State<Shared>,
    operator: Operator,
    Path(id): Path<String>,
    _meta: Meta,
) -> Result<Response, Problem> {
    let (id, _) = find(&app, &operator, &id)?;
    app.webhooks.remove(id).await.map_err(away)?;
    tracing::info!(webhook.id = %id, operator.id = %operator.key_id, "a webhook was removed");
    Ok(axum::Json(RemovedWebhook { webhook_id: id.to_string() }).into_response())
}

/// Gives a webhook a new secret. Deliveries are signed with both for a while.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook_id}/rotate-secret", tag = "webhooks", operation_id = "rotate_webhook_secret",
    request_body = RotateBody,
    params(
        ("webhook_id" = String, Path, description = "The webhook"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one rotates nothing, and does not show the secret again"),
    ),
    responses((status = 200, description = "The new secret, shown this once", body = RotatedSecret)),
)]
pub(crate) async fn rotate_secret(
    State(app): State<Shared>,
    operator: Operator,
    Path(id): Path<String>,
    meta: Meta,
    Json(body): Json<RotateBody>,
) -> Result<Response, Problem> {
    let (id, _) = find(&app, &operator, &id)?;
    let Span(overlap) = match body.overlap.as_deref() {
        None => OVERLAP,
        Some("none") => Span(0),
        Some(text) => text.parse().map_err(|error| invalid("overlap", &error))?,
    };
    if overlap > OVERLAP_MAX.0 {
        return Err(invalid("overlap", &format!("it is at most {OVERLAP_MAX}")));
    }
    let secret = WebhookSecret::draw(|bytes| app.ambient.fill(bytes));
    let until = app.ambient.now().as_millis().saturating_add(overlap);
    let command = meta.by(&operator).command_id.as_str().to_owned();
    let rotated = app.webhooks.rotate(id, secret.clone(), until, command).await.map_err(away)?;
    let webhook = app.webhooks.find(id).ok_or_else(|| Problem::new(&codes::NO_SUCH_WEBHOOK))?;
    if rotated {
        tracing::info!(webhook.id = %id, operator.id = %operator.key_id, "the secret of a webhook was rotated");
    }
    let shown = rotated.then_some(&secret);
    Ok(axum::Json(RotatedSecret::of(id, shown, &webhook, app.ambient.now())).into_response())
}

/// Lists the notices that a webhook gave up, by position.
#[utoipa::path(
    get, path = "/v1/webhooks/{webhook_id}/dead-letters", tag = "webhooks", operation_id = "list_dead_letters",
    params(("webhook_id" = String, Path, description = "The webhook"), LettersQuery),
    responses((status = 200, description = "Dead letters", body = DeadLetterPage)),
)]
pub(crate) async fn dead_letters(
    State(app): State<Shared>,
    operator: Operator,
    Path(id): Path<String>,
    Params(query): Params<LettersQuery>,
) -> Result<Response, Problem> {
    let (id, _) = find(&app, &operator, &id)?;
    let limit = page_limit(query.limit)?;
    let letters = app.webhooks.dead_letters(id, query.after.unwrap_or(0), limit).await.map_err(away)?;
    let dead_letters =
        letters.iter().map(|(position, letter)| DeadLetterJson::of(*position, letter)).collect();
    Ok(axum::Json(DeadLetterPage { dead_letters }).into_response())
}

/// Sends dead letters again, one attempt each, enables the webhook if it is disabled, and tries at once what waits.
#[utoipa::path(
    post, path = "/v1/webhooks/{webhook_id}/redeliver", tag = "webhooks", operation_id = "redeliver",
    request_body = RedeliverBody,
    params(("webhook_id" = String, Path, description = "The webhook")),
    responses((status = 200, description = "How many will be sent again", body = Redelivering)),
)]
pub(crate) async fn redeliver(
    State(app): State<Shared>,
    operator: Operator,
    Path(id): Path<String>,
    _meta: Meta,
    Json(body): Json<RedeliverBody>,
) -> Result<Response, Problem> {
    let (id, _) = find(&app, &operator, &id)?;
    if body.positions.len() > POSITIONS_MAX {
        return Err(invalid("positions", &format!("at most {POSITIONS_MAX} are named in one request")));
    }
    let redelivering = app.webhooks.redeliver(id, body.positions).await.map_err(away)?;
    tracing::info!(webhook.id = %id, operator.id = %operator.key_id, redelivering, "dead letters are sent again");
    Ok(axum::Json(Redelivering { webhook_id: id.to_string(), redelivering }).into_response())
}

/// A webhook that this operator may see. What it may not see does not exist.
fn find(app: &App, operator: &Operator, id: &str) -> Result<(WebhookId, Webhook), Problem> {
    let missing = || Problem::new(&codes::NO_SUCH_WEBHOOK);
    if !operator.permits_somewhere(Permission::TenantsAdmin) {
        return Err(crate::http::auth::scope_missing(Permission::TenantsAdmin, None));
    }
    let id: WebhookId = id.parse().map_err(|()| missing())?;
    let webhook = app.webhooks.find(id).ok_or_else(missing)?;
    operator.require_in(Permission::TenantsAdmin, &webhook.tenant).map_err(|_| missing())?;
    Ok((id, webhook))
}

fn away(error: TreeError) -> Problem {
    tracing::error!(%error, "the record of webhooks cannot be used");
    Problem::new(&codes::RECORD_FAILED).retry()
}
