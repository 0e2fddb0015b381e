//! `/livez` and `/readyz`: whether to restart this server, and whether to send it requests.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::{Position, Timestamp};
use eventlog::Durability;
use projection::Stage;
use serde::{Deserialize, Serialize};
use tokio::time::timeout;
use utoipa::{IntoParams, ToSchema};
use wire::format_rfc3339;

use crate::config::Role;
use crate::http::app::App;
use crate::http::extract::{Params, Shared};
use crate::notary::Notary;

/// How long the log is waited for before it counts as away: below the usual 1 s of a prober.
const HEAD_WITHIN: Duration = Duration::from_millis(800);

/// Whether the process is worth keeping. A log that is away is no reason to restart.
#[derive(Serialize, ToSchema)]
pub(crate) struct Live {
    /// Whether every worker that must not end is at work.
    live: bool,
}

/// Tells whether to restart this server.
#[utoipa::path(
    get, path = "/livez", tag = "operation", operation_id = "live", security(()),
    responses(
        (status = 200, description = "At work", body = Live),
        (status = 503, description = "A worker has ended: restart this server", body = Live),
    ),
)]
pub(crate) async fn live(State(app): State<Shared>) -> Response {
    let live = !app.broken.load(Ordering::Relaxed);
    let status = if live { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(Live { live })).into_response()
}

/// How much to tell.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReadyQuery {
    /// With this (also without a value) all checks are shown.
    verbose: Option<String>,
}

/// Whether requests should be sent here.
#[derive(Serialize, ToSchema)]
pub(crate) struct Ready {
    /// Whether all of `missing` is empty.
    ready: bool,
    /// What is missing.
    missing: Vec<&'static str>,
    /// All checks, with `?verbose`.
    #[serde(skip_serializing_if = "Option::is_none")]
    checks: Option<Checks>,
}

/// Everything that is known of this server's state.
#[derive(Serialize, ToSchema)]
pub(crate) struct Checks {
    /// The log.
    log: LogCheck,
    /// The key index and each view.
    progress: Vec<ProgressCheck>,
    /// The notary, if this server is the log's.
    #[serde(skip_serializing_if = "Option::is_none")]
    notary: Option<NotaryCheck>,
    /// The lease.
    lease: LeaseCheck,
    /// By how much this server's clock is ahead of the log's, in milliseconds; beyond 500 it takes no commands.
    clock_skew_ms: i64,
    /// How many tenants' seals are known to be lost: they can issue no keys. The server's log names them.
    seals_lost: usize,
    /// Whether an operator stands in the log.
    bootstrapped: bool,
    /// `all` or `verify`.
    role: &'static str,
    /// Keys in the index.
    keys: usize,
    /// Of this program.
    version: &'static str,
}

/// The state of the log.
#[derive(Serialize, ToSchema)]
pub(crate) struct LogCheck {
    /// The history's own name.
    log_id: String,
    /// Whether it answers now.
    reachable: bool,
    /// Its last position, if it answers.
    head: Option<u64>,
    /// `on_disk`, `volatile` or `unproven`.
    durability: &'static str,
    /// Why it is unproven, and what to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    /// The log was restored from a backup that ends there, and nobody has said what came after: no key is trusted.
    #[serde(skip_serializing_if = "Option::is_none")]
    restored: Option<u64>,
    /// Whether the last command that reached it could be written.
    writable: bool,
    /// Why and since when not.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_written: Option<NotWrittenJson>,
}

/// What keeps the log from being written.
#[derive(Serialize, ToSchema)]
#[schema(as = NotWritten)]
pub(crate) struct NotWrittenJson {
    /// Since when, RFC 3339.
    since: String,
    /// What the last command met.
    reason: String,
}

/// How far one reader of the log has come.
#[derive(Serialize, ToSchema)]
pub(crate) struct ProgressCheck {
    /// `index` or the view's name.
    name: &'static str,
    /// `opening`, `catching_up`, `ready` or `stopped`.
    stage: &'static str,
    /// The last position taken in.
    applied: u64,
    /// The position to reach.
    head: u64,
    /// How much of it.
    percent: u64,
}

/// How far the log is signed.
#[derive(Serialize, ToSchema)]
pub(crate) struct NotaryCheck {
    /// The last position that a checkpoint covers; null before the first one.
    checkpoint: Option<u64>,
    /// When that was signed last, RFC 3339: each hour at least.
    signed_at: Option<String>,
    /// How long ago that is.
    age_ms: Option<u64>,
    /// Events that no checkpoint covers yet, if the log answers.
    lag_events: Option<u64>,
    /// How often it could not go on since this server started.
    failures: u64,
    /// Why nothing is signed now.
    #[serde(skip_serializing_if = "Option::is_none")]
    trouble: Option<String>,
    /// Whether it has given up, since the log is not what was signed.
    stopped: bool,
}

impl NotaryCheck {
    fn of(notary: &Notary, head: Option<Position>, now: Timestamp) -> Self {
        let (last, going) = (notary.published(), notary.going());
        let covers = notary.covers();
        Self {
            checkpoint: last.as_ref().map(|last| last.size),
            signed_at: last.as_ref().map(|last| format_rfc3339(last.signed_at)),
            age_ms: last.as_ref().map(|last| last.age_ms(now)),
            lag_events: head.map(|head| head.get().saturating_sub(covers.get())),
            failures: going.failures,
            trouble: going.trouble,
            stopped: going.stopped,
        }
    }
}

/// The proof that everything was heard.
#[derive(Serialize, ToSchema)]
pub(crate) struct LeaseCheck {
    /// Whether keys are trusted on it.
    fresh: bool,
    /// How old it is; null when it was never given.
    age_ms: Option<u64>,
    /// How old it may become.
    max_staleness_ms: u64,
}

/// Tells whether to send requests here.
#[utoipa::path(
    get, path = "/readyz", tag = "operation", operation_id = "ready", security(()), params(ReadyQuery),
    responses(
        (status = 200, description = "Ready", body = Ready),
        (status = 503, description = "Not ready; `missing` tells what is missing", body = Ready),
    ),
)]
pub(crate) async fn ready(State(app): State<Shared>, Params(query): Params<ReadyQuery>) -> Response {
    let moment = app.moment();
    let checks = [
        ("index", app.index_status.borrow().stage == Stage::Ready),
        ("settled", app.restored.is_none()),
        ("lease", !app.index.is_stale(moment.boot_ms)),
        ("bootstrap", app.bootstrapped.load(Ordering::Acquire)),
        ("workers", !app.broken.load(Ordering::Relaxed)),
        ("running", !*app.stopping.borrow()),
    ];
    let missing: Vec<_> = checks.into_iter().filter(|(_, holds)| !holds).map(|(name, _)| name).collect();
    let ready = missing.is_empty();
    let checks = match query.verbose {
        Some(_) => Some(look(&app, moment.boot_ms).await),
        None => None,
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, axum::Json(Ready { ready, missing, checks })).into_response()
}

async fn look(app: &App, boot_ms: u64) -> Checks {
    let head = timeout(HEAD_WITHIN, app.log.head()).await.ok().and_then(Result::ok);
    let (durability, reason) = match app.log.durability() {
        Durability::OnDisk => ("on_disk", None),
        Durability::Volatile => ("volatile", None),
        Durability::Unproven { reason } => ("unproven", Some(reason)),
    };
    let progress = app.projection.upgrade().map(|projection| projection.progress()).unwrap_or_default();
    let progress = progress.into_iter().map(|progress| ProgressCheck {
        name: progress.name,
        stage: match progress.status.stage {
            Stage::Opening => "opening",
            Stage::CatchingUp => "catching_up",
            Stage::Ready => "ready",
            Stage::Stopped => "stopped",
        },
        applied: progress.status.applied.get(),
        head: progress.status.head.get(),
        percent: progress.status.percent(),
    });
    let not_written = app.application.not_written().map(|not_written| NotWrittenJson {
        since: format_rfc3339(not_written.since),
        reason: not_written.reason,
    });
    // As the head: a store that is away must not hold up the prober.
    let seals_lost = timeout(HEAD_WITHIN, app.application.seals_lost()).await.unwrap_or_default();
    Checks {
        log: LogCheck {
            log_id: app.log.log_id().to_string(),
            reachable: head.is_some(),
            head: head.map(domain::Position::get),
            durability,
            reason,
            restored: app.restored.map(domain::Position::get),
            writable: not_written.is_none(),
            not_written,
        },
        progress: progress.collect(),
        notary: app.notary.as_ref().map(|notary| NotaryCheck::of(notary, head, app.ambient.now())),
        lease: LeaseCheck {
            fresh: !app.index.is_stale(boot_ms),
            age_ms: app.index.proven_at().map(|at| boot_ms.saturating_sub(at)),
            max_staleness_ms: u64::try_from(app.max_staleness.as_millis()).unwrap_or(u64::MAX),
        },
        clock_skew_ms: app.lease.skew_ms(),
        seals_lost,
        bootstrapped: app.bootstrapped.load(Ordering::Acquire),
        role: match app.role {
            Role::All => "all",
            Role::Verify => "verify",
        },
        keys: app.index.key_count(),
        version: env!("CARGO_PKG_VERSION"),
    }
}
