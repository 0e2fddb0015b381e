//! `GET /v1/tenants/{tenant}/review`: what is wrong with the keys that can be used, each with the command that mends it.

mod gather;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{Permission, Standing};
use projection::{KeyQuery, KeyRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::format_rfc3339;

use crate::http::auth::Operator;
use crate::http::extract::{InTenant, Params, Shared, page_limit, parameter};
use crate::http::opened::list_keys;
use crate::http::problem::Problem;
use crate::http::review::gather::Gathered;
use crate::http::tenants::PersonalJson;
use crate::policy::span::Span;
use crate::review::{Asked, Finding, Kind};

/// Without use for so long a key is unused, unless asked otherwise: the usual advice.
const UNUSED_MS: u64 = 30 * 24 * 3_600_000;
/// At this age a key is old, unless asked otherwise or a policy says.
const OLD_MS: u64 = 365 * 24 * 3_600_000;

/// What to review.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReviewQuery {
    /// A key that was not used for so long is unused, such as 30d, which it is unless said otherwise.
    unused_for: Option<String>,
    /// A key is old at this age; 365d unless said otherwise. A policy's rotate_after goes before.
    older_than: Option<String>,
    /// Only this finding.
    finding: Option<String>,
    /// Keys to look at, 1 to 200; 50 unless said otherwise.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Answer only what is at least as new as this position.
    min_position: Option<u64>,
}

/// One thing that is wrong with a key.
#[derive(Serialize, ToSchema)]
#[schema(as = Finding)]
pub(crate) struct FindingJson {
    /// The key.
    key_id: String,
    /// What people call it.
    name: Option<PersonalJson>,
    /// Whom it belongs to.
    owner: Option<PersonalJson>,
    /// issued_by_revoked, orphaned, failed_rotation, test_in_use, never_used, unused, use_unknown, over_scoped,
    /// never_expires, old or breaks_policy.
    finding: &'static str,
    /// Since when, RFC 3339; null where nobody can tell.
    since: Option<String>,
    /// What it is concluded from.
    evidence: String,
    /// The command that mends it.
    mend: String,
}

impl FindingJson {
    fn of(row: &KeyRow, finding: Finding) -> Self {
        let grant = row.grant.as_ref();
        Self {
            key_id: row.key_id.to_string(),
            name: grant.and_then(|grant| grant.name.as_ref()).map(PersonalJson::from),
            owner: grant.map(|grant| PersonalJson::from(&grant.owner.name)),
            finding: finding.kind.as_str(),
            since: finding.since.map(format_rfc3339),
            evidence: finding.evidence,
            mend: finding.mend,
        }
    }
}

/// A part of a review.
#[derive(Serialize, ToSchema)]
pub(crate) struct Review {
    /// What was found, by key.
    findings: Vec<FindingJson>,
    /// Keys of this page that can be used.
    examined: usize,
    /// All usage that was reported up to here is considered, RFC 3339; null if none was yet.
    known_until: Option<String>,
    /// Where the next page begins; null if this is the last. A page may be without findings.
    next_cursor: Option<String>,
}

/// Reviews the keys of a tenant that can be used.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/review", tag = "policies", operation_id = "review",
    params(("tenant" = String, Path, description = "The tenant"), ReviewQuery),
    responses((status = 200, description = "What is wrong with the keys that can be used", body = Review)),
)]
pub(crate) async fn show(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    Params(query): Params<ReviewQuery>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::KeysRead, &tenant)?;
    app.reach_view(app.keys.status(), query.min_position).await?;
    app.reach_view(app.history.status(), query.min_position).await?;
    let span = |name, text: Option<&str>, default| {
        parameter::<Span>(name, text).map(|span| span.map_or(default, |span| span.0))
    };
    let asked = Asked {
        unused_ms: span("unused_for", query.unused_for.as_deref(), UNUSED_MS)?,
        old_ms: span("older_than", query.older_than.as_deref(), OLD_MS)?,
    };
    let only: Option<Kind> = parameter("finding", query.finding.as_deref())?;
    let keys = KeyQuery {
        standing: Some(Standing::Active),
        limit: page_limit(query.limit)?,
        cursor: parameter("cursor", query.cursor.as_deref())?,
        ..KeyQuery::all(tenant.clone())
    };
    let tenant = app.application.tenant(&tenant).await?;
    let page = list_keys(&app, keys, None).await?;
    let mut gathered = Gathered::of(&app, &tenant, &page.keys).await?;
    let mut found = Vec::new();
    for row in &page.keys {
        let of_key = gathered.findings(row, &asked).await?;
        let wanted = of_key.into_iter().filter(|finding| only.is_none_or(|only| only == finding.kind));
        found.extend(wanted.map(|finding| FindingJson::of(row, finding)));
    }
    let review = Review {
        findings: found,
        examined: page.keys.len(),
        known_until: app.usage.known_until().map(format_rfc3339),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    };
    Ok(axum::Json(review).into_response())
}
