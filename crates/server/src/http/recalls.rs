//! `POST /v1/tenants/{tenant}/recalls`: any number of keys revoked by one event, after a look at which.

use application::{AskedSelector, Cascaded, Confirmed, RecallPreview, RecallRequest, Recalled};
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use domain::{KeyId, Permission, PersonalText, RevokeReason, TenantId, Timestamp};
use projection::RotationPhase;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use utoipa::ToSchema;
use wire::format_rfc3339;

use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::command::{Meta, at_position, outcome};
use crate::http::extract::{InTenant, Json, Params, Shared, invalid};
use crate::http::keys::KeyJson;
use crate::http::opened::open_keys;
use crate::http::problem::Problem;
use crate::http::receipts::{Patience, ReceiptJson, WaitQuery, enforced};

/// How many keys are shown by name, of a preview or beyond it.
const SAMPLE: usize = 20;
/// Rows of a page that is only counted.
const USED_PAGE: usize = 200;
const HOUR_MS: u64 = 60 * 60 * 1000;
const DAY_MS: u64 = 24 * HOUR_MS;
/// How many owners or services a preview counts apart.
const GROUPS: usize = 50;

/// Which keys: every part that is given holds. To mean all keys of the tenant, say so.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SelectorBody {
    /// Belongs to this owner.
    owner: Option<String>,
    /// Has this label, `name=value`.
    label: Option<String>,
    /// May do this: a scope that it holds covers it.
    scope: Option<String>,
    /// Was issued by this key.
    issuer: Option<String>,
    /// `live` or `test`.
    environment: Option<String>,
    /// Every key; goes with none of the others.
    all: bool,
}

impl SelectorBody {
    pub(crate) fn read(self) -> Result<AskedSelector, Problem> {
        let owner = self.owner.as_deref().map(PersonalText::name).transpose();
        let label = self.label.as_deref().map(str::parse).transpose();
        let scope = self.scope.as_deref().map(str::parse).transpose();
        let issuer = self.issuer.as_deref().map(str::parse).transpose();
        let environment = self.environment.as_deref().map(str::parse).transpose();
        let asked = AskedSelector {
            owner: owner.map_err(|error| invalid("selector.owner", &error))?,
            label: label.map_err(|error| invalid("selector.label", &error))?,
            scope: scope.map_err(|error| invalid("selector.scope", &error))?,
            issuer: issuer.map_err(|error| invalid("selector.issuer", &error))?,
            environment: environment.map_err(|_| invalid("selector.environment", &"it is live or test"))?,
        };
        match (asked.has_parts(), self.all) {
            (true, false) | (false, true) => Ok(asked),
            (true, true) => Err(invalid("selector", &"all goes with no other part")),
            (false, false) => Err(invalid("selector", &domain::SelectorError)),
        }
    }
}

/// A recall, or the wish to see what it would do.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RecallBody {
    /// Which keys.
    selector: SelectorBody,
    /// compromised, owner_left, service_changed, unused, superseded, leaked, requested, policy or other. Not needed for a
    /// preview.
    reason: Option<String>,
    /// In your words.
    note: Option<String>,
    /// Only show what would happen.
    #[serde(default)]
    dry_run: bool,
    /// The token of a preview: exactly the keys that it showed, or fewer. What is issued or changed in the instant between the
    /// comparison and the recall's place in the log cannot be compared: the answer tells it as `beyond_preview`.
    confirm: Option<String>,
    /// Whatever matches, also what no preview showed.
    #[serde(default)]
    accept_changes: bool,
    /// Take along what the recalled keys issued, and what those issued, in every tenant.
    #[serde(default)]
    cascade: bool,
}

/// How many keys of one owner, or of one service.
#[derive(Serialize, ToSchema)]
pub(crate) struct Group {
    /// The owner, or the label `service`.
    name: String,
    /// How many keys.
    count: usize,
}

/// Requests of the keys that would be recalled.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecentUse {
    /// In the last hour.
    last_hour: u64,
    /// In the last day.
    last_day: u64,
    /// Whether every verifier reported for that time. If not, there may have been more.
    complete: bool,
}

/// What a recall would do.
#[derive(Serialize, ToSchema)]
pub(crate) struct Preview {
    /// The token to confirm exactly this, good for an hour.
    token: String,
    /// Every event up to here was considered.
    position: u64,
    /// How many keys would be recalled.
    count: usize,
    /// Of whom, the most first; `others` beyond the first fifty.
    by_owner: Vec<Group>,
    /// Of which services, by the label `service`.
    by_service: Vec<Group>,
    /// What is at stake.
    recent_use: RecentUse,
    /// Keys among them that are being rotated, or are to take over from one.
    rotations_in_flight: usize,
    /// Some of them.
    sample: Vec<KeyJson>,
}

/// A recall that stands.
#[derive(Serialize, ToSchema)]
pub(crate) struct RecallAnswer {
    /// Where it stands in the log: it covers the keys that matched there, for ever, and none issued later.
    position: u64,
    /// Its tenant.
    tenant: String,
    /// Why.
    reason: &'static str,
    /// When, RFC 3339.
    recalled_at: String,
    /// How many keys matched just before; null for a repeat.
    count: Option<usize>,
    /// Keys that were hit though the preview did not show them: issued, or changed so that they match, while the recall was on
    /// its way into the log. Null for a repeat, without `confirm`, and while this server's index is behind.
    beyond_preview: Option<BeyondPreview>,
    /// This server refuses them from now on. False when its index is more than a second behind: ask with min_position.
    effective: bool,
    /// Who else does; null while this server's own index is behind.
    receipt: Option<ReceiptJson>,
    /// What was taken along.
    cascaded: Vec<CascadedJson>,
    /// Whether an earlier request with the same Idempotency-Key made it.
    repeated: bool,
}

/// Keys that no preview showed.
#[derive(Serialize, ToSchema)]
pub(crate) struct BeyondPreview {
    /// How many; almost always none.
    count: usize,
    /// Some of them.
    sample: Vec<String>,
}

impl BeyondPreview {
    fn of(keys: &[KeyId]) -> Self {
        Self { count: keys.len(), sample: keys.iter().take(SAMPLE).map(ToString::to_string).collect() }
    }
}

/// One recall of a cascade.
#[derive(Serialize, ToSchema)]
pub(crate) struct CascadedJson {
    /// Where.
    tenant: String,
    /// What was issued by this key.
    issuer: String,
    /// The recall's position.
    position: u64,
    /// How many keys matched just before.
    count: usize,
}

impl From<&Cascaded> for CascadedJson {
    fn from(cascaded: &Cascaded) -> Self {
        Self {
            tenant: cascaded.tenant.to_string(),
            issuer: cascaded.issuer.to_string(),
            position: cascaded.position.get(),
            count: cascaded.count,
        }
    }
}

/// Recalls keys, or shows which would be.
#[utoipa::path(
    post, path = "/v1/tenants/{tenant}/recalls", tag = "recalls", operation_id = "recall_keys",
    request_body = RecallBody,
    params(
        ("tenant" = String, Path, description = "The tenant"),
        WaitQuery,
        ("Idempotency-Key" = Option<String>, Header, description = "The command id: 1 to 128 printable ASCII characters. A repeat with the same one has one effect and the first outcome"),
        ("traceparent" = Option<String>, Header, description = "W3C trace context, recorded with the event"),
    ),
    responses(
        (status = 200, description = "With dry_run what would happen", body = Preview),
        (status = 201, description = "The keys are recalled and refused here", body = RecallAnswer, headers(("Rescind-Position" = u64, description = "The position that this write made, for min_position"))),
    ),
)]
pub(crate) async fn recall(
    State(app): State<Shared>,
    operator: Operator,
    InTenant(tenant): InTenant,
    Params(query): Params<WaitQuery>,
    meta: Meta,
    Json(body): Json<RecallBody>,
) -> Result<Response, Problem> {
    operator.require_write(Permission::KeysRevoke, &tenant)?;
    let patience = query.patience()?;
    let selector = body.selector.read()?;
    if body.dry_run {
        let preview = app.application.preview_recall(&tenant, selector).await?;
        return Ok(axum::Json(show(&app, &tenant, preview).await?).into_response());
    }
    let reason = body.reason.as_deref().ok_or_else(|| invalid("reason", &"the field reason is missing"))?;
    let reason: RevokeReason = reason.parse().map_err(|error| invalid("reason", &error))?;
    let note = body.note.as_deref().map(PersonalText::note).transpose();
    let confirmed = match (body.accept_changes, body.confirm.as_deref()) {
        (true, _) => Confirmed::IncludingNew,
        (false, Some(token)) => {
            Confirmed::Shown(token.parse().map_err(|_| Problem::new(&codes::PREVIEW_INVALID))?)
        }
        (false, None) => return Err(Problem::new(&codes::PREVIEW_NEEDED)),
    };
    let request = meta.by(&operator);
    let asked = RecallRequest {
        tenant: tenant.clone(),
        selector,
        reason,
        note: note.map_err(|error| invalid("note", &error))?,
        confirmed,
        cascade: body.cascade,
    };
    let recall = app.application.recall_keys(&request, asked);
    let recalled = outcome(&app, "recall_keys", &request.command_id, None, recall).await?;
    Ok(answer(&app, &tenant, reason, &recalled, patience).await)
}

async fn answer(
    app: &Shared,
    tenant: &TenantId,
    reason: RevokeReason,
    recalled: &Recalled,
    patience: Patience,
) -> Response {
    let changed = recalled.changed;
    let receipt = enforced(app, tenant, &changed, patience).await;
    let body = RecallAnswer {
        position: changed.position.get(),
        tenant: tenant.to_string(),
        reason: reason.as_str(),
        recalled_at: format_rfc3339(changed.occurred_at),
        count: recalled.count,
        beyond_preview: recalled.beyond.as_deref().map(BeyondPreview::of),
        effective: app.index.applied() >= changed.position,
        receipt,
        cascaded: recalled.cascaded.iter().map(CascadedJson::from).collect(),
        repeated: changed.repeated,
    };
    let status = if changed.repeated { axum::http::StatusCode::OK } else { axum::http::StatusCode::CREATED };
    at_position((status, axum::Json(body)).into_response(), changed.position)
}

fn groups(counts: BTreeMap<String, usize>) -> Vec<Group> {
    let mut groups: Vec<Group> = counts.into_iter().map(|(name, count)| Group { name, count }).collect();
    groups.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.name.cmp(&b.name)));
    let rest: usize = groups.iter().skip(GROUPS).map(|group| group.count).sum();
    groups.truncate(GROUPS);
    if rest > 0 {
        groups.push(Group { name: "others".to_owned(), count: rest });
    }
    groups
}

/// What the preview's keys have to do with the world: who used them lately, and which are being rotated.
async fn show(app: &Shared, tenant: &TenantId, preview: RecallPreview) -> Result<Preview, Problem> {
    let now = app.ambient.now();
    let used = used_of(app, tenant, &preview.keys).await?;
    let hour = app.usage.requests_of(tenant, used.clone(), (before(now, HOUR_MS), now)).await?;
    let day = app.usage.requests_of(tenant, used, (before(now, DAY_MS), now)).await?;
    let complete = app.usage.coverage(tenant, before(now, DAY_MS), now).is_covered();
    let hit: HashSet<KeyId> = preview.keys.iter().copied().collect();
    let rotations_in_flight = rotations_among(app, tenant, &hit).await?;
    let mut sample = Vec::new();
    for key_id in preview.keys.iter().take(SAMPLE) {
        sample.extend(app.keys.one(tenant, *key_id).await?);
    }
    open_keys(app, &mut sample).await?;
    Ok(Preview {
        token: preview.token.to_string(),
        position: preview.position.get(),
        count: preview.count,
        by_owner: groups(preview.by_owner),
        by_service: groups(preview.by_service),
        recent_use: RecentUse { last_hour: hour.all(), last_day: day.all(), complete },
        rotations_in_flight,
        sample: sample.iter().map(KeyJson::from).collect(),
    })
}

fn before(now: Timestamp, ms: u64) -> Timestamp {
    Timestamp::from_millis(now.as_millis().saturating_sub(ms))
}

/// Those of the keys of which any use is known: of a million keys mostly few.
async fn used_of(app: &Shared, tenant: &TenantId, keys: &[KeyId]) -> Result<Vec<KeyId>, Problem> {
    let wanted: HashSet<KeyId> = keys.iter().copied().collect();
    let (mut used, mut after) = (Vec::new(), None);
    loop {
        let page = app.usage.page(tenant, after, USED_PAGE).await?;
        after = page.last().map(|(key_id, _)| *key_id);
        used.extend(page.iter().map(|(key_id, _)| *key_id).filter(|key_id| wanted.contains(key_id)));
        if page.len() < USED_PAGE {
            return Ok(used);
        }
    }
}

/// Keys that are being rotated, or are to take over.
async fn rotations_among(app: &Shared, tenant: &TenantId, hit: &HashSet<KeyId>) -> Result<usize, Problem> {
    let (mut count, mut cursor) = (0, None);
    loop {
        let page = app.keys.rotations(tenant, Some(RotationPhase::Running), cursor, USED_PAGE).await?;
        for row in &page.keys {
            let successor = row.rotation.as_ref().map(|rotation| rotation.successor);
            count += usize::from(hit.contains(&row.key_id) || successor.is_some_and(|id| hit.contains(&id)));
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(count);
        }
    }
}
