//! `POST /v1/views/rebuild`: proves that the index and the views are what the log says, while they go on serving.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use ::metrics::{counter, gauge};
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::Permission;
use futures_util::stream;
use projection::{CompareError, Compared, Comparison, Difference, How, Parting, Phase, Step};
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tracing::{error, info};
use utoipa::{IntoParams, ToSchema};

use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{Params, Shared};
use crate::http::problem::Problem;

/// How long a request waits for a comparison that is just ending.
const OVER_WITHIN: Duration = Duration::from_secs(1);
/// How often it looks.
const LOOK_AGAIN: Duration = Duration::from_millis(10);
/// Events a second unless said: a fifth of what a core takes in, so that whoever is served does not notice it.
const RATE: u32 = 20_000;
/// How often it tells how far it is.
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Lines that wait for the connection: a handful, since progress that nobody reads need not be kept.
const LINES_WAITING: usize = 16;

/// How many comparisons there were, by view and by what came of them.
pub(crate) const COMPARISONS: &str = "rescind_view_comparisons_total";
/// Whether one is under way.
pub(crate) const COMPARING: &str = "rescind_view_comparison_running";

/// What is compared.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct RebuildQuery {
    /// `index`, `keys`, `history`, `tenants`, `notices` or `times`; all of them unless said.
    view: Option<String>,
    /// Events taken in each second, 1 or more; 20000 unless said.
    rate: Option<u32>,
}

/// One line of the answer. Three kinds: how far it is (`phase`), what came of one view (`result`), and the end (`done`).
#[derive(Default, Serialize, ToSchema)]
#[schema(as = RebuildLine)]
pub(crate) struct LineJson {
    /// `index` or a view's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    view: Option<&'static str>,
    /// replaying, comparing or searching.
    #[serde(skip_serializing_if = "Option::is_none")]
    phase: Option<&'static str>,
    /// Positions replayed, or rows read.
    #[serde(skip_serializing_if = "Option::is_none")]
    at: Option<u64>,
    /// Of how many, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    of: Option<u64>,
    /// equal, differs or failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'static str>,
    /// Where both stood when they were compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// The live one.
    #[serde(skip_serializing_if = "Option::is_none")]
    live: Option<SideJson>,
    /// The one made anew from the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    replayed: Option<SideJson>,
    /// How they differ.
    #[serde(skip_serializing_if = "Option::is_none")]
    difference: Option<DifferenceJson>,
    /// Why there is no result.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// The end: whether everything that was asked for is equal.
    #[serde(skip_serializing_if = "Option::is_none")]
    done: Option<bool>,
}

/// One of the two.
#[derive(Serialize, ToSchema)]
#[schema(as = RebuildSide)]
pub(crate) struct SideJson {
    /// How many rows it has.
    rows: u64,
    /// The sum of the SHA-256 of each row, in hexadecimal: equal on every server at the same position.
    digest: String,
}

/// How they differ.
#[derive(Serialize, ToSchema)]
#[schema(as = RebuildDifference)]
pub(crate) struct DifferenceJson {
    /// Rows that are in both and differ.
    changed: u64,
    /// Rows that the log makes and the live one has not.
    missing: u64,
    /// Rows that the live one has and the log does not make.
    surplus: u64,
    /// The first event where they part; null where no event ever wrote any of those rows.
    first: Option<FirstJson>,
    /// Too many rows differ: of all others it was not looked where they part.
    partly: bool,
}

/// The first event where they part.
#[derive(Serialize, ToSchema)]
#[schema(as = RebuildParting)]
pub(crate) struct FirstJson {
    /// Its place in the log.
    position: u64,
    /// What it is called; null if this build cannot read it.
    event: Option<&'static str>,
    /// Whose history it belongs to.
    tenant: Option<String>,
    /// Which key's; null for an event of the tenant.
    key_id: Option<String>,
    /// `not_shown`: the live row is as before the event. `altered`: it is as no event left it; this is the last that wrote it.
    how: &'static str,
}

/// Compares the index and the views with what the log makes of them.
#[utoipa::path(
    post, path = "/v1/views/rebuild", tag = "audit", operation_id = "rebuild_views", params(RebuildQuery),
    responses((
        status = 200, content_type = "application/x-ndjson", body = LineJson,
        description = "Lines of JSON while it goes on: how far it is at least each second, `result` for each view, and `done` at \
                       the end. An answer without that end is not whole. Closing the connection ends it",
    )),
)]
pub(crate) async fn rebuild(
    State(app): State<Shared>,
    operator: Operator,
    Params(query): Params<RebuildQuery>,
) -> Result<Response, Problem> {
    operator.require_everywhere(Permission::AuditRead)?;
    let rate = query.rate.unwrap_or(RATE);
    if rate == 0 {
        return Err(Problem::new(&codes::BAD_QUERY).detail("rate: it is 1 or more"));
    }
    let comparison = begin(&app, rate).await?;
    let mut names = comparison.names();
    if let Some(view) = &query.view {
        names.retain(|name| name == view);
        if names.is_empty() {
            let known = comparison.names().join(", ");
            return Err(Problem::new(&codes::BAD_QUERY).detail(format!("view: it is one of {known}")));
        }
    }
    let (lines, waiting) = mpsc::channel(LINES_WAITING);
    let told = Told { lines, at: None };
    // Its answer holds it: it is over when the answer is, or soon after the client is gone.
    drop(tokio::spawn(run(app, comparison, names, told)));
    let body = Body::from_stream(stream::unfold(waiting, next_piece));
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson")),
        // nginx would hold small pieces back.
        (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
    ];
    Ok((headers, body).into_response())
}

async fn next_piece(
    mut waiting: mpsc::Receiver<Bytes>,
) -> Option<(Result<Bytes, Infallible>, mpsc::Receiver<Bytes>)> {
    waiting.recv().await.map(|line| (Ok(line), waiting))
}

/// Where the answer goes.
struct Told {
    lines: mpsc::Sender<Bytes>,
    at: Option<Instant>,
}

impl Told {
    /// How far it is; what finds no room is not told.
    fn step(&mut self, view: &'static str, step: Step) {
        let now = Instant::now();
        if self.at.is_some_and(|at| now < at + TELL_EVERY) {
            return;
        }
        self.at = Some(now);
        let phase = match step.phase {
            Phase::Replaying => "replaying",
            Phase::Comparing => "comparing",
            Phase::Searching => "searching",
        };
        let line = LineJson {
            view: Some(view),
            phase: Some(phase),
            at: Some(step.done),
            of: step.of,
            ..LineJson::default()
        };
        drop(self.lines.try_send(line.bytes()));
    }

    async fn line(&self, line: LineJson) {
        // A client that is gone has ended it.
        drop(self.lines.send(line.bytes()).await);
    }
}

/// Begins one, also right behind another, which removes what it made aside after its last line.
async fn begin(app: &App, rate: u32) -> Result<Comparison, Problem> {
    let until = Instant::now() + OVER_WITHIN;
    loop {
        let projection = app.projection.upgrade().ok_or_else(|| Problem::new(&codes::SHUTTING_DOWN))?;
        let begun = projection.compare(rate);
        drop(projection);
        match begun {
            Ok(comparison) => return Ok(comparison),
            Err(_busy) if Instant::now() < until => sleep(LOOK_AGAIN).await,
            Err(_busy) => return Err(Problem::new(&codes::REBUILD_RUNNING).retry()),
        }
    }
}

async fn run(app: Arc<App>, mut comparison: Comparison, names: Vec<&'static str>, mut told: Told) {
    gauge!(COMPARING).set(1.0);
    let gone = told.lines.clone();
    let mut stopping = app.stopping.clone();
    drop(app);
    tokio::select! {
        () = compare(&mut comparison, names, &mut told) => {}
        () = gone.closed() => info!("a comparison of views was given up: its client is gone"),
        _ = stopping.wait_for(|stopping| *stopping) => {}
    }
    gauge!(COMPARING).set(0.0);
}

async fn compare(comparison: &mut Comparison, names: Vec<&'static str>, told: &mut Told) {
    let mut all_equal = true;
    for name in names {
        let result = comparison.run(name, |step| told.step(name, step)).await;
        let line = LineJson::of(name, result);
        all_equal &= line.result == Some("equal");
        counter!(COMPARISONS, "view" => name, "result" => line.result.unwrap_or_default()).increment(1);
        told.line(line).await;
    }
    told.line(LineJson { done: Some(all_equal), ..LineJson::default() }).await;
}

impl LineJson {
    fn of(view: &'static str, result: Result<Compared, CompareError>) -> Self {
        let line = Self { view: Some(view), ..Self::default() };
        let compared = match result {
            Ok(compared) => compared,
            Err(error) => return Self { result: Some("failed"), why: Some(error.to_string()), ..line },
        };
        let position = compared.position.get();
        match &compared.difference {
            None => {
                info!(
                    view,
                    log.position = position,
                    rows = compared.live.rows,
                    "a view is what the log says"
                );
            }
            Some(difference) => {
                let first = difference.parting.as_ref().map(|parting| parting.position.get());
                error!(
                    view,
                    log.position = position,
                    first,
                    "a view is not what the log says: stop the server, delete the view's folder and start again"
                );
            }
        }
        let side = |side: projection::Side| SideJson { rows: side.rows, digest: side.digest.to_string() };
        Self {
            result: Some(if compared.difference.is_none() { "equal" } else { "differs" }),
            position: Some(position),
            live: Some(side(compared.live)),
            replayed: Some(side(compared.replayed)),
            difference: compared.difference.map(DifferenceJson::from),
            ..line
        }
    }

    fn bytes(&self) -> Bytes {
        // Texts and numbers always serialise.
        let mut line = serde_json::to_vec(self).unwrap_or_default();
        line.push(b'\n');
        line.into()
    }
}

impl From<Difference> for DifferenceJson {
    fn from(difference: Difference) -> Self {
        let Difference { changed, missing, surplus, parting, partly } = difference;
        Self { changed, missing, surplus, first: parting.map(FirstJson::from), partly }
    }
}

impl From<Parting> for FirstJson {
    fn from(parting: Parting) -> Self {
        Self {
            position: parting.position.get(),
            event: parting.event,
            tenant: parting.tenant.map(|tenant| tenant.to_string()),
            key_id: parting.key_id.map(|key_id| key_id.to_string()),
            how: match parting.how {
                How::NotShown => "not_shown",
                How::Altered => "altered",
            },
        }
    }
}
