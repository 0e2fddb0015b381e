//! `GET /v1/tenants/{tenant}/keys/{key_id}/explain`: whether a key passed at a moment, and the event that decided it.

use std::net::IpAddr;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{Permission, Scope, Standing};
use projection::{Explained, Question};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use verify::Verdict;
use wire::format_rfc3339;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{OfKey, Params, Shared, parameter};
use crate::http::moment::{Then, ThenJson};
use crate::http::opened::exported;
use crate::http::problem::Problem;

/// What is asked about the key.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ExplainQuery {
    /// When: a position, or a time in RFC 3339, which means the last position whose log time is not above it. Now unless said
    /// otherwise.
    at: Option<String>,
    /// What it would have been used for; absent asks only whether it could be used at all.
    scope: Option<String>,
    /// The address that it would have come from.
    network: Option<String>,
}

/// The verdict of a moment, and why.
#[derive(Serialize, ToSchema)]
#[schema(as = Explanation)]
pub(crate) struct ExplanationJson {
    /// Which key.
    key_id: String,
    /// Its tenant.
    tenant: String,
    /// What a verify of its full secret said, on a server that had taken in the log up to there and was not stale.
    verdict: &'static str,
    /// Which rule made it that: `not_there`, `issue_unreadable`, `revoked`, `recalled`, `unreadable`, `expired`, `time_is_up`,
    /// `suspended`, `tenant_closed`, `network_not_admitted`, `scope_not_held` or `nothing_denies`.
    rule: &'static str,
    /// The same in a sentence.
    why: String,
    /// What the key was; null while it was not there.
    standing: Option<&'static str>,
    /// Since when it was revoked, recalled or expired, if that is the verdict, RFC 3339.
    since: Option<String>,
    /// The moment.
    as_of: ThenJson,
    /// The event since which the verdict is what it is, as /v1/events tells it: its position, actor, cause, command and
    /// reason; null while the key was not there.
    decided_by: Option<Value>,
}

/// Explains a verdict.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/keys/{key_id}/explain", tag = "audit", operation_id = "explain",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The key"),
        ExplainQuery,
    ),
    responses((status = 200, description = "The verdict then, from the log alone", body = ExplanationJson)),
)]
pub(crate) async fn explain(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    Params(query): Params<ExplainQuery>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::AuditRead, &tenant)?;
    let scope: Option<Scope> = parameter("scope", query.scope.as_deref())?;
    let network: Option<IpAddr> = parameter("network", query.network.as_deref())?;
    let then = Then::read(&app, "at", query.at.as_deref()).await?;
    let question = Question { tenant, key_id, scope, network };
    let explained = app.past.explain(&question, then.position, then.time).await?;
    let explained = explained.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    let decided_by = exported(&app, explained.decided_by.as_slice()).await?.pop();
    Ok(axum::Json(ExplanationJson::of(&question, &explained, then, decided_by)).into_response())
}

impl ExplanationJson {
    fn of(question: &Question, explained: &Explained, then: Then, decided_by: Option<Value>) -> Self {
        let (rule, why) = rule(question, explained, then);
        Self {
            key_id: question.key_id.to_string(),
            tenant: question.tenant.to_string(),
            verdict: explained.verdict.as_str(),
            rule,
            why,
            standing: explained.standing.map(Standing::as_str),
            since: explained.since.map(format_rfc3339),
            as_of: then.into(),
            decided_by,
        }
    }
}

/// The rule's word and its sentence. What people wrote (names, notes) is in the event beside it.
fn rule(question: &Question, explained: &Explained, then: Then) -> (&'static str, String) {
    let at = explained.decided_by.as_ref().map_or(0, |event| event.position.get());
    let since = explained.since.map(format_rfc3339).unwrap_or_default();
    let time = format_rfc3339(then.time);
    match explained.verdict {
        Verdict::Malformed | Verdict::Unknown if explained.standing.is_none() => {
            let words =
                format!("the key was not there yet: it came to be at position {}", explained.begins_at);
            ("not_there", words)
        }
        Verdict::Malformed | Verdict::Unknown => (
            "issue_unreadable",
            format!("its issue at position {at} cannot be read here, so no secret opens it"),
        ),
        Verdict::Revoked => ("revoked", format!("it was revoked at position {at}, on {since}")),
        Verdict::Recalled => {
            ("recalled", format!("the recall at position {at} means it; recalled on {since}"))
        }
        Verdict::Quarantined => (
            "unreadable",
            format!(
                "the event at position {at} cannot be read here, or does not follow, so what it names is refused"
            ),
        ),
        Verdict::Expired if explained.standing == Some(Standing::Expired) => {
            ("expired", format!("its expiry stands at position {at}, on {since}"))
        }
        Verdict::Expired => {
            ("time_is_up", format!("its time was up on {since}, as set at position {at}; it was {time}"))
        }
        Verdict::Suspended => {
            ("suspended", format!("it was suspended at position {at} and not reinstated since"))
        }
        Verdict::TenantClosed => ("tenant_closed", format!("its tenant was closed at position {at}")),
        Verdict::NetworkDenied => {
            let from = question.network.map_or_else(|| "nowhere known".to_owned(), |ip| ip.to_string());
            ("network_not_admitted", format!("its networks, as set at position {at}, do not admit {from}"))
        }
        Verdict::ScopeDenied => {
            let scope = question.scope.as_ref().map(ToString::to_string).unwrap_or_default();
            ("scope_not_held", format!("its scopes, as set at position {at}, do not cover {scope}"))
        }
        // What is read from the log itself is never stale.
        Verdict::Stale | Verdict::Valid => {
            ("nothing_denies", format!("nothing denies it since position {at}"))
        }
    }
}
