//! `/v1/tenants/{tenant}/keys`: issue a key, list keys, show one.

use std::collections::BTreeMap;

use application::{AskedGrant, IssueRequest, Issued};
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use domain::{
    Environment, KeyId, Label, Labels, Networks, Permission, PersonalText, ScopeSet, Standing, TenantId,
};
use projection::{KeyLeak, KeyQuery, KeyRow};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use wire::{format_rfc3339, parse_rfc3339};

use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::command::{Meta, at_position, etag, outcome};
use crate::http::extract::{InTenant, Json, OfKey, Params, Shared, instant, invalid, page_limit, parameter};
use crate::http::moment::{Then, ThenJson};
use crate::http::opened::{list_keys, open_keys};
use crate::http::problem::Problem;
use crate::http::rotation_json::RotationJson;
use crate::http::tenants::PersonalJson;
use crate::http::unused::{self, LastUse, ListedUsage};

/// A key to issue.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct IssueKeyBody {
    /// Whom it belongs to: a person, a machine.
    pub(crate) owner: String,
    /// What people call it.
    pub(crate) name: Option<String>,
    /// What it may do, such as `campaigns:send`; a trailing `*` segment stands for the rest. None: nothing but to be valid.
    #[serde(default)]
    pub(crate) scopes: Vec<String>,
    /// Names and values, such as `service` and `mailer`.
    #[serde(default)]
    pub(crate) labels: BTreeMap<String, String>,
    /// `live` or `test`; live unless said otherwise.
    pub(crate) environment: Option<String>,
    /// Addresses and blocks that it may be used from; none means anywhere.
    #[serde(default)]
    pub(crate) networks: Vec<String>,
    /// When its time is up, RFC 3339; none means never.
    pub(crate) expires_at: Option<String>,
}

/// A key as it is shown; its secret is not known to anybody but its holder.
#[derive(Serialize, ToSchema)]
#[schema(as = Key)]
pub(crate) struct KeyJson {
    /// Its id, the public half.
    key_id: String,
    /// Its tenant.
    tenant: String,
    /// What people call it.
    name: Option<PersonalJson>,
    /// Whom it belongs to.
    owner: Option<PersonalJson>,
    /// What it may do.
    scopes: Vec<String>,
    /// Its labels.
    labels: BTreeMap<String, String>,
    /// `live` or `test`.
    environment: Option<&'static str>,
    /// Where it may be used from; empty means anywhere.
    networks: Vec<String>,
    /// active, suspended, expired, revoked, recalled or quarantined.
    standing: &'static str,
    /// How many events its history has.
    revision: u32,
    /// When it was issued, RFC 3339.
    issued_at: Option<String>,
    /// When its time is up, RFC 3339.
    expires_at: Option<String>,
    /// The operator key that issued it.
    issued_by: Option<String>,
    /// Whether it came from another system: it is known by the digest of its token.
    imported: bool,
    /// The key that it was issued to replace.
    predecessor: Option<String>,
    /// The last rotation in which it is to be replaced.
    rotation: Option<RotationJson>,
    /// When the service reinstates it by itself, RFC 3339.
    suspended_until: Option<String>,
    /// The last report that it was found where it should not be.
    leaked: Option<LeakJson>,
    /// When it was revoked, recalled or expired, RFC 3339.
    ended_at: Option<String>,
    /// The position of the recall that hit it.
    recalled_by: Option<u64>,
    /// Why it was suspended, revoked or recalled.
    reason: Option<&'static str>,
    /// The same in somebody's words.
    note: Option<PersonalJson>,
    /// The position of the last event of its history.
    position: u64,
}

/// A key by itself, with its last use.
#[derive(Serialize, ToSchema)]
pub(crate) struct ShownKey {
    #[serde(flatten)]
    key: KeyJson,
    /// Of the key as it is now: use is counted apart from the log.
    #[serde(flatten)]
    last_use: Option<LastUse>,
    /// Of a key as it was: the moment.
    #[serde(skip_serializing_if = "Option::is_none")]
    as_of: Option<ThenJson>,
}

/// A report that a key was found where it should not be.
#[derive(Serialize, ToSchema)]
#[schema(as = Leak)]
pub(crate) struct LeakJson {
    /// When it came, RFC 3339.
    reported_at: String,
    /// Who sent it.
    source: String,
    /// Where the key was found.
    url: Option<PersonalJson>,
}

impl From<&KeyLeak> for LeakJson {
    fn from(leak: &KeyLeak) -> Self {
        Self {
            reported_at: format_rfc3339(leak.reported_at),
            source: leak.source.to_string(),
            url: leak.url.as_ref().map(PersonalJson::from),
        }
    }
}

/// An issued key with its secret: the only answer that ever holds it.
#[derive(Serialize, ToSchema)]
pub(crate) struct IssuedKey<'a> {
    /// The whole key, shown this once; null when an earlier request with the same Idempotency-Key issued it.
    key: Option<&'a str>,
    /// True when the secret went out with the answer to an earlier request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    secret_already_shown: bool,
    /// The rest.
    #[serde(flatten)]
    shown: KeyJson,
}

fn texts<T: ToString>(items: impl Iterator<Item = T>) -> Vec<String> {
    items.map(|item| item.to_string()).collect()
}

fn label_map(labels: &Labels) -> BTreeMap<String, String> {
    labels.iter().map(|label| (label.name().to_owned(), label.value().to_owned())).collect()
}

impl From<&KeyRow> for KeyJson {
    fn from(row: &KeyRow) -> Self {
        let grant = row.grant.as_ref();
        let suspended = row.suspended.filter(|_| row.standing == Standing::Suspended);
        Self {
            key_id: row.key_id.to_string(),
            tenant: row.tenant.to_string(),
            name: grant.and_then(|grant| grant.name.as_ref()).map(PersonalJson::from),
            owner: grant.map(|grant| PersonalJson::from(&grant.owner.name)),
            scopes: grant.map(|grant| texts(grant.scopes.iter())).unwrap_or_default(),
            labels: grant.map(|grant| label_map(&grant.labels)).unwrap_or_default(),
            environment: grant.map(|grant| grant.environment.as_str()),
            networks: grant.map(|grant| texts(grant.networks.iter())).unwrap_or_default(),
            standing: row.standing.as_str(),
            revision: row.revision.get(),
            issued_at: grant.map(|grant| format_rfc3339(grant.issued_at)),
            expires_at: grant.and_then(|grant| grant.expires_at).map(format_rfc3339),
            issued_by: grant.and_then(|grant| grant.issued_by).map(|id| id.to_string()),
            imported: grant.is_some_and(|grant| grant.imported),
            predecessor: grant.and_then(|grant| grant.predecessor).map(|id| id.to_string()),
            rotation: row.rotation.as_ref().map(RotationJson::from),
            suspended_until: row.suspended_until.map(format_rfc3339),
            leaked: row.leaked.as_ref().map(LeakJson::from),
            ended_at: row.ended_at.map(format_rfc3339),
            recalled_by: row.recalled_by.map(domain::Position::get),
            reason: suspended
                .map(domain::SuspendReason::as_str)
                .or(row.reason.map(domain::RevokeReason::as_str)),
            note: row.note.as_ref().map(PersonalJson::from),
            position: row.position.get(),
        }
    }
}

impl IssueKeyBody {
    fn read(self, tenant: TenantId, operator: &Operator) -> Result<IssueRequest, Problem> {
        Ok(IssueRequest { tenant, grant: self.grant()?, issuer: Some(operator.as_issuer()) })
    }

    /// What is asked to come with the key.
    pub(crate) fn grant(self) -> Result<AskedGrant, Problem> {
        let name = self.name.as_deref().map(PersonalText::name).transpose();
        let labels =
            self.labels.iter().map(|(name, value)| Label::new(name, value)).collect::<Result<Vec<_>, _>>();
        let environment = match self.environment.as_deref() {
            None => Environment::default(),
            Some(text) => text.parse().map_err(|_| invalid("environment", &"it is live or test"))?,
        };
        let expires_at = self.expires_at.as_deref().map(parse_rfc3339).transpose();
        Ok(AskedGrant {
            environment,
            name: name.map_err(|error| invalid("name", &error))?,
            owner: PersonalText::name(&self.owner).map_err(|error| invalid("owner", &error))?,
            scopes: ScopeSet::parse(&self.scopes).map_err(|error| invalid("scopes", &error))?,
            labels: labels.and_then(Labels::new).map_err(|error| invalid("labels", &error))?,
            networks: Networks::parse(&self.networks).map_err(|error| invalid("networks", &error))?,
            expires_at: expires_at.map_err(|error| invalid("expires_at", &error))?,
        })
    }
}

/// Issues a key.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/keys", tag = "keys", operation_id = "issue_key", request_body = IssueKeyBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses(
        (status = 201, description = "The key, with its secret this once", body = IssuedKey, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"))),
        (status = 200, description = "A repeat: the key without its secret", body = IssuedKey, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"))),
    ),
)]
pub(crate) async fn issue(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    meta: Meta,
    Json(body): Json<IssueKeyBody>,
) -> Result<Response, Problem> {
    operator.require_write(Permission::KeysIssue, &tenant)?;
    let asked = body.read(tenant, &operator)?;
    let request = meta.by(&operator);
    let key_id = domain::IssueKey::key_id(&asked.tenant, &request.command_id);
    let issue = app.application.issue_key(&request, asked.clone());
    let issued = outcome(&app, "issue_key", &request.command_id, Some(key_id), issue).await?;
    let answer = IssuedKey {
        key: issued.key.as_ref().map(domain::PlainKey::expose),
        secret_already_shown: issued.key.is_none(),
        shown: show_issued(&app, &asked, &issued),
    };
    let status = if issued.changed.repeated { StatusCode::OK } else { StatusCode::CREATED };
    Ok(at_position((status, axum::Json(answer)).into_response(), issued.changed.position))
}

/// The key as it was asked for, which is how it stands: a repeat is of the same request. Only what may have happened to it
/// since then is looked up.
fn show_issued(app: &App, asked: &IssueRequest, issued: &Issued) -> KeyJson {
    let now = issued.changed.repeated.then(|| app.index.key(&asked.tenant, issued.key_id)).flatten();
    let (standing, revision) = now.map_or((Standing::Active, issued.changed.revision), |state| {
        (state.key.standing, state.key.revision)
    });
    let plain = |text: &PersonalText| PersonalJson::Plain(text.as_str().to_owned());
    KeyJson {
        key_id: issued.key_id.to_string(),
        tenant: asked.tenant.to_string(),
        name: asked.grant.name.as_ref().map(plain),
        owner: Some(plain(&asked.grant.owner)),
        scopes: texts(asked.grant.scopes.iter()),
        labels: label_map(&asked.grant.labels),
        environment: Some(asked.grant.environment.as_str()),
        networks: texts(asked.grant.networks.iter()),
        standing: standing.as_str(),
        revision: revision.get(),
        issued_at: Some(format_rfc3339(issued.changed.occurred_at)),
        expires_at: issued.expires_at.map(format_rfc3339),
        issued_by: asked.issuer.as_ref().map(|issuer| issuer.key_id.to_string()),
        imported: false,
        predecessor: None,
        rotation: None,
        suspended_until: None,
        leaked: None,
        ended_at: None,
        recalled_by: None,
        reason: None,
        note: None,
        position: issued.changed.position.get(),
    }
}

/// Which keys.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ListKeys {
    /// Belongs to this owner.
    owner: Option<String>,
    /// Is this: active, suspended, expired, revoked, recalled or quarantined.
    standing: Option<String>,
    /// Has this label, `name=value`.
    label: Option<String>,
    /// May do this.
    scope: Option<String>,
    /// Was issued before this instant, RFC 3339, and is known not to have been used since. A page may then be short, even
    /// empty, with a cursor.
    unused_since: Option<String>,
    /// Its time will be up before this instant, RFC 3339, and it has not ended otherwise.
    expiring_before: Option<String>,
    /// Part of its name, its owner or its id.
    q: Option<String>,
    /// Rows of a page, 1 to 200; 50 unless said otherwise.
    limit: Option<usize>,
    /// `next_cursor` of the page before, with the same filters.
    cursor: Option<String>,
    /// Answer only what is at least as new as this position.
    min_position: Option<u64>,
}

/// A part of a list of keys.
#[derive(Serialize, ToSchema)]
pub(crate) struct KeyList {
    /// The keys, by id; with `expiring_before` by expiry.
    keys: Vec<KeyJson>,
    /// Where the next page begins; null if this is the last. A page with a cursor may be short, even empty.
    next_cursor: Option<String>,
    /// With `unused_since`: what is known of use since then, and which keys are left out because not all is.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<ListedUsage>,
}

/// Lists a tenant's keys.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/keys", tag = "keys", operation_id = "list_keys",
    params(("tenant" = String, Path, description = "The tenant"), ListKeys),
    responses((status = 200, description = "The keys that match every filter", body = KeyList)),
)]
pub(crate) async fn list(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    Params(query): Params<ListKeys>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::KeysRead, &tenant)?;
    app.reach_view(app.keys.status(), query.min_position).await?;
    if app.index.tenant(&tenant).is_none() {
        return Err(Problem::new(&codes::NOT_FOUND));
    }
    let owner = match query.owner.as_deref() {
        None => None,
        Some(owner) => Some(app.application.owner_tag(&tenant, owner).await?),
    };
    let asked = KeyQuery {
        owner,
        label: parameter("label", query.label.as_deref())?,
        standing: parameter("standing", query.standing.as_deref())?,
        scope: parameter("scope", query.scope.as_deref())?,
        expiring_before: instant("expiring_before", query.expiring_before.as_deref())?,
        limit: page_limit(query.limit)?,
        cursor: parameter("cursor", query.cursor.as_deref())?,
        ..KeyQuery::all(tenant)
    };
    let (page, usage) = match instant("unused_since", query.unused_since.as_deref())? {
        Some(since) if since > app.ambient.now() => {
            return Err(Problem::new(&codes::BAD_QUERY).detail("unused_since: it lies ahead"));
        }
        Some(since) => {
            let (page, usage) = unused::page(&app, asked, query.q.as_deref(), since).await?;
            (page, Some(usage))
        }
        None => (list_keys(&app, asked, query.q.as_deref()).await?, None),
    };
    let keys = page.keys.iter().map(KeyJson::from).collect();
    let next_cursor = page.next.map(|cursor| cursor.to_string());
    Ok(axum::Json(KeyList { keys, next_cursor, usage }).into_response())
}

/// How new an answer has to be.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct AsNewAs {
    /// Answer only what is at least as new as this position.
    pub(crate) min_position: Option<u64>,
}

/// Which key, as it is or as it was.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ShowKey {
    /// As it was then: a position, or a time in RFC 3339, which means the last position whose log time is not above it. Now
    /// unless said otherwise.
    at: Option<String>,
    /// Answer only what is at least as new as this position.
    min_position: Option<u64>,
}

/// Shows one key.
#[utoipa::path(
    get, path = "/v1/tenants/{tenant}/keys/{key_id}", tag = "keys", operation_id = "show_key",
    params(
        ("tenant" = String, Path, description = "The tenant"),
        ("key_id" = String, Path, description = "The key"),
        ShowKey,
    ),
    responses((status = 200, description = "The key", body = ShownKey, headers(("ETag" = String, description = "The key's revision, for If-Match")))),
)]
pub(crate) async fn show(
    State(app): State<Shared>,
    operator: Operator,
    OfKey(tenant, key_id): OfKey,
    Params(query): Params<ShowKey>,
) -> Result<Response, Problem> {
    operator.require_in(Permission::KeysRead, &tenant)?;
    app.reach_view(app.keys.status(), query.min_position).await?;
    if query.at.is_some() {
        return as_it_was(&app, &tenant, key_id, query.at.as_deref()).await;
    }
    let row = app.keys.one(&tenant, key_id).await?;
    let mut row = row.ok_or_else(|| Problem::new(&codes::NOT_FOUND))?;
    open_keys(&app, std::slice::from_mut(&mut row)).await?;
    let last_use = Some(LastUse::of(&app, &row).await);
    let shown = ShownKey { key: KeyJson::from(&row), last_use, as_of: None };
    let mut response = axum::Json(shown).into_response();
    response.headers_mut().insert(header::ETAG, etag(row.revision));
    Ok(response)
}

/// The key at a moment, made again from the log. It has no entity tag: its revision is not one that a change could name.
async fn as_it_was(
    app: &App,
    tenant: &TenantId,
    key_id: KeyId,
    at: Option<&str>,
) -> Result<Response, Problem> {
    let then = Then::read(app, "at", at).await?;
    if let Some(mut row) = app.past.key_at(tenant, key_id, then.position).await? {
        open_keys(app, std::slice::from_mut(&mut row)).await?;
        let shown = ShownKey { key: KeyJson::from(&row), last_use: None, as_of: Some(then.into()) };
        return Ok(axum::Json(shown).into_response());
    }
    match app.past.beginning_of(tenant, key_id).await? {
        None => Err(Problem::new(&codes::NOT_FOUND)),
        Some(begin) => {
            let words =
                format!("the key came to be at position {begin}, and that is position {}", then.position);
            Err(Problem::new(&codes::NOT_THERE_THEN).detail(words))
        }
    }
}
