//! `GET /v1/log/records`: the log byte for byte, in the records of an archive's segments, for exports.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{Permission, Position};
use eventlog::{Follower, Recorded};
use futures_util::stream;
use proof::encode_event;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use utoipa::IntoParams;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{Params, Shared};
use crate::http::problem::Problem;
use crate::http::transparency::event_of;

/// How long the log may take for its next events: they are all there.
const NEXT_WITHIN: Duration = Duration::from_secs(10);
/// Bytes of one piece of the answer.
const PIECE: usize = 256 * 1024;

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RecordsQuery {
    /// Only those behind this position.
    after: Option<u64>,
    /// The last one; the log's head unless said otherwise.
    to: Option<u64>,
}

/// Streams the log as it is stored.
#[utoipa::path(
    get, path = "/v1/log/records", tag = "audit", operation_id = "log_records", params(RecordsQuery),
    responses((status = 200, content_type = "application/octet-stream",
        description = "Records as an archive's segments hold them, up to the head at the begin. An answer that breaks off is not whole")),
)]
pub(crate) async fn records(
    State(app): State<Shared>,
    operator: Operator,
    Params(query): Params<RecordsQuery>,
) -> Result<Response, Problem> {
    operator.require_for(Permission::AuditRead, None)?;
    let permit = app.gates.readings.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(&codes::TOO_MANY_CLIENTS).retry())?;
    let away =
        |error: &dyn std::fmt::Display| Problem::new(&codes::UNAVAILABLE).detail(error.to_string()).retry();
    let head = app.log.head().await.map_err(|error| away(&error))?;
    let last = query.to.map_or(head, |to| Position::new(to).min(head));
    let after = Position::new(query.after.unwrap_or(0)).min(head);
    let follower = app.log.follow(after).await.map_err(|error| away(&error))?;
    let reading =
        Reading { app, follower, last, done: after >= last, waiting: VecDeque::new(), _permit: permit };
    let body = Body::from_stream(stream::unfold(reading, Reading::next_piece));
    let kind = HeaderValue::from_static("application/octet-stream");
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// One reader on its way through the log.
struct Reading {
    app: Shared,
    follower: Box<dyn Follower>,
    last: Position,
    waiting: VecDeque<Recorded>,
    done: bool,
    _permit: OwnedSemaphorePermit,
}

impl Reading {
    /// The next piece. An error breaks the answer off, so that nobody takes a part for the whole.
    async fn next_piece(mut self) -> Option<(io::Result<Bytes>, Self)> {
        let mut piece = Vec::new();
        while piece.len() < PIECE && !self.done {
            let Some(event) = self.waiting.pop_front() else {
                if let Err(error) = self.fill().await {
                    tracing::warn!(%error, "an export was broken off");
                    self.done = true;
                    return Some((Err(error), self));
                }
                continue;
            };
            self.done = event.position >= self.last;
            if event.position <= self.last
                && let Err(reason) = encode_event(&event_of(event), &mut piece)
            {
                self.done = true;
                return Some((Err(io::Error::other(reason)), self));
            }
        }
        (!piece.is_empty()).then(|| (Ok(piece.into()), self))
    }

    async fn fill(&mut self) -> io::Result<()> {
        let mut stopping = self.app.stopping.clone();
        let next = tokio::select! {
            next = timeout(NEXT_WITHIN, self.follower.next()) => next,
            _ = stopping.wait_for(|stopping| *stopping) => return Err(io::Error::other("the server stops")),
        };
        let events = next.map_err(|_| io::Error::other("the log did not answer in time"))?;
        self.waiting.extend(events.map_err(io::Error::other)?);
        Ok(())
    }
}
