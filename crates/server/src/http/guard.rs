//! `POST /v1/guard/…`: what guards ask and say. The bodies are `wire::guard`'s, one definition for both sides.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::{KeyId, Permission, Position, TenantId};
use wire::format_rfc3339;
use wire::guard::{Applied, AskFill, AskLease, Filled, LeaseGranted, Leave, Register, Registered};

use crate::fleet::{GuardId, Introduction, NotHeard, NotRegistered, Told};
use crate::guards::{self, Proof};
use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{Json, Shared, invalid};
use crate::http::guard_usage::announce_usage;
use crate::http::opened::name_owners;
use crate::http::problem::Problem;
use crate::usage::Service;

/// The longest version and feed name of a guard.
const WORD_MAX: usize = 64;

impl From<NotHeard> for Problem {
    fn from(reason: NotHeard) -> Self {
        match reason {
            NotHeard::Unknown => Self::new(&codes::GUARD_UNKNOWN),
            NotHeard::Elsewhere => Self::new(&codes::GUARD_ELSEWHERE),
            NotHeard::Full => Self::new(&codes::FLEET_FULL).retry(),
        }
    }
}

impl From<NotRegistered> for Problem {
    fn from(reason: NotRegistered) -> Self {
        match reason {
            NotRegistered::NotHeard(reason) => reason.into(),
            NotRegistered::Away(error) => Self::new(&codes::UNAVAILABLE).detail(error.to_string()).retry(),
        }
    }
}

/// Takes a guard into the fleet.
#[utoipa::path(
    post, path = "/v1/guard/register", tag = "guard", operation_id = "register_guard", request_body = Register,
    responses((status = 200, description = "The guard is known; nothing that it rests on may be older than `at_least`", body = Registered)),
)]
pub(crate) async fn register(
    State(app): State<Shared>,
    operator: Operator,
    Json(body): Json<Register>,
) -> Result<Response, Problem> {
    // What is no tenant id names no tenant, as in a path.
    let tenant: TenantId = body.tenant.parse().map_err(|_| Problem::new(&codes::NOT_FOUND))?;
    operator.require_in(Permission::Verify, &tenant)?;
    if app.index.tenant(&tenant).is_none() {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    if !Service::is_label(&body.name) {
        return Err(invalid("name", &"it is 1 to 64 of A-Z, a-z, 0-9 and ._/-"));
    }
    if body.version.len() > WORD_MAX || body.version.chars().any(char::is_control) {
        return Err(invalid("version", &format!("it is at most {WORD_MAX} printable characters")));
    }
    if !["sse", "nats"].contains(&body.feed.as_str()) {
        return Err(invalid("feed", &"it is sse or nats"));
    }
    if body.max_staleness_ms == 0 {
        return Err(invalid("max_staleness_ms", &"with a bound of 0 a guard accepts nothing"));
    }
    let own = u64::try_from(app.max_staleness.as_millis()).unwrap_or(u64::MAX);
    let max_staleness_ms = body.max_staleness_ms.min(own);
    let introduction = Introduction {
        guard_id: read_guard(&body.guard_id)?,
        operator: operator.key_id,
        tenant,
        name: body.name.into(),
        version: body.version.into(),
        feed: body.feed.into(),
        max_staleness_ms,
    };
    // Before it can answer anybody, and before it is in the fleet: whose reports are missing must be known by name.
    announce_usage(&app, &introduction).await;
    match &app.link {
        Some(link) => link.register(&app.fleet, introduction, &*app.ambient).await?,
        None => app.fleet.register(introduction, app.ambient.boot_ms())?,
    }
    // Now that every receipt knows it: whatever it rests on must have what came before.
    let head = app
        .log
        .head()
        .await
        .map_err(|error| Problem::new(&codes::UNAVAILABLE).detail(error.to_string()).retry())?;
    app.reach_index(Some(head.get())).await?;
    let answer = Registered {
        log_id: app.log.log_id().to_string(),
        at_least: head.get(),
        max_staleness_ms,
        server: env!("CARGO_PKG_VERSION").to_owned(),
        now: Some(format_rfc3339(app.ambient.now())),
    };
    Ok(axum::Json(answer).into_response())
}

/// Grants a lease.
#[utoipa::path(
    post, path = "/v1/guard/lease", tag = "guard", operation_id = "lease_guard", request_body = AskLease,
    responses((status = 200, description = "A proof of what there is; good once the guard has applied `last_notice`", body = LeaseGranted)),
)]
pub(crate) async fn lease(
    State(app): State<Shared>,
    operator: Operator,
    Json(body): Json<AskLease>,
) -> Result<Response, Problem> {
    let (guard, introduction) = known(&app, &operator, &body.guard_id)?;
    // Its feed may be ahead of this server.
    app.reach_index(Some(body.applied)).await?;
    let applied = Position::new(body.applied);
    // The proof before what it proves: what is read after it is at least as new.
    let proof = Proof::take(&app.index).ok_or_else(|| Problem::new(&codes::STALE).retry())?;
    let now = app.ambient.boot_ms();
    // Before what the lease asks for is read: a receipt that does not know of this lease was opened before, and then the
    // lease asks for its notice. And with the proof at hand, which may be newer than the look at whose guard it is.
    app.fleet.grant(guard, now)?;
    let mut answer = proof.lease(&app.index, app.log.log_id(), &introduction.tenant, (body.nonce, now));
    answer.report_within_ms = app.fleet.report_within_ms();
    let told = Told { held: body.held, stale: body.stale, whole: body.applied >= answer.last_notice };
    app.fleet.heard(guard, applied, Some(told), now);
    Ok(axum::Json(answer).into_response())
}

/// Tells what there is to know of keys.
#[utoipa::path(
    post, path = "/v1/guard/fill", tag = "guard", operation_id = "fill_guard", request_body = AskFill,
    responses((status = 200, description = "All that judging these keys needs, at least as new as `at_least`", body = Filled)),
)]
pub(crate) async fn fill(
    State(app): State<Shared>,
    operator: Operator,
    Json(body): Json<AskFill>,
) -> Result<Response, Problem> {
    let (_, introduction) = known(&app, &operator, &body.guard_id)?;
    if body.keys.len() > AskFill::MAX_KEYS {
        return Err(invalid("keys", &format!("at most {} at once", AskFill::MAX_KEYS)));
    }
    let keys: Result<Vec<KeyId>, _> = body.keys.iter().map(|key| key.parse()).collect();
    let keys = keys.map_err(|error| invalid("keys", &error))?;
    app.reach_index(Some(body.at_least)).await?;
    let mut answer = guards::fill(&app.index, app.log.log_id(), &introduction.tenant, &keys);
    name_owners(&app, &introduction.tenant, answer.keys.iter_mut().flatten()).await?;
    Ok(axum::Json(answer).into_response())
}

/// Hears how far a guard has come.
#[utoipa::path(
    post, path = "/v1/guard/applied", tag = "guard", operation_id = "guard_applied", request_body = Applied,
    responses((status = 204, description = "Heard")),
)]
pub(crate) async fn applied(
    State(app): State<Shared>,
    operator: Operator,
    Json(body): Json<Applied>,
) -> Result<StatusCode, Problem> {
    let (guard, _) = known(&app, &operator, &body.guard_id)?;
    app.reach_index(Some(body.position)).await?;
    app.fleet.heard(guard, Position::new(body.position), None, app.ambient.boot_ms());
    Ok(StatusCode::NO_CONTENT)
}

/// Lets a guard go.
#[utoipa::path(
    post, path = "/v1/guard/leave", tag = "guard", operation_id = "guard_leaves", request_body = Leave,
    responses((status = 204, description = "It counts as one that answers nobody any more")),
)]
pub(crate) async fn leave(
    State(app): State<Shared>,
    operator: Operator,
    Json(body): Json<Leave>,
) -> Result<StatusCode, Problem> {
    let (guard, _) = known(&app, &operator, &body.guard_id)?;
    app.fleet.leave(guard, app.ambient.boot_ms());
    Ok(StatusCode::NO_CONTENT)
}

/// The guard that speaks, if this operator may speak for it, and still may verify for its tenant.
pub(crate) fn known(
    app: &App,
    operator: &Operator,
    guard_id: &str,
) -> Result<(GuardId, Introduction), Problem> {
    let guard = read_guard(guard_id)?;
    let introduction = app.fleet.introduced(guard, operator.key_id)?;
    operator.require_in(Permission::Verify, &introduction.tenant)?;
    Ok((guard, introduction))
}

fn read_guard(guard_id: &str) -> Result<GuardId, Problem> {
    guard_id.parse().map_err(|error| invalid("guard_id", &error))
}
