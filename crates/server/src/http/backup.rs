//! `GET /v1/backup/seals`: every seal, for a backup that is taken while the server is at work.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::Permission;
use eventlog::ReadError;
use tracing::info;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::Shared;
use crate::http::problem::Problem;
use crate::keep::Seal;

/// Tells every seal, for a backup: with them personal fields can be read, so only who administers everything may.
#[utoipa::path(
    get, path = "/v1/backup/seals", tag = "audit", operation_id = "backup_seals",
    responses((
        status = 200, content_type = "application/x-ndjson", body = String,
        description = "A seal a line. Secret: with it what the log says of persons can be read. Needs `audit:read` and \
                       `tenants:admin` in every tenant",
    )),
)]
pub(crate) async fn seals(State(app): State<Shared>, operator: Operator) -> Result<Response, Problem> {
    operator.require_everywhere(Permission::AuditRead)?;
    operator.require_everywhere(Permission::TenantsAdmin)?;
    let seals = Seal::of_all(&app.seals.carry().await.map_err(|error| away(&error))?);
    info!(operator = %operator.key_id, seals = seals.len(), "the seals were read for a backup");
    let mut lines = Vec::new();
    for seal in &seals {
        // Neither texts nor writing into memory can fail.
        let _ = serde_json::to_writer(&mut lines, seal);
        lines.push(b'\n');
    }
    let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    let uncached = (header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(([kind, uncached], lines).into_response())
}

fn away(error: &ReadError) -> Problem {
    Problem::new(&codes::UNAVAILABLE).detail(error.to_string()).retry()
}
