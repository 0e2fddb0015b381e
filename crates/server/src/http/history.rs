//! `GET /v1/tenants/{tenant}/keys/{key_id}/events`: everything that ever happened to a key.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{Permission, Position, StreamName};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{OfKey, Params, Shared, page_limit};
use crate::http::opened::exported;
use crate::http::problem::Problem;

/// Which part of a history.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HistoryQuery {
    /// Only events behind this position: `next` of the page before.
    after: Option<u64>,
    /// Events of a page, 1 to 200; 50 unless said otherwise.
    limit: Option<usize>,
    /// Answer only what is at least as new as this position.
    min_position: Option<u64>,
}

/// A part of a key's history.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyHistory {
    /// The events, oldest first. One that this build cannot read has `unreadable` with the reason.
    events: Vec<Value>,
    /// `after` of the next page; null if this is the last.
    next: Option<u64>,
}

/// Shows a key's history.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/keys/{key_id}/events", tag = "keys", operation_id = "key_history",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The key"),
        HistoryQuery,
    ),
    responses((status = 200, description = "The key's events, oldest first", body = KeyHistory)),
)]
pub(crate) async fn history(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    Params(query): Params<HistoryQuery>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::KeysRead, &tenant)?;
    app.reach_view(app.history.status(), query.min_position).await?;
    // The recall that hit the key stands in the tenant's history; the key's row leads there.
    app.reach_view(app.keys.status(), query.min_position).await?;
    let stream = StreamName::Key(tenant, key_id);
    let after = Position::new(query.after.unwrap_or(0));
    let page = app.history.events(&stream, after, page_limit(query.limit)?).await?;
    if page.events.is_empty() && after == Position::NONE {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let events = exported(&app, &page.events).await?;
    Ok(axum::Json(KeyHistory { events, next: page.next.map(Position::get) }).into_response())
}
