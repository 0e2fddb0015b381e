//! `GET /v1/fleet`: who answers for whose keys, and how far each has come.

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{Permission, Position, TenantId};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::fleet::{Member, MemberState, Peer};
use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{Params, Shared};
use crate::http::problem::Problem;

/// Whose verifiers.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct FleetQuery {
    /// Only this tenant's guards. Needed by an operator that is bound to tenants.
    tenant: Option<String>,
}

/// All verifiers that this server knows.
#[derive(Serialize, ToSchema)]
#[schema(as = Fleet)]
pub(crate) struct FleetJson {
    /// `known`, or `unknown`: there may be guards that this server has not heard of.
    fleet: &'static str,
    /// The log's events that this server has applied.
    head: u64,
    /// This server, the others on its log by name, then guards by tenant and name.
    verifiers: Vec<VerifierJson>,
}

/// A server or a guard.
#[derive(Serialize, ToSchema)]
#[schema(as = Verifier)]
struct VerifierJson {
    /// `server` or `guard`.
    kind: &'static str,
    /// What people call it.
    name: String,
    /// Which run of a guard.
    #[serde(skip_serializing_if = "Option::is_none")]
    guard_id: Option<String>,
    /// Whose keys it judges; null: everybody's.
    tenant: Option<String>,
    /// Its version, as it says.
    version: String,
    /// How it hears: `log`, `sse` or `nats`.
    feed: String,
    /// Everything up to here has been applied there.
    applied: u64,
    /// How long ago it could last say that it had applied everything; null if it never could.
    lag_ms: Option<u64>,
    /// How many keys it holds.
    held: u64,
    /// How long ago it was heard.
    heard_ms_ago: u64,
    /// How long it goes on without hearing.
    max_staleness_ms: u64,
    /// current, lagging, stale (it refuses) or gone (it can accept nothing any more).
    state: &'static str,
}

/// Lists verifiers.
#[utoipa::path(
    get, path = "/v1/fleet", tag = "fleet", operation_id = "fleet", params(FleetQuery),
    responses((status = 200, description = "All verifiers that this server knows", body = FleetJson)),
)]
pub(crate) async fn list(
    State(app): State<Shared>,
    operator: Operator,
    Params(query): Params<FleetQuery>,
) -> Result<Response, Problem> {
    // What is no tenant id names no tenant, as in a path.
    let tenant: Option<TenantId> =
        query.tenant.map(|name| name.parse().map_err(|_| Problem::new(&codes::NOT_FOUND))).transpose()?;
    operator.require_for(Permission::KeysRead, tenant.as_ref())?;
    if tenant.as_ref().is_some_and(|tenant| app.index.tenant(tenant).is_none()) {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let now = app.ambient.boot_ms();
    let guards = app.fleet.members(tenant.as_ref()).into_iter();
    let guards = guards.map(|member| guard(&member, state_of(&app, &member, now), now));
    let mut peers = app.fleet.peers();
    peers.sort_by(|a, b| a.name.cmp(&b.name));
    let head = app.index.applied();
    let peers = peers.iter().map(|peer| other_server(peer, head, now));
    let body = FleetJson {
        fleet: if app.fleet.has_strangers(now) { "unknown" } else { "known" },
        head: head.get(),
        verifiers: std::iter::once(this_server(&app, now)).chain(peers).chain(guards).collect(),
    };
    Ok(axum::Json(body).into_response())
}

fn this_server(app: &Shared, now: u64) -> VerifierJson {
    let lag_ms = app.index.proven_at().map(|at| now.saturating_sub(at));
    let state = if app.index.is_stale(now) { MemberState::Stale } else { MemberState::Current };
    VerifierJson {
        kind: "server",
        name: app.fleet.name().to_owned(),
        guard_id: None,
        tenant: None,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        feed: "log".to_owned(),
        applied: app.index.applied().get(),
        lag_ms,
        held: app.index.key_count() as u64,
        heard_ms_ago: 0,
        max_staleness_ms: u64::try_from(app.max_staleness.as_millis()).unwrap_or(u64::MAX),
        state: state.as_str(),
    }
}

fn other_server(peer: &Peer, head: Position, now: u64) -> VerifierJson {
    VerifierJson {
        kind: "server",
        name: peer.name.to_string(),
        guard_id: None,
        tenant: None,
        version: peer.version.to_string(),
        feed: "log".to_owned(),
        applied: peer.applied.get(),
        lag_ms: peer.proven_at.map(|at| now.saturating_sub(at)),
        held: peer.held,
        heard_ms_ago: now.saturating_sub(peer.last_heard),
        max_staleness_ms: peer.max_staleness_ms,
        state: peer.state(head, now).as_str(),
    }
}

/// How every guard does that registered here.
pub(crate) fn states(app: &App) -> Vec<MemberState> {
    let now = app.ambient.boot_ms();
    app.fleet.own_members().iter().map(|member| state_of(app, member, now)).collect()
}

fn state_of(app: &App, member: &Member, now: u64) -> MemberState {
    let tenant = app.index.tenant(&member.introduction.tenant);
    member.state(tenant.map_or(Position::NONE, |tenant| tenant.last_notice), now)
}

fn guard(member: &Member, state: MemberState, now: u64) -> VerifierJson {
    let introduction = &member.introduction;
    VerifierJson {
        kind: "guard",
        name: introduction.name.to_string(),
        guard_id: Some(introduction.guard_id.to_string()),
        tenant: Some(introduction.tenant.to_string()),
        version: introduction.version.to_string(),
        feed: introduction.feed.to_string(),
        applied: member.applied.get(),
        lag_ms: member.whole_at.map(|at| now.saturating_sub(at)),
        held: member.held,
        heard_ms_ago: now.saturating_sub(member.last_heard),
        max_staleness_ms: introduction.max_staleness_ms,
        state: state.as_str(),
    }
}
