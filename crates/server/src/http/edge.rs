//! What stands before every route: request id, gate, time-out, panics, metrics and the access log; and writes problems.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use futures_util::FutureExt;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info, warn};

use crate::http::app::App;
use crate::http::codes;
use crate::http::pressure::SHED_AFTER;
use crate::http::problem::Problem;
use crate::http::unread;

/// How long a request may take until its answer begins.
const REQUEST_WITHIN: Duration = Duration::from_secs(10);
/// The same for a command, whose body and outcome have times of their own that add up to less: only the command can say
/// whether something was changed.
const COMMAND_REQUEST_WITHIN: Duration = Duration::from_secs(22);

/// The header that carries the request id both ways.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest request id taken from a client: shorter than any key, so that no key is taken for one.
const REQUEST_ID_MAX: usize = 64;

/// Kinds of requests, each with its own gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// Changes something.
    Command,
    /// Changes much, line by line; how many are open is bounded where they begin.
    Import,
    /// Asks for verdicts.
    Verify,
    /// Guards: their leases must not wait behind anybody's load.
    Guard,
    /// Asks the views.
    Read,
    /// Begins a stream; how many are open is bounded where they begin.
    Stream,
    /// Health, metrics, the API page: no operator needed.
    Open,
}

/// A router group's edge.
#[derive(Clone)]
pub(crate) struct Edge {
    pub(crate) app: Arc<App>,
    pub(crate) class: Class,
}

impl Edge {
    fn gate(&self) -> &Semaphore {
        let gates = &self.app.gates;
        match self.class {
            Class::Command | Class::Import => &gates.commands,
            Class::Verify => &gates.verifies,
            Class::Guard => &gates.guards,
            Class::Read | Class::Stream => &gates.reads,
            Class::Open => &gates.opens,
        }
    }

    async fn pass(&self, request: Request, next: Next) -> Result<Response, Problem> {
        let overloaded = || Problem::new(&codes::OVERLOADED).retry();
        if self.class == Class::Verify && self.app.gates.pressure.sheds() {
            // With no permit: who waits here keeps nobody out.
            sleep(SHED_AFTER).await;
            return Err(overloaded());
        }
        let _permit = self.gate().try_acquire().map_err(|_| overloaded())?;
        let time = self.time();
        let answering =
            async move { timeout(time, AssertUnwindSafe(next.run(request)).catch_unwind()).await };
        let answered = if self.stays_with_its_connection() {
            answering.await
        } else {
            // A set of one: dropped with this request, it ends the task.
            let mut task = JoinSet::new();
            task.spawn_on(answering, &self.app.runtime);
            let ended = task.join_next().await.and_then(Result::ok);
            // Only a runtime that ends with the process cancels it: nobody knows how far it came.
            ended.ok_or_else(|| Problem::new(&codes::INTERNAL))?
        };
        match answered {
            Ok(Ok(response)) => Ok(response),
            // The hook has logged where it happened.
            Ok(Err(_panic)) => Err(Problem::new(&codes::INTERNAL)),
            Err(_elapsed) => Err(Problem::new(&codes::TIMED_OUT).retry()),
        }
    }

    /// Verdicts are looked up and do not wait, but for a `min_position` or a seal that is not at hand; nor may health wait for
    /// the node. All else has the node's own runtime, so that each step it waits for does not come behind a crowd of verifies.
    const fn stays_with_its_connection(&self) -> bool {
        matches!(self.class, Class::Verify | Class::Open)
    }

    const fn time(&self) -> Duration {
        match self.class {
            Class::Command => COMMAND_REQUEST_WITHIN,
            Class::Import | Class::Verify | Class::Guard | Class::Read | Class::Stream | Class::Open => {
                REQUEST_WITHIN
            }
        }
    }
}

/// Passes a request on, and its answer back.
pub(crate) async fn edge(
    State(edge): State<Edge>,
    route: MatchedPath,
    request: Request,
    next: Next,
) -> Response {
    let started = Instant::now();
    let method = request.method().clone();
    let id = request_id(&edge.app, request.headers());
    let (head, body) = request.into_parts();
    let (body, unread) = unread::lend(body);
    let request = Request::from_parts(head, body);
    let answered = edge.pass(request, next).await;
    unread.take_in().await;
    let (mut response, problem) = match answered {
        Ok(mut response) => match response.extensions_mut().remove::<Problem>() {
            Some(problem) => (problem.write(&id), Some(problem)),
            None => (response, None),
        },
        Err(problem) => (problem.write(&id), Some(problem)),
    };
    let status = response.status();
    let took = started.elapsed();
    edge.app.meters.request(edge.class, &method, route.as_str(), status, took);
    tell(edge.class, &method, route.as_str(), status, took, &id, problem.as_ref());
    // Whatever is told here may be different in a moment, or secret.
    let no_store = HeaderValue::from_static("no-store");
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(no_store);
    if let Ok(value) = HeaderValue::from_maybe_shared(bytes::Bytes::from(id)) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// The client's own id if it is fit to be written to logs, else one made up.
fn request_id(app: &App, headers: &HeaderMap) -> String {
    let sent = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let fit =
        |id: &&str| (1..=REQUEST_ID_MAX).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_graphic());
    sent.filter(fit).map_or_else(|| app.next_request_id(), str::to_owned)
}

/// The access log. Commands are always told; all else only to who wants to debug, since a log that is away or a crowd at the
/// gate would fill the disk: metrics count them. Never headers, bodies or paths:
/// the route's pattern says enough, and no secret is in it.
fn tell(
    class: Class,
    method: &Method,
    route: &str,
    status: StatusCode,
    took: Duration,
    id: &str,
    problem: Option<&Problem>,
) {
    let (status, ms) = (status.as_u16(), took.as_secs_f64() * 1000.0);
    let code = problem.map(|problem| problem.code.code);
    let detail = problem.map(Problem::said);
    match status {
        500 => error!(%method, route, status, ms, request_id = id, "a request failed: this is a bug"),
        504 => {
            warn!(%method, route, status, ms, request_id = id, code, detail, "the outcome of a command is unknown");
        }
        _ if matches!(class, Class::Command | Class::Import) => {
            info!(%method, route, status, ms, request_id = id, code, detail, "command");
        }
        _ => debug!(%method, route, status, ms, request_id = id, code, "request"),
    }
}

/// The answer where no route is.
pub(crate) async fn no_such_route(State(app): State<Arc<App>>) -> Response {
    Problem::new(&codes::NO_SUCH_ROUTE).write(&app.next_request_id())
}

/// The answer where a route does not know the method.
pub(crate) async fn method_not_allowed(State(app): State<Arc<App>>) -> Response {
    Problem::new(&codes::METHOD_NOT_ALLOWED).write(&app.next_request_id())
}
