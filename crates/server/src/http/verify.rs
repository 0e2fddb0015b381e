//! `POST /v1/verify` and its batch: may this key be used, and for this?

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use ::verify::{Answer, Judgement, Verdict, VerifyRequest};
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{Permission, Scope, TenantId, operator};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use wire::format_rfc3339;

use crate::http::app::App;
use crate::http::auth::{Asker, Operator, scope_missing};
use crate::http::codes;
use crate::http::extract::{JsonBytes, Params, Shared, invalid, parse_json};
use crate::http::keys::AsNewAs;
use crate::http::opened::{name_of, names_of};
use crate::http::problem::Problem;
use crate::http::tenants::PersonalJson;
use crate::usage::{Service, Used};

/// The most keys of one batch: about a millisecond of a core.
const BATCH_MAX: usize = 1000;

/// A presented key and what for. Holds a secret: not `Debug`. Borrowed from the body, so that no copy is made.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct VerifyBody<'a> {
    /// The whole key as presented.
    #[serde(borrow)]
    #[schema(value_type = String)]
    key: Cow<'a, str>,
    /// What it is to be used for, such as `campaigns:send`.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    scope: Option<Cow<'a, str>>,
    /// The address that it is presented from.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    network: Option<Cow<'a, str>>,
    /// The only tenant whose keys count. An imported key is found only in the tenant that is named; an operator that is bound
    /// to one tenant need not name it.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    tenant: Option<Cow<'a, str>>,
    /// The service that it is presented to, if one operator asks for several: 1 to 64 of `A-Za-z0-9._/-`. Otherwise that is
    /// the label `service` of the operator's key, or its id.
    #[serde(borrow, default)]
    #[schema(value_type = Option<String>)]
    service: Option<Cow<'a, str>>,
}

/// Up to 1000 presented keys.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BatchBody<'a> {
    /// Each is answered at its place.
    #[serde(borrow)]
    requests: Vec<VerifyBody<'a>>,
}

/// The verdict. All but `verdict` and `as_of` is told only to who presented the full secret.
#[derive(Serialize, ToSchema)]
pub(crate) struct VerdictJson<'a> {
    /// The first that applies: malformed, unknown, revoked, recalled, quarantined, expired, suspended, tenant_closed, stale,
    /// network_denied, scope_denied, valid.
    verdict: &'static str,
    /// Which key.
    #[serde(skip_serializing_if = "Option::is_none")]
    key_id: Option<String>,
    /// Its tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<&'a str>,
    /// Whom it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerJson<'a>>,
    /// What it may do.
    #[serde(skip_serializing_if = "Option::is_none")]
    scopes: Option<Vec<&'a str>>,
    /// `live` or `test`.
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'static str>,
    /// When its time is up, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Since when it is revoked, recalled or expired, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<String>,
    /// How recent the knowledge is.
    as_of: AsOfJson,
}

/// An owner, borrowed where it can be.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
enum OwnerJson<'a> {
    /// Readable.
    Plain(&'a str),
    /// Sealed.
    Sealed(PersonalJson),
}

/// How recent the knowledge behind a verdict is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[schema(as = AsOf)]
pub(crate) struct AsOfJson {
    /// Every event up to here was considered.
    position: u64,
    /// How long ago that was proven to be everything; null when it never was.
    lag_ms: Option<u64>,
}

/// The verdicts of a batch.
#[derive(Serialize, ToSchema)]
pub(crate) struct BatchJson<'a> {
    /// Each at the place of its request.
    results: Vec<VerdictJson<'a>>,
}

impl<'a> VerdictJson<'a> {
    /// `name` is the owner's, if it could be read.
    fn of(answer: &'a Answer, name: Option<&'a str>) -> Self {
        let holder = answer.holder.as_ref();
        let lag = answer.as_of.lag;
        let lag_ms = (lag != Duration::MAX).then(|| u64::try_from(lag.as_millis()).unwrap_or(u64::MAX));
        Self {
            verdict: answer.verdict.as_str(),
            key_id: holder.map(|holder| holder.key_id.to_string()),
            tenant: holder.map(|holder| holder.tenant.as_str()),
            owner: holder.map(|_| match name {
                Some(text) => OwnerJson::Plain(text),
                None => OwnerJson::Sealed(PersonalJson::Sealed { sealed: true }),
            }),
            scopes: holder.map(|holder| holder.scopes.iter().map(Scope::as_str).collect()),
            environment: holder.map(|holder| holder.environment.as_str()),
            expires_at: holder.and_then(|holder| holder.expires_at).map(format_rfc3339),
            since: holder.and_then(|holder| holder.since).map(format_rfc3339),
            as_of: AsOfJson { position: answer.as_of.position.get(), lag_ms },
        }
    }
}

/// Judges one presented key.
#[utoipa::path(
    post, path = "/v1/verify", tag = "verify", operation_id = "verify", request_body = VerifyBody, params(AsNewAs),
    responses((status = 200, description = "The verdict, whatever it is", body = VerdictJson)),
)]
pub(crate) async fn one(
    State(app): State<Shared>,
    Asker(operator): Asker,
    Params(query): Params<AsNewAs>,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    let bounds = Bounds::of(&operator)?;
    app.reach_index(query.min_position).await?;
    let body: VerifyBody<'_> = parse_json(&bytes)?;
    let answer = answer(&app, &bounds, &service_of(&app, &operator), &body)?;
    let name = match &answer.holder {
        Some(holder) => name_of(&app, &holder.tenant, &holder.owner).await,
        None => None,
    };
    Ok(json(&VerdictJson::of(&answer, name.as_deref())))
}

/// Judges many.
#[utoipa::path(
    post, path = "/v1/verify/batch", tag = "verify", operation_id = "verify_batch", request_body = BatchBody,
    params(AsNewAs),
    responses((status = 200, description = "A verdict for each request, at its place", body = BatchJson)),
)]
pub(crate) async fn batch(
    State(app): State<Shared>,
    Asker(operator): Asker,
    Params(query): Params<AsNewAs>,
    JsonBytes(bytes): JsonBytes,
) -> Result<Response, Problem> {
    let bounds = Bounds::of(&operator)?;
    app.reach_index(query.min_position).await?;
    let body: BatchBody<'_> = parse_json(&bytes)?;
    if body.requests.len() > BATCH_MAX {
        let count = body.requests.len();
        return Err(invalid("requests", &format!("a batch is at most {BATCH_MAX} keys, not {count}")));
    }
    let service = service_of(&app, &operator);
    let answers = body.requests.iter().map(|body| answer(&app, &bounds, &service, body));
    let answers = answers.collect::<Result<Vec<_>, _>>()?;
    let names = names_of(&app, &answers).await;
    let results = answers.iter().zip(&names).map(|(answer, name)| VerdictJson::of(answer, name.as_deref()));
    Ok(json(&BatchJson { results: results.collect() }))
}

fn json<T: Serialize>(answer: &T) -> Response {
    let mut body = Vec::with_capacity(384);
    if serde_json::to_writer(&mut body, answer).is_err() {
        return Problem::new(&codes::INTERNAL).into_response();
    }
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], body).into_response()
}

/// Whose keys an operator may ask about.
pub(crate) enum Bounds<'a> {
    Everyone,
    /// Those of the tenants that the operator's scopes name, and which that is if it is one.
    Some(&'a Operator, Option<TenantId>),
}

impl<'a> Bounds<'a> {
    pub(crate) fn of(operator: &'a Operator) -> Result<Self, Problem> {
        if operator::permits_everywhere(&operator.scopes, Permission::Verify) {
            Ok(Self::Everyone)
        } else if operator.permits_somewhere(Permission::Verify) {
            Ok(Self::Some(operator, operator.only_tenant(Permission::Verify)))
        } else {
            Err(scope_missing(Permission::Verify, None))
        }
    }

    pub(crate) fn permit(&self, tenant: &TenantId) -> bool {
        match self {
            Self::Everyone => true,
            Self::Some(operator, _) => operator::permits_in(&operator.scopes, Permission::Verify, tenant),
        }
    }

    /// The tenant that is meant where none is named.
    pub(crate) const fn only(&self) -> Option<&TenantId> {
        match self {
            Self::Everyone => None,
            Self::Some(_, only) => only.as_ref(),
        }
    }
}

/// What the asking operator is called where its requests do not say.
pub(crate) fn service_of(app: &App, operator: &Operator) -> Service {
    app.meter.service_of(&app.index, &app.operators, operator.key_id, &*app.ambient)
}

fn answer(
    app: &App,
    bounds: &Bounds<'_>,
    service: &Service,
    body: &VerifyBody<'_>,
) -> Result<Answer, Problem> {
    let named: Option<TenantId> = match body.tenant.as_deref() {
        // What is no tenant id names no tenant, as in a path.
        Some(text) => Some(text.parse().map_err(|_| Problem::new(&codes::NOT_FOUND))?),
        None => None,
    };
    if named.as_ref().is_some_and(|tenant| !bounds.permit(tenant)) {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let scope: Option<Scope> =
        body.scope.as_deref().map(str::parse).transpose().map_err(|error| invalid("scope", &error))?;
    let network: Option<IpAddr> = match body.network.as_deref() {
        Some(text) => {
            Some(text.parse().map_err(|_| invalid("network", &"it is an address such as 192.0.2.7"))?)
        }
        None => None,
    };
    let service = match body.service.as_deref() {
        Some(text) if Service::is_label(text) => text,
        Some(_) => return Err(invalid("service", &"it is 1 to 64 of A-Z, a-z, 0-9 and ._/-")),
        None => service.as_str(),
    };
    // A bug for the search for secrets: a panic with a key in hand.
    #[cfg(feature = "planted")]
    assert!(body.scope.as_deref() != Some("planted:panic"), "a planted panic");
    let tenant = named.as_ref().or_else(|| bounds.only());
    let request = VerifyRequest { token: &body.key, tenant, scope: scope.as_ref(), network };
    Ok(judge(app, bounds, service, &request).to_answer())
}

/// The verdict as this caller may know it, counted in the metrics and under the key.
pub(crate) fn judge<'a>(
    app: &'a App,
    bounds: &Bounds<'_>,
    service: &str,
    request: &VerifyRequest<'_>,
) -> Judgement<'a> {
    let moment = app.moment();
    let mut judged = app.index.judge(request, moment);
    // A key of a tenant that the caller may not ask about is unknown to it, like any other text.
    if judged.holder.as_ref().is_some_and(|holder| !bounds.permit(holder.tenant())) {
        judged = Judgement { verdict: Verdict::Unknown, holder: None, as_of: judged.as_of };
    }
    app.meters.verdict(judged.verdict);
    // A guess at a secret is no use of the key: only who holds it is counted under it.
    if let Some(holder) = &judged.holder {
        app.meter.count(&Used {
            tenant: holder.tenant(),
            key_id: holder.key_id(),
            verdict: judged.verdict,
            scope: request.scope.map(Scope::as_str),
            service,
            network: request.network,
            now: moment.now,
        });
    }
    judged
}
