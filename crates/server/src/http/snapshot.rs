//! `GET /v1/guard/snapshot`: all keys of a tenant, for a guard that keeps them all.

use std::collections::VecDeque;
use std::io;
use std::io::Write;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{KeyId, TenantId};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;
use utoipa::IntoParams;
use wire::guard::{SnapshotBegin, SnapshotEnd};

use crate::guards::{filled, of_tenant};
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{Params, Shared};
use crate::http::guard::known;
use crate::http::opened::name_owners;
use crate::http::problem::Problem;

/// Bytes of one piece of the answer.
const PIECE: usize = 64 * 1024;
/// Keys whose owners' names are opened together.
const AT_ONCE: usize = 128;

/// Which guard asks, and for what at least.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct SnapshotQuery {
    /// A guard that is registered here; the keys are its tenant's.
    guard_id: String,
    /// Answer only what is at least as new as this position.
    at_least: Option<u64>,
}

/// Streams all keys of a tenant.
#[utoipa::path(
    get, path = "/v1/guard/snapshot", tag = "guard", operation_id = "guard_snapshot", params(SnapshotQuery),
    responses((
        status = 200, content_type = "application/x-ndjson", body = String,
        description = "NDJSON: a SnapshotBegin, a FilledKey for each key in no order, a SnapshotEnd. Without the last line it \
                       broke off",
    )),
)]
pub(crate) async fn snapshot(
    State(app): State<Shared>,
    operator: Operator,
    Params(query): Params<SnapshotQuery>,
) -> Result<Response, Problem> {
    let (_, introduction) = known(&app, &operator, &query.guard_id)?;
    app.reach_index(query.at_least).await?;
    let permit = app.gates.readings.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(&codes::TOO_MANY_CLIENTS).retry())?;
    // The position before the rows: they are at least as new.
    let as_of = app.index.applied();
    let begin = SnapshotBegin {
        log_id: app.log.log_id().to_string(),
        as_of: as_of.get(),
        tenant: of_tenant(&app.index, &introduction.tenant),
    };
    // Ids alone: 16 bytes a key for as long as the answer takes.
    let keys = VecDeque::from(app.index.keys_of(&introduction.tenant));
    let mut first = Vec::with_capacity(PIECE);
    line(&mut first, &begin);
    let sending = Sending {
        app,
        tenant: introduction.tenant,
        keys,
        sent: 0,
        piece: first,
        done: false,
        _permit: permit,
    };
    let body = Body::from_stream(stream::unfold(sending, Sending::next_piece));
    let kind = HeaderValue::from_static("application/x-ndjson");
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// A snapshot on its way. Keys that come meanwhile are announced; a guard hears the feed before it asks.
struct Sending {
    app: Shared,
    tenant: TenantId,
    keys: VecDeque<KeyId>,
    sent: u64,
    piece: Vec<u8>,
    done: bool,
    _permit: OwnedSemaphorePermit,
}

impl Sending {
    async fn next_piece(mut self) -> Option<(Result<Bytes, io::Error>, Self)> {
        while self.piece.len() < PIECE && !self.done {
            let next = self.keys.drain(..self.keys.len().min(AT_ONCE));
            // Of a key whose issue cannot be read there is nothing to tell: no secret opens it.
            let facts = next.filter_map(|key_id| self.app.index.facts(&self.tenant, key_id));
            let mut keys: Vec<_> = facts.map(|facts| filled(&facts)).collect();
            if let Err(problem) = name_owners(&self.app, &self.tenant, keys.iter_mut()).await {
                self.done = true;
                return Some((Err(io::Error::other(problem.said().to_owned())), self));
            }
            for key in &keys {
                line(&mut self.piece, key);
            }
            self.sent += keys.len() as u64;
            if self.keys.is_empty() {
                line(&mut self.piece, &SnapshotEnd { keys: self.sent });
                self.done = true;
            }
        }
        if self.piece.is_empty() {
            return None;
        }
        let piece = std::mem::replace(&mut self.piece, Vec::with_capacity(PIECE));
        Some((Ok(piece.into()), self))
    }
}

fn line(piece: &mut Vec<u8>, value: &impl Serialize) {
    // Neither strings and numbers nor writing into memory can fail.
    let _ = serde_json::to_writer(&mut *piece, value);
    let _ = piece.write_all(b"\n");
}
