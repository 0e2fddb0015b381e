//! `/v1/log/…`: the log as a transparency log: its checkpoint and tiles as C2SP tlog-tiles has them, static and cacheable.

use std::io;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{Permission, Position};
use proof::{LogEvent, TilePath};
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::Shared;
use crate::http::problem::Problem;
use crate::http::reading::read_events;
use crate::notary::{Notary, Published};

/// A checkpoint is old after a moment.
const A_MOMENT: HeaderValue = HeaderValue::from_static("public, max-age=1");
/// A tile never changes.
const FOR_EVER: HeaderValue = HeaderValue::from_static("public, max-age=31536000, immutable");
/// Entries never change either, and are not for everybody.
const FOR_EVER_PRIVATELY: HeaderValue = HeaderValue::from_static("private, max-age=31536000, immutable");
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
const BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// The notary of this server, or the problem that it has none.
pub(super) fn notary(app: &Shared) -> Result<&Arc<Notary>, Problem> {
    app.notary.as_ref().ok_or_else(|| Problem::new(&codes::NO_NOTARY))
}

/// What it has published, or the problem that there is nothing yet.
pub(super) fn published(notary: &Notary) -> Result<Published, Problem> {
    notary.published().ok_or_else(|| Problem::new(&codes::NO_CHECKPOINT_YET).retry())
}

/// Shows the last checkpoint.
#[utoipa::path(
    get, path = "/v1/log/checkpoint", tag = "audit", operation_id = "log_checkpoint", security(()),
    responses((status = 200, content_type = "text/plain", body = String,
        description = "The signed tree head, a note by C2SP tlog-checkpoint; at most a second behind the log")),
)]
pub(crate) async fn checkpoint(State(app): State<Shared>) -> Result<Response, Problem> {
    let published = published(notary(&app)?)?;
    let headers = [(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, A_MOMENT)];
    Ok((headers, published.bytes).into_response())
}

/// Shows the checkpoints that were kept before the last one.
#[utoipa::path(
    get, path = "/v1/log/checkpoints", tag = "audit", operation_id = "log_checkpoints", security(()),
    responses((status = 200, content_type = "text/plain", body = String,
        description = "Earlier checkpoints, at most one a minute, oldest first, one behind the other")),
)]
pub(crate) async fn checkpoints(State(app): State<Shared>) -> Result<Response, Problem> {
    let notary = Arc::clone(notary(&app)?);
    let kept = spawn_blocking(move || notary.kept()).await.map_err(|_| Problem::new(&codes::INTERNAL))?;
    let kept = kept.map_err(|error| unreadable(&error))?;
    Ok(([(header::CONTENT_TYPE, TEXT), (header::CACHE_CONTROL, A_MOMENT)], kept).into_response())
}

/// Whose signatures the checkpoints carry.
#[derive(Serialize, ToSchema)]
pub(crate) struct SignersJson {
    /// The first line of every checkpoint of this log.
    origin: String,
    /// The public parts of what signs now. Pin them from elsewhere: who serves the log serves this page as well.
    signers: Vec<String>,
}

/// Shows the public parts of the log's signers.
#[utoipa::path(
    get, path = "/v1/log/signers", tag = "audit", operation_id = "log_signers", security(()),
    responses((status = 200, description = "What the checkpoints are signed with", body = SignersJson)),
)]
pub(crate) async fn signers(State(app): State<Shared>) -> Result<Response, Problem> {
    let notary = notary(&app)?;
    let signers = notary.vkeys().iter().map(ToString::to_string).collect();
    Ok(axum::Json(SignersJson { origin: notary.origin(), signers }).into_response())
}

/// Shows a tile of the tree: hashes alone, which tell nothing of what they are of.
#[utoipa::path(
    get, path = "/v1/log/tile/{level}/{index}", tag = "audit", operation_id = "log_tile", security(()),
    params(
        ("level" = String, Path, description = "The tile level, 0 for leaves"),
        ("index" = String, Path, description = "The tile's index as C2SP tlog-tiles writes it, `x001/234` or `000.p/7` and the like"),
    ),
    responses((status = 200, content_type = "application/octet-stream", description = "Up to 256 hashes of 32 bytes")),
)]
pub(crate) async fn tile(
    State(app): State<Shared>,
    Path((level, index)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let notary = notary(&app)?;
    let size = published(notary)?.size;
    let unknown = || Problem::new(&codes::NO_SUCH_TILE);
    let tile = TilePath::parse(&level, &index).filter(|tile| tile.is_in(size)).ok_or_else(unknown)?;
    let levels = notary.levels();
    let read = spawn_blocking(move || tile.hashes(&levels)).await;
    let bytes = read.map_err(|_| Problem::new(&codes::INTERNAL))?.map_err(|error| unreadable(&error))?;
    Ok(([(header::CONTENT_TYPE, BYTES), (header::CACHE_CONTROL, FOR_EVER)], bytes).into_response())
}

/// Shows the entries of a tile: whole events, so for auditors of all tenants alone.
#[utoipa::path(
    get, path = "/v1/log/tile/entries/{index}", tag = "audit", operation_id = "log_entries",
    params(("index" = String, Path, description = "The tile's index, as of a tile of level 0")),
    responses((status = 200, content_type = "application/octet-stream",
        description = "Up to 256 entries, each with its length in two bytes before it: eight bytes of position, then the event as it is stored")),
)]
pub(crate) async fn entries(
    State(app): State<Shared>,
    operator: Operator,
    Path(index): Path<String>,
) -> Result<Response, Problem> {
    operator.require_for(Permission::AuditRead, None)?;
    let size = published(notary(&app)?)?.size;
    let unknown = || Problem::new(&codes::NO_SUCH_TILE);
    let tile = TilePath::parse("0", &index).filter(|tile| tile.is_in(size)).ok_or_else(unknown)?;
    let events = read_events(&app, Position::new(tile.first()), tile.width()).await?;
    let mut bytes = Vec::new();
    for event in events {
        let entry = event_of(event).entry();
        let length = u16::try_from(entry.len()).map_err(|_| Problem::new(&codes::INTERNAL))?;
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&entry);
    }
    Ok(([(header::CONTENT_TYPE, BYTES), (header::CACHE_CONTROL, FOR_EVER_PRIVATELY)], bytes).into_response())
}

/// An event of the log as the proof sees it.
pub(super) fn event_of(event: eventlog::Recorded) -> LogEvent {
    LogEvent {
        position: event.position,
        stream: event.stream.as_str().into(),
        id: event.id,
        payload: event.payload,
    }
}

fn unreadable(error: &io::Error) -> Problem {
    tracing::warn!(%error, "the notary's files cannot be read");
    Problem::new(&codes::UNAVAILABLE).detail("the notary's files cannot be read now").retry()
}
