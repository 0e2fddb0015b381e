//! `POST /v1/guard/usage`: the sums of what guards said, into the record of usage.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::Timestamp;
use tracing::error;
use verify::Verdict;
use wire::guard::{Counted, Usage};
use wire::{UsageEntry, UsageReport, format_rfc3339};

use crate::fleet::Introduction;
use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{Json, Shared, invalid};
use crate::http::guard::known;
use crate::http::problem::Problem;
use crate::usage::NotCounted;

impl From<NotCounted> for Problem {
    fn from(NotCounted(reason): NotCounted) -> Self {
        Self::new(&codes::UNAVAILABLE).detail(format!("usage cannot be put on record: {reason}")).retry()
    }
}

/// Counts what a guard counted.
#[utoipa::path(
    post, path = "/v1/guard/usage", tag = "guard", operation_id = "guard_usage", request_body = Usage,
    responses((status = 200, description = "It is on record; the same report again is counted once", body = Counted)),
)]
pub(crate) async fn usage(
    State(app): State<Shared>,
    operator: Operator,
    Json(body): Json<Usage>,
) -> Result<Response, Problem> {
    let (_, introduction) = known(&app, &operator, &body.guard_id)?;
    let report = body.into_report(&introduction.tenant, &introduction.name, introduction.max_staleness_ms);
    let report = report.map_err(|member| invalid(member, &"it is not what it has to be"))?;
    let now = app.ambient.now();
    let report = believed(&app, &introduction, report, now);
    app.guard_usage.report(&introduction, report, app.ambient.boot_ms()).await?;
    Ok(axum::Json(Counted { now: format_rfc3339(now) }).into_response())
}

/// Nothing has happened later than now; and what is told of keys that are not there, or as no verdict, is counted under no key.
fn believed(app: &App, guard: &Introduction, report: UsageReport, now: Timestamp) -> UsageReport {
    let (mut missed, mut entries) = (report.missed, Vec::with_capacity(report.entries.len()));
    for entry in report.entries {
        let is_verdict = Verdict::ALL.iter().any(|verdict| verdict.as_str() == &*entry.verdict);
        if is_verdict && app.index.key(&guard.tenant, entry.key_id).is_some() {
            entries.push(UsageEntry { first: entry.first.min(now), last: entry.last.min(now), ..entry });
        } else {
            missed = missed.saturating_add(entry.count);
        }
    }
    UsageReport { from: report.from.min(now), to: report.to.min(now), missed, entries, ..report }
}

/// Puts on record that a guard may answer from now on. If that is not possible, it may all the same: a record that cannot be
/// written knows nothing in any case, and refusing everybody would be the greater harm.
pub(crate) async fn announce_usage(app: &App, introduction: &Introduction) {
    if let Err(NotCounted(reason)) = app.guard_usage.announce(introduction, app.ambient.now()).await {
        error!(
            guard.id = %introduction.guard_id,
            reason, "usage cannot be put on record; if this guard dies before it can, its usage counts as none"
        );
    }
}
