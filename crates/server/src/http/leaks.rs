//! `POST /v1/leaks`: keys that were found where they should not be, told by an operator or by a scanner that signs.

mod place;
mod respond;
mod signed;

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use domain::{Cause, LeakSource, Permission, Personal, TenantId};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, Instant};
use utoipa::ToSchema;

use crate::http::auth::{Operator, scope_missing};
use crate::http::command::{Meta, at_position};
use crate::http::extract::{JsonBytes, Shared, invalid, parse_json};
use crate::http::problem::Problem;
use respond::{Became, Report, Whose, respond};
use signed::{LabelJson, SignedBy, SignedReport};

/// The most reports of one operator's request: with their addresses they fit into a body.
const REPORTS_MAX: usize = 100;

/// How long a whole request may take, within the edge's 15 s, so that what was done is known when time is up.
const ANSWER_WITHIN: Duration = Duration::from_secs(14);

/// What an operator reports. Holds secrets: not `Debug`.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LeaksBody<'a> {
    /// At most 100.
    #[serde(borrow)]
    reports: Vec<ReportBody<'a>>,
}

/// One token that was found.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReportBody<'a> {
    /// The whole token as it was found. Only the full secret identifies a key.
    #[serde(borrow)]
    #[schema(value_type = String)]
    token: Cow<'a, str>,
    /// Who found it: 1 to 64 of A-Z, a-z, 0-9 and ._/-
    #[serde(borrow)]
    #[schema(value_type = String)]
    source: Cow<'a, str>,
    /// Where: an address or a path. Secrets of keys in it are left out.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    url: Option<Cow<'a, str>>,
    /// What the finder calls it; not kept.
    #[serde(borrow, default, rename = "type")]
    #[schema(value_type = Option<String>)]
    _kind: Option<Cow<'a, str>>,
    /// The tenant of a key that was imported, which is found only there.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    tenant: Option<Cow<'a, str>>,
}

/// Either form of a report.
#[derive(ToSchema)]
#[schema(title = "Leaks")]
#[expect(
    dead_code,
    reason = "it only describes: which form a body has is told by the headers, before it is read"
)]
pub(crate) enum LeaksRequest<'a> {
    /// An operator's.
    #[schema(title = "Reported")]
    Operator(LeaksBody<'a>),
    /// A scanner's, signed.
    #[schema(title = "Signed")]
    Signed(Vec<SignedReport<'a>>),
}

/// Either form of an answer.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum LeaksAnswer {
    /// To an operator.
    Operator(LeaksJson),
    /// To a scanner.
    Signed(Vec<LabelJson>),
}

/// What became of each report.
#[derive(Serialize, ToSchema)]
pub(crate) struct LeaksJson {
    /// Each at the place of its report.
    results: Vec<LeakResultJson>,
}

/// What became of one report.
#[derive(Serialize, ToSchema)]
pub(crate) struct LeakResultJson {
    /// `true_positive` for the whole secret of a key, else `false_positive`.
    label: &'static str,
    /// `revoked`, `suspended`, `already_ended` (revoked, recalled or expired before), `refused` (see code), or `unknown`.
    response: &'static str,
    /// Which key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// Its tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// Where it stands in the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
    /// Why nothing was done with a key that is in use: `last_operator`.
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<&'static str>,
}

impl From<&Became> for LeakResultJson {
    fn from(became: &Became) -> Self {
        Self {
            label: became.label(),
            response: became.response,
            key_id: became.key.as_ref().map(|(_, key_id)| key_id.to_string()),
            tenant: became.key.as_ref().map(|(tenant, _)| tenant.to_string()),
            position: became.position.map(domain::Position::get),
            code: became.code,
        }
    }
}

/// Reports leaked keys. Each is revoked or suspended at once, as its tenant wants.
///
/// As an operator with keys:revoke: `{"reports": [...]}`. Or, in the protocol of GitHub's secret scanning partners: an array of
/// matches, signed with ECDSA on P-256 over the body as it is; the answer is then an array of labels. A report that comes again
/// has no second effect.
#[utoipa::path(
    post, path = "/v1/leaks", tag = "keys", operation_id = "report_leaks", request_body = LeaksRequest,
    params(
        ("Github-Public-Key-Identifier" = Option<String>, Header, description = "Which of the scanner's keys signed the body"),
        ("Github-Public-Key-Signature" = Option<String>, Header, description = "The signature: ASN.1 DER as base64. With it no operator is needed, and the body may have 1 MiB"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the events"),
    ),
    security(("operator" = []), ()),
    responses((status = 200, description = "What became of each report, at its place", body = LeaksAnswer, headers(("Rescind-Position" = u64, description = "The last position that this write made, if it made any, for min_position")))),
)]
pub(crate) async fn report(State(app): State<Shared>, request: Request) -> Result<Response, Problem> {
    let until = Instant::now() + ANSWER_WITHIN;
    let (mut parts, body) = request.into_parts();
    let meta = Meta::from_request_parts(&mut parts, &app).await?;
    match SignedBy::of(&parts.headers)? {
        Some(signed) => signed::report(&app, &signed, meta, Request::from_parts(parts, body), until).await,
        None => by_operator(&app, meta, (parts, body), until).await,
    }
}

async fn by_operator(
    app: &Shared,
    meta: Meta,
    (mut parts, body): (Parts, Body),
    until: Instant,
) -> Result<Response, Problem> {
    let operator = Operator::from_request_parts(&mut parts, app).await?;
    if !operator.permits_somewhere(Permission::KeysRevoke)
        && !operator.permits_somewhere(Permission::TenantsAdmin)
    {
        return Err(scope_missing(Permission::KeysRevoke, None));
    }
    let JsonBytes(bytes) = JsonBytes::from_request(Request::from_parts(parts, body), &()).await?;
    let body: LeaksBody<'_> = parse_json(&bytes)?;
    if body.reports.len() > REPORTS_MAX {
        let count = body.reports.len();
        return Err(invalid("reports", &format!("a request has at most {REPORTS_MAX}, not {count}")));
    }
    let reports = body.reports.iter().enumerate().map(|(n, report)| report.read(n));
    let reports = reports.collect::<Result<Vec<_>, _>>()?;
    let mut request = meta.by(&operator);
    request.cause = Cause::Leak;
    let became = respond(app, &request, &reports, &Whose::Operators(&operator), until).await?;
    let results = became.iter().map(LeakResultJson::from).collect();
    Ok(answer(LeaksAnswer::Operator(LeaksJson { results }), &became))
}

impl ReportBody<'_> {
    /// `number` is its place among the reports, for what is wrong with it.
    fn read(&self, number: usize) -> Result<Report<'_>, Problem> {
        let at = |field: &str| format!("reports[{number}].{field}");
        let source: LeakSource = self.source.parse().map_err(|error| invalid(&at("source"), &error))?;
        if place::holds_secret_of(source.as_str(), &self.token) {
            return Err(invalid(&at("source"), &"it names who found the token, and is not the token"));
        }
        let url: Option<Personal> = match self.url.as_deref() {
            Some(url) => place::strict(url, &self.token).map_err(|error| invalid(&at("url"), &error))?,
            None => None,
        };
        // What is no tenant id names no tenant, and nothing is found there.
        let tenant: Option<Option<TenantId>> = self.tenant.as_deref().map(|text| text.parse().ok());
        Ok(Report { token: &self.token, source, url, tenant })
    }
}

fn answer(body: LeaksAnswer, became: &[Became]) -> Response {
    let response = axum::Json(body).into_response();
    match became.iter().filter_map(|became| became.position).max() {
        Some(position) => at_position(response, position),
        None => response,
    }
}
