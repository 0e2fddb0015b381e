//! `GET /v1/feed`: notices as server-sent events, with resume, and a heartbeat that proves what was heard up to when.

use std::convert::Infallible;
use std::fmt::Write;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{Permission, Position, TenantId};
use futures_util::stream;
use projection::{LiveNotice, MAX_PAGE, QueryError, Status};
use serde::Deserialize;
use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::{OwnedSemaphorePermit, broadcast, watch};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use utoipa::IntoParams;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{Params, Shared, parameter};
use crate::http::problem::Problem;
use crate::http::stuck::Carries;

/// How often a client hears that all is well. A consumer that hears nothing for a few of these connects again.
const HEARTBEAT: Duration = Duration::from_secs(1);

/// What a client is told to wait before it connects again.
const RETRY_MS: u32 = 1000;

/// How long the view of notices may take to show what the index has: it is milliseconds behind, unless it is being built.
const VIEW_WITHIN: Duration = Duration::from_secs(5);

/// The pause before a view that does not answer is asked again.
const VIEW_AGAIN: Duration = Duration::from_millis(100);

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Which notices.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FeedQuery {
    /// Only this tenant's. Needed by an operator that is bound to tenants.
    tenant: Option<String>,
    /// The same as the header Last-Event-ID, for clients that cannot send it.
    last_event_id: Option<String>,
}

/// Begins a feed.
#[utoipa::path(
    get, path = "/v1/feed", tag = "feed", operation_id = "feed",
    params(FeedQuery, ("Last-Event-ID" = Option<u64>, Header, description = "The position heard last")),
    responses((
        status = 200, content_type = "text/event-stream", body = String,
        description = "Server-sent events without an end: `hello` {log_id, head, last_notice}; notices, named by their kind, \
                       with their position as id and CloudEvents JSON as data; each second `heartbeat` {head, last_notice} \
                       with the head as id, sent only when every notice up to it was; `reset` when Last-Event-ID is of \
                       another log",
    )),
)]
pub(crate) async fn feed(
    State(app): State<Shared>,
    operator: Operator,
    Params(query): Params<FeedQuery>,
    connection: Option<Extension<Carries>>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let tenant: Option<TenantId> = parameter("tenant", query.tenant.as_deref())?;
    operator.require_for(Permission::Feed, tenant.as_ref())?;
    if tenant.as_ref().is_some_and(|tenant| app.index.tenant(tenant).is_none()) {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let resume = resume_from(&headers, query.last_event_id.as_deref())?;
    let permit = app.gates.feeds.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(&codes::TOO_MANY_CLIENTS).retry())?;
    let client = Client::begin(app, operator, tenant, resume, permit).await?;
    if let Some(Extension(connection)) = connection {
        connection.a_feed();
    }
    let body = Body::from_stream(stream::unfold(client, Client::next_piece));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
        // nginx would hold small pieces back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, body).into_response())
}

fn resume_from(headers: &HeaderMap, query: Option<&str>) -> Result<Option<Position>, Problem> {
    let sent = headers.get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?")).or(query);
    let bad = || Problem::new(&codes::BAD_HEADER).detail("Last-Event-ID: it is a position, a number");
    match sent {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Position::new).map(Some).map_err(|_| bad()),
    }
}

/// One listener. Its stream is asked for the next piece only when the connection takes it: a slow client holds up nobody,
/// it falls out of the channel of live notices and goes on from the view. What it costs is one piece, of at most a page of
/// notices, beside what the system keeps of a connection; one that takes nothing at all is let go by [`Carries`].
struct Client {
    app: Shared,
    /// Who listens: a key that is ended, or may no longer hear, hears no more after the next heartbeat.
    operator: Operator,
    tenant: Option<TenantId>,
    live: broadcast::Receiver<Arc<LiveNotice>>,
    applied: watch::Receiver<Position>,
    stopping: watch::Receiver<bool>,
    /// Every notice up to here was sent, or lies before where this client began.
    sent: Position,
    /// The tenant's last notice up to `sent`.
    last_notice: Position,
    mode: Mode,
    next_heartbeat: Instant,
    pending: String,
    _counted: Counted,
    _permit: OwnedSemaphorePermit,
}

/// Where the next notices come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    /// From the view, up to this position or further.
    Reading { up_to: Position, then: Then },
    /// A run of events that was being applied when this client came may have been announced in part before: what it makes
    /// is read from the view. From then on every notice passes through the channel.
    Settling,
    /// From the channel.
    Live,
    /// There is nothing more to send.
    Over,
}

/// What follows reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Then {
    Settle,
    Listen,
}

/// How much of the channel was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drained {
    Everything,
    Part,
}

/// A client is in the gauge for as long as this lives.
struct Counted(metrics::Gauge);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.decrement(1.0);
    }
}

impl Client {
    async fn begin(
        app: Shared,
        operator: Operator,
        tenant: Option<TenantId>,
        resume: Option<Position>,
        permit: OwnedSemaphorePermit,
    ) -> Result<Self, Problem> {
        // First the channel, then the position: what is applied later passes through the channel.
        let projection = app.projection.upgrade().ok_or_else(|| Problem::new(&codes::SHUTTING_DOWN))?;
        let live = projection.live_notices();
        drop(projection);
        let mut applied = app.applied.clone();
        let head = *applied.borrow_and_update();
        wait_for_view(&mut app.notices.status(), head).await.map_err(|status| {
            Problem::from(QueryError::NotReady {
                view: "notices",
                applied: status.applied,
                head: status.head,
            })
        })?;
        let last_notice = app.notices.last(tenant.as_ref()).await?;
        // The view may have gone on meanwhile.
        let head = head.max(last_notice);
        let beyond = resume.is_some_and(|resume| resume > head);
        let start = resume.filter(|_| !beyond).unwrap_or(head);
        let gauge = app.meters.feed_clients.clone();
        gauge.increment(1.0);
        let mut client = Self {
            operator,
            tenant,
            live,
            applied,
            stopping: app.stopping.clone(),
            sent: start,
            last_notice,
            mode: if start < head {
                Mode::Reading { up_to: head, then: Then::Settle }
            } else {
                Mode::Settling
            },
            next_heartbeat: Instant::now() + HEARTBEAT,
            pending: format!("retry: {RETRY_MS}\n"),
            _counted: Counted(gauge),
            _permit: permit,
            app,
        };
        let log_id = client.app.log.log_id();
        let hello = format!(
            "{{\"log_id\":\"{log_id}\",\"head\":{},\"last_notice\":{}}}",
            head.get(),
            last_notice.get()
        );
        // Without an id: until the notices in between are sent, the client has heard only what it had.
        client.push("hello", None, &hello);
        if beyond {
            let reason = format!("{{\"log_id\":\"{log_id}\",\"head\":{}}}", head.get());
            client.push("reset", Some(head), &reason);
        }
        Ok(client)
    }

    /// The next piece of the stream; none when the server stops.
    async fn next_piece(mut self) -> Option<(Result<Bytes, Infallible>, Self)> {
        while self.pending.is_empty() {
            match self.mode {
                Mode::Reading { up_to, then } => self.read(up_to, then).await,
                Mode::Settling => self.settle().await,
                Mode::Live => self.listen().await,
                Mode::Over => return None,
            }
        }
        let piece = std::mem::take(&mut self.pending);
        Some((Ok(piece.into()), self))
    }

    fn push(&mut self, event: &str, id: Option<Position>, data: &str) {
        // Writing into a String cannot fail; data is JSON on one line.
        let _ = match id {
            Some(id) => write!(self.pending, "event: {event}\nid: {id}\ndata: {data}\n\n"),
            None => write!(self.pending, "event: {event}\ndata: {data}\n\n"),
        };
    }

    fn push_notice(&mut self, notice: &LiveNotice) {
        self.push(notice.kind.as_str(), Some(notice.position), &notice.json);
        self.app.meters.feed_notices.increment(1);
        self.sent = notice.position;
        self.last_notice = self.last_notice.max(notice.position);
    }

    fn is_wanted(&self, notice: &LiveNotice) -> bool {
        notice.position > self.sent && self.tenant.as_ref().is_none_or(|tenant| *tenant == notice.tenant)
    }

    /// Tells that everything up to `head` was sent. Who may not hear it any more is let go.
    fn push_heartbeat(&mut self, head: Position) {
        if !self.operator.still_may(&self.app, Permission::Feed, self.tenant.as_ref()) {
            self.mode = Mode::Over;
            return;
        }
        let data = format!("{{\"head\":{},\"last_notice\":{}}}", head.get(), self.last_notice.get());
        self.push("heartbeat", Some(head), &data);
        self.next_heartbeat = Instant::now() + HEARTBEAT;
    }

    /// Sends a page of what the view has. Once it shows all up to `up_to`, the channel has the rest.
    async fn read(&mut self, up_to: Position, then: Then) {
        let shows = wait_for_view(&mut self.app.notices.status(), up_to).await;
        let page = match shows {
            Ok(_) => self.app.notices.after(self.tenant.as_ref(), self.sent, MAX_PAGE).await,
            Err(status) => {
                Err(QueryError::NotReady { view: "notices", applied: status.applied, head: status.head })
            }
        };
        match page {
            Ok(notices) => {
                let is_last = notices.len() < MAX_PAGE;
                for notice in &notices {
                    self.push_notice(notice);
                }
                if is_last {
                    self.sent = self.sent.max(up_to);
                    self.mode = match then {
                        Then::Settle => Mode::Settling,
                        Then::Listen => Mode::Live,
                    };
                }
            }
            // The view is being rebuilt, or stopped with the server: the client waits without a heartbeat, and so knows.
            Err(_) => self.pause().await,
        }
    }

    async fn pause(&mut self) {
        tokio::select! {
            () = sleep(VIEW_AGAIN) => {}
            () = asked_to_stop(&mut self.stopping) => self.mode = Mode::Over,
        }
    }

    /// Until the next run of events is applied nothing can have been missed, and heartbeats are true.
    async fn settle(&mut self) {
        tokio::select! {
            biased;
            () = asked_to_stop(&mut self.stopping) => self.mode = Mode::Over,
            changed = self.applied.changed() => match changed {
                Ok(()) => {
                    let up_to = *self.applied.borrow_and_update();
                    self.mode = Mode::Reading { up_to, then: Then::Listen };
                }
                Err(_) => self.mode = Mode::Over,
            },
            () = sleep_until(self.next_heartbeat) => {
                let head = self.sent;
                self.push_heartbeat(head);
            }
        }
    }

    async fn listen(&mut self) {
        tokio::select! {
            biased;
            () = asked_to_stop(&mut self.stopping) => self.mode = Mode::Over,
            () = sleep_until(self.next_heartbeat) => self.beat(),
            notice = self.live.recv() => match notice {
                Ok(notice) => {
                    if self.is_wanted(&notice) {
                        self.push_notice(&notice);
                    }
                    self.drain();
                }
                Err(RecvError::Lagged(_)) => self.fell_behind(),
                Err(RecvError::Closed) => self.mode = Mode::Over,
            },
        }
    }

    /// The position first, then what the channel holds: a notice enters the channel before its position is published, so
    /// what is drained here is at least everything up to that position. With more waiting than goes out in one piece there
    /// is no heartbeat yet.
    fn beat(&mut self) {
        let head = *self.applied.borrow_and_update();
        if self.drain() == Drained::Everything {
            self.sent = self.sent.max(head);
            let sent = self.sent;
            self.push_heartbeat(sent);
        }
    }

    /// Takes what is at hand, so that many notices go out in one piece.
    fn drain(&mut self) -> Drained {
        for _ in 0..MAX_PAGE {
            match self.live.try_recv() {
                Ok(notice) => {
                    if self.is_wanted(&notice) {
                        self.push_notice(&notice);
                    }
                }
                Err(TryRecvError::Empty) => return Drained::Everything,
                Err(TryRecvError::Lagged(_)) => {
                    self.fell_behind();
                    return Drained::Part;
                }
                Err(TryRecvError::Closed) => return Drained::Part,
            }
        }
        Drained::Part
    }

    /// The channel went on without this client: from the view, and into the channel anew.
    fn fell_behind(&mut self) {
        self.app.meters.feeds_behind.increment(1);
        self.live = self.live.resubscribe();
        let up_to = *self.applied.borrow_and_update();
        self.mode = Mode::Reading { up_to, then: Then::Settle };
    }
}

async fn asked_to_stop(stopping: &mut watch::Receiver<bool>) {
    // Without a node there is nothing to stop for, and nothing to go on for.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Waits until the view of notices shows a position.
async fn wait_for_view(status: &mut watch::Receiver<Status>, position: Position) -> Result<(), Status> {
    let shows = async { status.wait_for(|status| status.applied >= position).await.is_ok() };
    if timeout(VIEW_WITHIN, shows).await.unwrap_or(false) { Ok(()) } else { Err(*status.borrow()) }
}
