//! `POST …/policies/try`: which keys a policy would have touched, when, and how much live traffic each carried.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{Permission, Policy, PolicyName, Standing, TenantId, Timestamp};
use projection::usage::{Coverage, UnknownSpan};
use projection::{KeyQuery, KeyRow, RotationState};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::format_rfc3339;

use super::PolicyBody;
use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{InTenant, Json, Params, Shared, page_limit, parameter};
use crate::http::opened::list_keys;
use crate::http::problem::Problem;
use crate::http::tenants::PersonalJson;
use crate::http::usage::UnknownJson;
use crate::policy::subject::{meant_by, settled_until, turns_of};
use crate::policy::timeline::Timeline;
use crate::policy::trial::{Past, Touch, touches};

/// Stands in for a name that nobody has to give.
const TRIED: &str = "tried";
/// The most unknown spans that are named with one touch.
const SPANS: usize = 5;

/// Where in the list of keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct TryQuery {
    /// Keys to look at, 1 to 200; 50 unless said otherwise.
    limit: Option<usize>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Answer only what is at least as new as this position.
    min_position: Option<u64>,
}

/// One thing that the policy would have done to a key.
#[derive(Serialize, ToSchema)]
pub(crate) struct TouchJson {
    /// refuse, expire, rotate, suspend, revoke or warn.
    action: &'static str,
    /// The rule that asks for it.
    rule: &'static str,
    /// When: of what lies behind us, the first time; RFC 3339. Null where usage is not known well enough to tell.
    at: Option<String>,
    /// Verdicts `valid` from then on that are on record: what would have been refused. Null where that is not known, or where
    /// nothing would have been refused.
    requests_after: Option<u64>,
    /// The first of them, within the hour or the day, RFC 3339.
    used_again_at: Option<String>,
    /// Parts in which nobody knows whether it was used, and whose reports are missing; the first 5.
    unknown: Vec<UnknownJson>,
}

/// A key that the policy would have touched.
#[derive(Serialize, ToSchema)]
pub(crate) struct TriedKey {
    /// The key.
    key_id: String,
    /// What people call it.
    name: Option<PersonalJson>,
    /// Whom it belongs to.
    owner: PersonalJson,
    /// What it is now.
    standing: &'static str,
    /// Verdicts `valid` of the last 90 days that are on record.
    requests: u64,
    /// Whether everything is known since it was issued, or for the last 90 days. If not there may have been more requests.
    complete: bool,
    /// The last verdict `valid`, RFC 3339; null if none is known.
    last_used: Option<String>,
    /// What the policy would have done.
    touches: Vec<TouchJson>,
}

/// A part of what a policy would have done.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tried {
    /// The keys that it would have touched, by id.
    keys: Vec<TriedKey>,
    /// Keys of this page that it is about.
    examined: usize,
    /// All usage that was reported up to here is considered, RFC 3339.
    known_until: Option<String>,
    /// Where the next page begins; null if this is the last. A page may be empty.
    next_cursor: Option<String>,
}

/// Tries a policy on history and usage; changes nothing.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/policies/try", tag = "policies", operation_id = "try_policy",
    request_body = PolicyBody,
    params(("tenant" = String, Path, description = "The tenant"), TryQuery),
    responses((status = 200, description = "What the policy would have done", body = Tried)),
)]
pub(crate) async fn try_out(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    Params(query): Params<TryQuery>,
    Json(body): Json<PolicyBody>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::KeysRead, &tenant)?;
    app.reach_view(app.keys.status(), query.min_position).await?;
    if app.index.tenant(&tenant).is_none() {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let name: PolicyName = TRIED.parse().map_err(|_| Problem::new(&codes::INTERNAL))?;
    let policy = body.read(&app, &tenant, name).await?;
    let keys = KeyQuery {
        limit: page_limit(query.limit)?,
        cursor: parameter("cursor", query.cursor.as_deref())?,
        ..meant_by(&tenant, &policy.selector)
    };
    let page = list_keys(&app, keys, None).await?;
    let trial = Trial::begin(&app, &tenant, &policy);
    let mut keys = Vec::new();
    for row in &page.keys {
        keys.extend(trial.of(row).await?);
    }
    let tried = Tried {
        keys,
        examined: page.keys.len(),
        known_until: app.usage.known_until().map(format_rfc3339),
        next_cursor: page.next.map(|cursor| cursor.to_string()),
    };
    Ok(axum::Json(tried).into_response())
}

/// What is the same for all keys of a page.
struct Trial<'a> {
    app: &'a App,
    tenant: &'a TenantId,
    policy: &'a Policy,
    now: Timestamp,
    until: Timestamp,
    unknown: Coverage,
}

impl<'a> Trial<'a> {
    fn begin(app: &'a App, tenant: &'a TenantId, policy: &'a Policy) -> Self {
        let now = app.ambient.now();
        let until = settled_until(app);
        let unknown = app.usage.coverage(tenant, Timestamp::default(), until);
        Self { app, tenant, policy, now, until, unknown }
    }

    async fn of(&self, row: &KeyRow) -> Result<Option<TriedKey>, Problem> {
        let Some(grant) = &row.grant else { return Ok(None) };
        let usage = self.app.usage.of_key(self.tenant, row.key_id, self.now).await?;
        let timeline = Timeline::of(&usage, grant.issued_at, self.now);
        let turns = turns_of(self.app, row, grant).await?;
        let ended = row.ended_at.unwrap_or(self.now);
        let rotating = row.rotation.as_ref().is_some_and(|rotation| {
            matches!(rotation.state, RotationState::Running | RotationState::Finished { .. })
        });
        let past = Past {
            grant,
            turns: &turns,
            timeline: &timeline,
            unknown: self.unknown.unknown(),
            until: self.until.min(ended),
            now: self.now,
            lives: matches!(row.standing, Standing::Active | Standing::Suspended),
            rotating,
        };
        let found = touches(&self.policy.rules, &past);
        if found.is_empty() {
            return Ok(None);
        }
        let complete =
            !self.unknown.unknown().iter().any(|span| span.to > timeline.from && span.from < past.until);
        Ok(Some(TriedKey {
            key_id: row.key_id.to_string(),
            name: grant.name.as_ref().map(PersonalJson::from),
            owner: PersonalJson::from(&grant.owner.name),
            standing: row.standing.as_str(),
            requests: timeline.valid(),
            complete,
            last_used: usage.last_used.map(format_rfc3339),
            touches: found.iter().map(|touch| shown(touch, &timeline)).collect(),
        }))
    }
}

fn shown(touch: &Touch, timeline: &Timeline) -> TouchJson {
    use crate::policy::trial::Deed;
    let stops = matches!(touch.deed, Deed::Expire | Deed::Suspend | Deed::Revoke);
    let after = touch.at.filter(|_| stops).map(|at| timeline.after(at));
    TouchJson {
        action: touch.deed.as_str(),
        rule: touch.rule,
        at: touch.at.map(format_rfc3339),
        requests_after: after.map(|(count, _)| count),
        used_again_at: after.and_then(|(_, first)| first).map(format_rfc3339),
        unknown: touch.unknown.iter().take(SPANS).map(|span: &UnknownSpan| UnknownJson::from(span)).collect(),
    }
}
