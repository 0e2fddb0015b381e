//! That one event is in the log: `GET /v1/log/proof/{position}`, and the proof on a receipt.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{Permission, Position};
use proof::{Checkpoint, EventProof, prove};
use serde::Serialize;
use tokio::task::spawn_blocking;
use utoipa::ToSchema;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::Shared;
use crate::http::problem::Problem;
use crate::http::reading::read_events;
use crate::http::transparency::{notary, published};
use crate::notary::{Notary, Published};

/// Whether it is proven that an event is in the log.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[schema(as = Proof)]
pub(crate) enum ProofJson {
    /// `pending`: no checkpoint covers it yet, ask again in a second. `no_notary`: this server signs none.
    State(&'static str),
    /// The path from the event's leaf to the root of the checkpoint's tree.
    Path {
        /// The event's position; its leaf has the index below.
        position: u64,
        /// From the leaf's sibling up, in base64.
        hashes: Vec<String>,
        /// The signed tree head, a note by C2SP tlog-checkpoint.
        checkpoint: String,
    },
}

/// The proof of an event as a receipt shows it.
pub(super) async fn proof_of(app: &Shared, position: Position) -> ProofJson {
    let Some(notary) = &app.notary else { return ProofJson::State("no_notary") };
    let Some(published) = notary.published().filter(|published| position.get() <= published.size) else {
        return ProofJson::State("pending");
    };
    match path(notary, published.clone(), position).await {
        Ok(hashes) => ProofJson::Path {
            position: position.get(),
            hashes: hashes.iter().map(ToString::to_string).collect(),
            checkpoint: String::from_utf8_lossy(&published.bytes).into_owned(),
        },
        // The receipt itself is not held up by a disk that does not read.
        Err(_) => ProofJson::State("pending"),
    }
}

/// Shows an event with its proof, in one small file.
#[utoipa::path(
    get, path = "/v1/log/proof/{position}", tag = "audit", operation_id = "log_proof",
    params(("position" = u64, Path, description = "The event's position")),
    responses((status = 200, content_type = "text/plain", body = String,
        description = "A proof by C2SP tlog-proof; its extra data are the event's bytes as they are stored")),
)]
pub(crate) async fn show(
    State(app): State<Shared>,
    operator: Operator,
    Path(position): Path<String>,
) -> Result<Response, Problem> {
    let notary = notary(&app)?;
    let unknown = || Problem::new(&codes::NO_SUCH_EVENT);
    let position: u64 = position.parse().ok().filter(|position| *position > 0).ok_or_else(unknown)?;
    let position = Position::new(position);
    let published = published(notary)?;
    if position.get() > published.size {
        let head = app
            .log
            .head()
            .await
            .map_err(|error| Problem::new(&codes::UNAVAILABLE).detail(error.to_string()).retry())?;
        return Err(if position > head { unknown() } else { Problem::new(&codes::PROOF_PENDING).retry() });
    }
    let events = read_events(&app, Position::new(position.get() - 1), 1).await?;
    let event = events.into_iter().next().ok_or_else(unknown)?;
    let tenant = event.stream.as_str().parse().ok();
    let tenant = tenant.as_ref().map(domain::StreamName::tenant);
    // Who is bound to other tenants does not learn what stands there.
    operator
        .require_for(Permission::AuditRead, tenant)
        .map_err(|problem| if *problem.code == codes::NOT_FOUND { unknown() } else { problem })?;
    let hashes = path(notary, published.clone(), position).await?;
    let checkpoint = Checkpoint::parse(&published.bytes).map_err(|_| Problem::new(&codes::INTERNAL))?;
    let proof = EventProof { position, payload: event.payload.to_vec(), hashes, checkpoint };
    let kind = HeaderValue::from_static("text/plain; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], proof.to_text()).into_response())
}

async fn path(
    notary: &Arc<Notary>,
    published: Published,
    position: Position,
) -> Result<Vec<proof::Hash>, Problem> {
    let levels = notary.levels();
    let path = spawn_blocking(move || prove(&levels, published.size, position)).await;
    path.map_err(|_| Problem::new(&codes::INTERNAL))?.map_err(|error| {
        tracing::warn!(%error, "the notary's files cannot be read");
        Problem::new(&codes::UNAVAILABLE).detail("the notary's files cannot be read now").retry()
    })
}
