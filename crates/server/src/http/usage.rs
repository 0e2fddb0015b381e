//! `GET /v1/tenants/{tenant}/keys/{key_id}/usage`: how a key was used, and for which spans that is known.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{Permission, Timestamp};
use projection::usage::{
    Bucket, Coverage, RefusedAs, Requests, SeenService, UnknownSpan, UsageOther, UsagePart,
};
use serde::Serialize;
use utoipa::ToSchema;
use wire::format_rfc3339;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{OfKey, Params, Shared};
use crate::http::keys::AsNewAs;
use crate::http::problem::Problem;

const HOUR_MS: u64 = 3_600_000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// The hour that goes on and those before it, 7 days in all.
const HOURS: u64 = 7 * 24;
/// The day that goes on and those before it.
const DAYS: u64 = 90;
/// Unknown spans that are named; what is unknown beyond these is still marked in hours and days.
const SPANS: usize = 100;

/// How a key was used. A number counts what was reported; null is *not known*, never zero.
#[derive(Serialize, ToSchema)]
#[schema(as = KeyUsage)]
pub(crate) struct UsageJson {
    /// The key.
    key_id: String,
    /// Its tenant.
    tenant: String,
    /// The first verdict `valid`, RFC 3339; null if none is known.
    first_used: Option<String>,
    /// The last verdict `valid`, RFC 3339; null if none is known.
    last_used: Option<String>,
    /// Since the record began.
    total: RequestsJson,
    /// The hour that goes on and the 167 before it, oldest first.
    hours: Vec<BucketJson>,
    /// The UTC day that goes on and the 89 before it, oldest first.
    days: Vec<BucketJson>,
    /// By the scope that was asked for, last seen first; at most 64 are told apart.
    scopes: Vec<PartJson>,
    /// All other scopes.
    other_scopes: Option<OtherJson>,
    /// By the service that asked, last seen first; at most 64 are told apart.
    services: Vec<ServiceJson>,
    /// All other services.
    other_services: Option<OtherJson>,
    /// By the network that the key came from, last seen first; at most 64 are told apart.
    networks: Vec<PartJson>,
    /// All other networks.
    other_networks: Option<OtherJson>,
    /// Verdicts other than `valid`, last seen first.
    refused: Vec<RefusedJson>,
    /// What is known of the last 90 days.
    coverage: CoverageJson,
}

/// Verdicts, counted.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageRequests)]
pub(crate) struct RequestsJson {
    /// `valid`.
    valid: u64,
    /// All others.
    refused: u64,
}

/// The verdicts of an hour or a day.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageBucket)]
pub(crate) struct BucketJson {
    /// Where it begins, RFC 3339.
    start: String,
    /// Verdicts `valid`; null if none is known and not all is known.
    valid: Option<u64>,
    /// All other verdicts; null if none is known and not all is known.
    refused: Option<u64>,
    /// Whether everything in it is known.
    complete: bool,
}

/// The verdicts for one scope or from one network.
#[derive(Serialize, ToSchema)]
#[schema(as = UsagePart)]
pub(crate) struct PartJson {
    /// Which; null where none was told.
    name: Option<String>,
    /// Verdicts `valid`.
    valid: u64,
    /// All other verdicts.
    refused: u64,
    /// The last `valid`, RFC 3339.
    last_used: Option<String>,
    /// The last verdict, RFC 3339.
    last_seen: String,
}

/// The verdicts that one service asked for.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageService)]
pub(crate) struct ServiceJson {
    /// A guard's name, or what it calls itself, else the label `service` of the operator key that it asks with, else `operator/<key id>`.
    service: String,
    /// The network that it named last.
    network: Option<String>,
    /// Verdicts `valid`.
    valid: u64,
    /// All other verdicts.
    refused: u64,
    /// The last `valid`, RFC 3339.
    last_used: Option<String>,
    /// The last verdict, RFC 3339.
    last_seen: String,
}

/// The verdicts of what is no longer told apart.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageOther)]
pub(crate) struct OtherJson {
    /// Verdicts `valid`.
    valid: u64,
    /// All other verdicts.
    refused: u64,
    /// The last `valid`, RFC 3339.
    last_used: Option<String>,
    /// The last verdict, RFC 3339.
    last_seen: String,
}

/// How often the key was refused in one way, and where it came from last.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageRefused)]
pub(crate) struct RefusedJson {
    /// The verdict.
    verdict: String,
    /// How often.
    count: u64,
    /// The first time, RFC 3339.
    first: String,
    /// The last time, RFC 3339.
    last: String,
    /// The service that asked last.
    service: Option<String>,
    /// The network that it named.
    network: Option<String>,
}

/// What is known.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageCoverage)]
pub(crate) struct CoverageJson {
    /// Whether everything that happened in the span is counted.
    complete: bool,
    /// Where the span begins, RFC 3339.
    from: String,
    /// Where it ends.
    to: String,
    /// All that any server or guard reported up to here is counted, RFC 3339.
    known_until: Option<String>,
    /// In these parts more may have happened than is counted; the last 100.
    unknown: Vec<UnknownJson>,
}

/// A span in which more may have happened than is counted.
#[derive(Serialize, ToSchema)]
#[schema(as = UsageUnknown)]
pub(crate) struct UnknownJson {
    /// Known up to here, RFC 3339.
    from: String,
    /// Known again from here on, RFC 3339.
    to: String,
    /// The server or guard whose reports are missing.
    server: Option<String>,
    /// before_record, lost, silent or not_heard.
    why: &'static str,
}

/// Shows how a key was used.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/keys/{key_id}/usage", tag = "keys", operation_id = "key_usage",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The key"),
        AsNewAs,
    ),
    responses((status = 200, description = "How the key was used, and for which spans that is known", body = UsageJson)),
)]
pub(crate) async fn show(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    Params(query): Params<AsNewAs>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::KeysRead, &tenant)?;
    app.reach_view(app.keys.status(), query.min_position).await?;
    if app.keys.one(&tenant, key_id).await?.is_none() {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let now = app.ambient.now();
    let usage = app.usage.of_key(&tenant, key_id, now).await?;
    let from = start_of(now, DAY_MS, DAYS, 0);
    let coverage = app.usage.coverage(&tenant, from, now);
    let answer = UsageJson {
        hours: buckets(&usage.hours, &coverage, now, (HOUR_MS, HOURS)),
        days: buckets(&usage.days, &coverage, now, (DAY_MS, DAYS)),
        key_id: key_id.to_string(),
        tenant: tenant.to_string(),
        first_used: usage.first_used.map(format_rfc3339),
        last_used: usage.last_used.map(format_rfc3339),
        total: RequestsJson { valid: usage.total.valid, refused: usage.total.refused },
        scopes: usage.scopes.into_iter().map(PartJson::from).collect(),
        other_scopes: usage.scopes_other.map(OtherJson::from),
        services: usage.services.into_iter().map(ServiceJson::from).collect(),
        other_services: usage.services_other.map(OtherJson::from),
        networks: usage.networks.into_iter().map(PartJson::from).collect(),
        other_networks: usage.networks_other.map(OtherJson::from),
        refused: usage.refused.into_iter().map(RefusedJson::from).collect(),
        coverage: CoverageJson::of(&coverage, (from, now), app.usage.known_until()),
    };
    Ok(axum::Json(answer).into_response())
}

/// Where the `nth` of so many hours or days begins.
fn start_of(now: Timestamp, each_ms: u64, count: u64, nth: u64) -> Timestamp {
    let first = (now.as_millis() / each_ms).saturating_sub(count - 1);
    Timestamp::from_millis((first + nth) * each_ms)
}

/// All hours or days up to now, also those in which nothing is known to have happened.
fn buckets(
    counted: &[Bucket],
    coverage: &Coverage,
    now: Timestamp,
    (each_ms, count): (u64, u64),
) -> Vec<BucketJson> {
    let bucket = |nth| {
        let start = start_of(now, each_ms, count, nth);
        let end = start.plus_millis(each_ms);
        let complete = !coverage.unknown().iter().any(|span| span.from < end && span.to > start);
        let counted = counted.iter().find(|bucket| bucket.start == start);
        let Requests { valid, refused } = counted.map(|bucket| bucket.requests).unwrap_or_default();
        let known = |number: u64| (complete || number > 0).then_some(number);
        BucketJson { start: format_rfc3339(start), valid: known(valid), refused: known(refused), complete }
    };
    (0..count).map(bucket).collect()
}

impl CoverageJson {
    pub(crate) fn of(
        coverage: &Coverage,
        (from, to): (Timestamp, Timestamp),
        known_until: Option<Timestamp>,
    ) -> Self {
        let spans = coverage.unknown();
        Self {
            complete: coverage.is_covered(),
            from: format_rfc3339(from),
            to: format_rfc3339(to),
            known_until: known_until.map(format_rfc3339),
            unknown: spans[spans.len().saturating_sub(SPANS)..].iter().map(UnknownJson::from).collect(),
        }
    }
}

impl From<UsagePart> for PartJson {
    fn from(part: UsagePart) -> Self {
        let Requests { valid, refused } = part.requests;
        Self {
            name: part.name.map(String::from),
            valid,
            refused,
            last_used: part.last_used.map(format_rfc3339),
            last_seen: format_rfc3339(part.last_seen),
        }
    }
}

impl From<SeenService> for ServiceJson {
    fn from(seen: SeenService) -> Self {
        let Requests { valid, refused } = seen.requests;
        Self {
            service: seen.service.map(String::from).unwrap_or_default(),
            network: seen.network.map(String::from),
            valid,
            refused,
            last_used: seen.last_used.map(format_rfc3339),
            last_seen: format_rfc3339(seen.last_seen),
        }
    }
}

impl From<UsageOther> for OtherJson {
    fn from(other: UsageOther) -> Self {
        let Requests { valid, refused } = other.requests;
        Self {
            valid,
            refused,
            last_used: other.last_used.map(format_rfc3339),
            last_seen: format_rfc3339(other.last_seen),
        }
    }
}

impl From<RefusedAs> for RefusedJson {
    fn from(refused: RefusedAs) -> Self {
        Self {
            verdict: refused.verdict.into(),
            count: refused.count,
            first: format_rfc3339(refused.first),
            last: format_rfc3339(refused.last),
            service: refused.service.map(String::from),
            network: refused.network.map(String::from),
        }
    }
}

impl From<&UnknownSpan> for UnknownJson {
    fn from(span: &UnknownSpan) -> Self {
        Self {
            from: format_rfc3339(span.from),
            to: format_rfc3339(span.to),
            server: span.whom.as_deref().map(str::to_owned),
            why: span.why.as_str(),
        }
    }
}
