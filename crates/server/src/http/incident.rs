//! `GET /v1/tenants/{tenant}/keys/{key_id}/incident`: what became of a key that was in the wrong hands, or may have been.

mod shown;

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{KeyId, Permission, Position, StreamName, TenantId, Timestamp};
use projection::{KeyRow, StoredEvent};
use serde_json::Value;

use crate::fleet::Ending;
use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{OfKey, Params, Shared};
use crate::http::incident::shown::IncidentJson;
use crate::http::keys::AsNewAs;
use crate::http::opened::{exported, open_keys};
use crate::http::problem::Problem;
use crate::http::receipts;
use crate::incident::{Enforcement, Facts, Happened, Successor, Turn, turn};

/// Events of a history that are read at once.
const PAGE: usize = 200;
/// Pages of a history that are read: what is suspended and reinstated more often is no incident any more, and the answer
/// stays below some megabytes.
const PAGES: usize = 25;
/// Only for what ended so long ago a receipt is opened anew: before that, whoever ended it may be about to.
const SETTLED_MS: u64 = 10_000;

/// Shows what became of a key, from the first event by which it was refused to the last attempt on it.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/keys/{key_id}/incident", tag = "audit", operation_id = "incident",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The key"),
        AsNewAs,
    ),
    responses((status = 200, description = "The timeline and for how long the key could be used, each figure with how well it is known", body = IncidentJson)),
)]
pub(crate) async fn show(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    Params(query): Params<AsNewAs>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::AuditRead, &tenant)?;
    app.reach_view(app.keys.status(), query.min_position).await?;
    app.reach_view(app.history.status(), query.min_position).await?;
    let row = app.keys.one(&tenant, key_id).await?;
    let mut row = row.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    open_keys(&app, std::slice::from_mut(&mut row)).await?;
    let now = app.ambient.now();
    let (stored, whole) = history(&app, &tenant, key_id).await?;
    let shown = exported(&app, &stored).await?;
    let events: Vec<Happened> =
        stored.iter().zip(shown).map(|(event, shown)| happened(event, shown)).collect();
    let mut enforcements = BTreeMap::new();
    for event in &events {
        if let Some(enforcement) = enforcement(&app, &tenant, event, now).await {
            enforcements.insert(event.position, enforcement);
        }
    }
    let since = events.first().and_then(|event| event.at).unwrap_or_default();
    let facts = Facts {
        usage: app.usage.of_key(&tenant, key_id, now).await?,
        unknown: app.usage.coverage(&tenant, since, now).unknown().to_vec(),
        successor: successor(&app, &row).await?,
        events,
        enforcements,
        now,
    };
    let shown = IncidentJson::of(&row, &facts, whole, app.usage.known_until());
    Ok(axum::Json(shown).into_response())
}

/// The key's history, and whether that is all of it.
async fn history(app: &App, tenant: &TenantId, key_id: KeyId) -> Result<(Vec<StoredEvent>, bool), Problem> {
    let stream = StreamName::Key(tenant.clone(), key_id);
    let (mut events, mut after) = (Vec::new(), Position::NONE);
    for _ in 0..PAGES {
        let page = app.history.events(&stream, after, PAGE).await?;
        events.extend(page.events);
        match page.next {
            Some(next) => after = next,
            None => return Ok((events, true)),
        }
    }
    Ok((events, false))
}

fn happened(event: &StoredEvent, shown: Value) -> Happened {
    let read = event.read();
    Happened {
        position: event.position,
        at: read.as_ref().ok().map(|envelope| envelope.occurred_at),
        turn: read.as_ref().map_or(Turn::Told, turn),
        shown,
    }
}

/// Who enforced an ending: from the receipt at hand, from the record, or, where both are gone, who refuses by now.
async fn enforcement(app: &App, tenant: &TenantId, event: &Happened, now: Timestamp) -> Option<Enforcement> {
    let at = event.at.filter(|_| matches!(event.turn, Turn::Ends(what) if what != "expiry"))?;
    let ending = Ending { tenant: tenant.clone(), position: event.position, at, effective_at: None };
    let may_open = at.plus_millis(SETTLED_MS) < now;
    receipts::of_ending(app, ending, may_open).await.and_then(|receipt| serde_json::from_value(receipt).ok())
}

async fn successor(app: &App, row: &KeyRow) -> Result<Option<Successor>, Problem> {
    let Some(rotation) = &row.rotation else { return Ok(None) };
    let counted = app.usage.first_used(&row.tenant, rotation.successor).await?;
    let standing = app.keys.one(&row.tenant, rotation.successor).await?.map(|row| row.standing.as_str());
    // The record may have begun after the log had it, or have it before.
    let first_used = counted.into_iter().chain(rotation.adopted_at).min();
    Ok(Some(Successor { key_id: rotation.successor, standing: standing.unwrap_or("unknown"), first_used }))
}
