//! `GET /v1/events`: the log itself as NDJSON, for auditors: up to the head at the begin, then the answer ends.

mod filter;
mod reading;

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use domain::{KeyId, Permission, Position, StreamName, TenantId};
use eventlog::{ReadError, StreamId};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::events::filter::{ByActor, ByOwner, ByType, Filter};
use crate::http::events::reading::{Reading, Source};
use crate::http::extract::{Params, Shared, instant, parameter};
use crate::http::moment::Place;
use crate::http::problem::Problem;

/// Which events. Whatever is named has to hold.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventsQuery {
    /// The first position, or an instant, RFC 3339: from the first event on whose log time is at least that. The log time of a
    /// position is the highest `occurred_at` up to it, so it never goes back. 1 unless said otherwise.
    from: Option<String>,
    /// The last position, or an instant, RFC 3339: up to the last event whose log time is at most that. The log's head unless
    /// said otherwise.
    to: Option<String>,
    /// Only this tenant's. Needed by an operator that is bound to tenants.
    tenant: Option<String>,
    /// Only this key's.
    key: Option<String>,
    /// Only those of keys while they belong to this owner, and recalls that name it; needs the tenant. A transfer is told of
    /// both owners.
    owner: Option<String>,
    /// Only what was asked by this operator key, or by: operator, system, holder, scanner.
    actor: Option<String>,
    /// Only events of these types, separated by commas, such as `KeyRevoked,KeyLeaked`.
    #[serde(rename = "type")]
    types: Option<String>,
    /// Only from the first event on whose log time is at least this instant, RFC 3339; as `from` with a time.
    since: Option<String>,
    /// Only events before the first one whose log time is at least this instant, RFC 3339.
    until: Option<String>,
    /// Whether to tell how far the search is: a line `{"of":…,"reached":…}` at the begin, each second, and at the end, where
    /// both are the same.
    progress: Option<bool>,
    /// Answer only what is at least as new as this position.
    min_position: Option<u64>,
}

/// Streams the log.
#[utoipa::path(
    get, path = "/v1/events", tag = "audit", operation_id = "events", params(EventsQuery),
    responses((
        status = 200, content_type = "application/x-ndjson", body = String,
        description = "One event a line, up to the head at the begin. An answer that breaks off is not whole. An event that \
                       this build cannot read has `unreadable` with the reason, and is told wherever it may be one of those \
                       asked for",
    )),
)]
pub(crate) async fn events(
    State(app): State<Shared>,
    operator: Operator,
    Params(query): Params<EventsQuery>,
) -> Result<Response, Problem> {
    let tenant: Option<TenantId> = parameter("tenant", query.tenant.as_deref())?;
    operator.require_for(Permission::AuditRead, tenant.as_ref())?;
    let key: Option<KeyId> = parameter("key", query.key.as_deref())?;
    let (by_actor, by_type): (Option<ByActor>, Option<ByType>) =
        (parameter("actor", query.actor.as_deref())?, parameter("type", query.types.as_deref())?);
    app.reach_index(query.min_position).await?;
    if let Some(tenant) = &tenant
        && !is_there(&app, tenant).await?
    {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let owner = match (&tenant, query.owner.as_deref()) {
        (_, None) => None,
        (None, Some(_)) => {
            return Err(Problem::new(&codes::BAD_QUERY)
                .detail("owner: name the tenant too, since the same owner in two tenants is two owners"));
        }
        (Some(tenant), Some(owner)) => Some(ByOwner::new(app.application.owner_tag(tenant, owner).await?)),
    };
    let permit = app.gates.readings.clone().try_acquire_owned();
    let permit = permit.map_err(|_| Problem::new(&codes::TOO_MANY_CLIENTS).retry())?;
    let (first, last) = span(&app, &query).await?;
    let stream = tenant.clone().zip(key).filter(|_| owner.is_none());
    // Whose a key is when the span begins is told by what stands before it.
    let begin = if owner.is_some() { Position::new(1) } else { first };
    let source = match stream {
        Some((tenant, key_id)) => one_key(&app, StreamName::Key(tenant, key_id), first, last).await?,
        None => {
            let after = Position::new(begin.get() - 1).min(last);
            Source::Log(app.log.follow(after).await.map_err(|error| away(&error))?)
        }
    };
    let filter = Filter { first, last, tenant, key, actor: by_actor, types: by_type };
    let reading = Reading::new(app, source, (filter, owner), query.progress == Some(true), permit);
    let kind = HeaderValue::from_static("application/x-ndjson");
    Ok(([(header::CONTENT_TYPE, kind)], reading.answer()).into_response())
}

/// The first and the last position that are asked for. There may be nothing between them.
async fn span(app: &Shared, query: &EventsQuery) -> Result<(Position, Position), Problem> {
    let from: Option<Place> = parameter("from", query.from.as_deref())?;
    let to: Option<Place> = parameter("to", query.to.as_deref())?;
    let since = instant("since", query.since.as_deref())?;
    let until = instant("until", query.until.as_deref())?;
    let mut first = match from {
        None => Position::new(1),
        Some(Place::Position(position)) => position.max(Position::new(1)),
        Some(Place::Time(at)) => app.past.last_before(at).await?.next(),
    };
    if let Some(since) = since {
        first = first.max(app.past.last_before(since).await?.next());
    }
    // After the times before it: what they found is not beyond this.
    let mut last = app.log.head().await.map_err(|error| away(&error))?;
    match to {
        None => {}
        Some(Place::Position(position)) => last = last.min(position),
        Some(Place::Time(at)) => last = last.min(app.past.position_at(at).await?),
    }
    if let Some(until) = until {
        last = last.min(app.past.last_before(until).await?);
    }
    Ok((first, last))
}

/// A key of which the tenant is known is read from its own stream, however long the log is.
async fn one_key(
    app: &Shared,
    stream: StreamName,
    first: Position,
    last: Position,
) -> Result<Source, Problem> {
    let after = Position::new(first.get() - 1);
    let events = app.log.read_stream(&StreamId::from(&stream), after).await.map_err(|error| away(&error))?;
    Ok(Source::Read(events.into_iter().take_while(|event| event.position <= last).collect()))
}

/// Whether a tenant stands in the log; what the index has not heard of is looked for in the log itself.
async fn is_there(app: &Shared, tenant: &TenantId) -> Result<bool, Problem> {
    if app.index.tenant(tenant).is_some() {
        return Ok(true);
    }
    let stream = StreamId::from(&StreamName::Tenant(tenant.clone()));
    let opened = app.log.read_stream(&stream, Position::NONE).await.map_err(|error| away(&error))?;
    Ok(!opened.is_empty())
}

fn away(error: &ReadError) -> Problem {
    Problem::new(&codes::UNAVAILABLE).detail(error.to_string()).retry()
}
