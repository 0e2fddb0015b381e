//! `GET /v1/events`: the log itself as NDJSON, for auditors: up to the head at the begin, then the answer ends.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{KeyId, Permission, Position, StreamName, TenantId, Timestamp};
use eventlog::{Follower, ReadError, Recorded, StreamId};
use futures_util::stream;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use utoipa::IntoParams;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{Params, Shared, instant, parameter};
use crate::http::problem::Problem;

/// How long the log may take for its next events: they are all there, so longer than this means that it is away.
const NEXT_WITHIN: Duration = Duration::from_secs(10);

/// Bytes of one piece of the answer: few system calls, little memory a reader.
const PIECE: usize = 64 * 1024;

/// Which events.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The first position; 1 unless said otherwise.
    from: Option<u64>,
    /// The last position; the log's head unless said otherwise.
    to: Option<u64>,
    /// Only this tenant's. Needed by an operator that is bound to tenants.
    tenant: Option<String>,
    /// Only this key's.
    key: Option<String>,
    /// Only what happened at or after this instant, RFC 3339.
    since: Option<String>,
    /// Only what happened before this instant, RFC 3339.
    until: Option<String>,
    /// Answer only what is at least as new as this position.
    min_position: Option<u64>,
}

/// What a reader wants to see.
struct Filter {
    tenant: Option<TenantId>,
    key: Option<KeyId>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
}

/// One reader on its way through the log.
struct Reading {
    app: Shared,
    follower: Box<dyn Follower>,
    filter: Filter,
    last: Position,
    waiting: VecDeque<Recorded>,
    done: bool,
    _permit: OwnedSemaphorePermit,
}

/// Streams the log.
#[utoipa::path(
    get, path = "/v1/events", tag = "audit", operation_id = "events", params(EventsQuery),
    responses((
        status = 200, content_type = "application/x-ndjson", body = String,
        description = "One event a line, up to the head at the begin. An answer that breaks off is not whole. An event that \
                       this build cannot read has `unreadable` with the reason",
    )),
)]
pub(crate) async fn events(
    State(app): State<Shared>,
    operator: Operator,
    Params(query): Params<EventsQuery>,
) -> Result<Response, Problem> {
    let tenant: Option<TenantId> = parameter("tenant", query.tenant.as_deref())?;
    operator.require_for(Permission::AuditRead, tenant.as_ref())?;
    let filter = Filter {
        tenant,
        key: parameter("key", query.key.as_deref())?,
        since: instant("since", query.since.as_deref())?,
        until: instant("until", query.until.as_deref())?,
    };
    app.reach_index(query.min_position).await?;
    if let Some(tenant) = &filter.tenant
        && !is_there(&app, tenant).await?
    {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let permit = app.gates.readings.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(&codes::TOO_MANY_CLIENTS).retry())?;
    let head = app.log.head().await.map_err(|error| away(&error))?;
    let last = query.to.map_or(head, |to| Position::new(to).min(head));
    let after = Position::new(query.from.unwrap_or(1).saturating_sub(1));
    let done = after >= last;
    let follower = app.log.follow(after.min(head)).await.map_err(|error| away(&error))?;
    let reading = Reading { app, follower, filter, last, waiting: VecDeque::new(), done, _permit: permit };
    let body = Body::from_stream(stream::unfold(reading, Reading::next_piece));
    let kind = HeaderValue::from_static("application/x-ndjson");
    Ok(([(header::CONTENT_TYPE, kind)], body).into_response())
}

/// Whether a tenant stands in the log; what the index has not heard of is looked for in the log itself.
async fn is_there(app: &Shared, tenant: &TenantId) -> Result<bool, Problem> {
    if app.index.tenant(tenant).is_some() {
        return Ok(true);
    }
    let stream = StreamId::from(&StreamName::Tenant(tenant.clone()));
    let opened = app.log.read_stream(&stream, Position::NONE).await.map_err(|error| away(&error))?;
    Ok(!opened.is_empty())
}

fn away(error: &ReadError) -> Problem {
    Problem::new(&codes::UNAVAILABLE).detail(error.to_string()).retry()
}

impl Reading {
    /// The next piece of the answer. An error breaks the answer off, so that nobody takes a part for the whole.
    async fn next_piece(mut self) -> Option<(Result<Bytes, io::Error>, Self)> {
        let mut piece = Vec::new();
        while piece.len() < PIECE && !self.done {
            let Some(event) = self.waiting.pop_front() else {
                if !piece.is_empty() {
                    break;
                }
                if let Err(error) = self.fill().await {
                    tracing::warn!(error = %error, "an answer to an auditor was broken off");
                    self.done = true;
                    return Some((Err(error), self));
                }
                continue;
            };
            self.done = event.position >= self.last;
            if event.position <= self.last {
                self.filter.write(&event, &mut piece);
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

impl Filter {
    /// Writes the event as a line if it is wanted. One that cannot be read is shown where nothing excludes it.
    fn write(&self, event: &Recorded, piece: &mut Vec<u8>) {
        let stream: Option<StreamName> = event.stream.as_str().parse().ok();
        let tenant = stream.as_ref().map(StreamName::tenant);
        let of_tenant = self.tenant.as_ref().is_none_or(|wanted| tenant == Some(wanted));
        let of_key =
            self.key.is_none_or(|wanted| stream.as_ref().and_then(StreamName::key_id) == Some(wanted));
        if !(of_tenant && of_key) {
            return;
        }
        let read = stream.as_ref().map(|stream| wire::decode(stream, &event.payload));
        let unreadable = |reason: &str| json!({"position": event.position.get(), "stream": event.stream.as_str(), "unreadable": reason});
        let line = match read {
            Some(Ok(envelope)) => {
                let at = envelope.occurred_at;
                if self.since.is_some_and(|since| at < since) || self.until.is_some_and(|until| at >= until) {
                    return;
                }
                wire::export(&envelope, event.position)
            }
            Some(Err(error)) => unreadable(&error.to_string()),
            None => unreadable("its stream is neither a key's nor a tenant's"),
        };
        // A JSON value always serialises into memory.
        let _ = serde_json::to_writer(&mut *piece, &line);
        piece.push(b'\n');
    }
}
