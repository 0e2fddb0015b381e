//! `GET /v1/receipts/{id}`, and the wait that every ending may have: who has enforced it, and who is outstanding.

use std::time::Duration;

use application::Changed;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use domain::{Event, Permission, Position, StreamName, TenantId};
use eventlog::ReadError;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};
use tracing::warn;
use utoipa::{IntoParams, ToSchema};
use wire::format_rfc3339;

use crate::fleet::{Ending, Receipt, TargetState};
use crate::http::app::App;
use crate::http::auth::Operator;
use crate::http::codes;
use crate::http::extract::{Params, Shared, invalid};
use crate::http::log_proof::{ProofJson, proof_of};
use crate::http::problem::Problem;

/// How long a command waits for the fleet where the client does not say.
const WAIT_MS: u64 = 1_000;
/// The most that it waits: every bound has passed by then, with the server's own default.
const WAIT_MAX_MS: u64 = 6_000;

/// How long to wait, and for what.
#[derive(Clone, Copy, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct WaitQuery {
    /// `effective`: until this server refuses. `enforced`: until every verifier does, or the time is up. Unless said, as
    /// `enforced`, but only guards that this server can name are waited for.
    wait: Option<Wait>,
    /// How long, in milliseconds, at most 6000; 1000 unless said. The answer comes when the time is up, whoever is
    /// outstanding.
    timeout_ms: Option<u64>,
}

/// What to wait for.
#[derive(Clone, Copy, Deserialize, PartialEq, Eq, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Wait {
    /// Until this server refuses.
    Effective,
    /// Until every verifier does.
    Enforced,
}

/// For how long and for whom a command waits.
#[derive(Clone, Copy)]
pub(crate) struct Patience {
    time: Duration,
    /// Also for guards that this server cannot name.
    strangers: bool,
}

impl WaitQuery {
    /// How long a command may wait for the fleet; to be called before it is executed.
    pub(crate) fn patience(self) -> Result<Patience, Problem> {
        let ms = self.timeout_ms.unwrap_or(WAIT_MS);
        if ms > WAIT_MAX_MS {
            return Err(invalid("timeout_ms", &format!("a command waits at most {WAIT_MAX_MS} ms")));
        }
        let waits = self.wait != Some(Wait::Effective);
        let time = if waits { Duration::from_millis(ms) } else { Duration::ZERO };
        Ok(Patience { time, strangers: self.wait == Some(Wait::Enforced) })
    }
}

/// Who has enforced an ending. Enforced means: that verifier refuses the keys it is about, whoever presents them.
#[derive(Serialize, ToSchema)]
#[schema(as = Receipt)]
pub(crate) struct ReceiptJson {
    /// The position of what was enforced; `GET /v1/receipts/{id}` shows it again.
    id: u64,
    /// Nobody is outstanding, and nobody unknown can be.
    complete: bool,
    /// This server was asked long after it happened, and was not the one that did it or has lost what it knew: who refuses is
    /// true, but not since when.
    late: bool,
    /// `known`, or `unknown`: guards that this server has not heard of may still accept.
    fleet: &'static str,
    /// When the fleet is known at the latest, in milliseconds from now; null if nothing here can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    known_within_ms: Option<u64>,
    /// Who refuses.
    enforced: Vec<EnforcedJson>,
    /// Who may still accept.
    outstanding: Vec<OutstandingJson>,
    /// Whether it is proven that the event is in the log, and by what.
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<ProofJson>,
}

/// A verifier that refuses.
#[derive(Serialize, ToSchema)]
#[schema(as = Enforced)]
struct EnforcedJson {
    /// `server` or `guard`.
    kind: &'static str,
    /// What people call it.
    name: String,
    /// Which guard; null for a server.
    guard_id: Option<String>,
    /// How that is known: `index` (the server itself), `report` (it said so), `bound` (without hearing it refuses everything
    /// by now), `left` (it answers nobody any more).
    by: &'static str,
    /// How long after the ending was effective at the server; null in a late receipt.
    after_ms: Option<u64>,
}

/// A verifier that may still accept.
#[derive(Serialize, ToSchema)]
#[schema(as = Outstanding)]
struct OutstandingJson {
    /// `server` or `guard`.
    kind: &'static str,
    /// What people call it.
    name: String,
    /// Which guard; null for a server.
    guard_id: Option<String>,
    /// It refuses by itself after so long at the latest, though nobody reaches it.
    refuses_within_ms: u64,
}

impl ReceiptJson {
    fn of(receipt: &Receipt, boot_ms: u64) -> Self {
        let mut enforced = Vec::new();
        let mut outstanding = Vec::new();
        for target in &receipt.targets {
            let name = target.name.to_string();
            let (kind, guard_id) = (target.who.kind(), target.who.guard_id());
            match target.state {
                TargetState::Enforced { by, after_ms } => {
                    let after_ms = (!receipt.late).then_some(after_ms);
                    enforced.push(EnforcedJson { kind, name, guard_id, by: by.as_str(), after_ms });
                }
                TargetState::Outstanding { until } => {
                    let refuses_within_ms = until.saturating_sub(boot_ms);
                    outstanding.push(OutstandingJson { kind, name, guard_id, refuses_within_ms });
                }
            }
        }
        let strangers = receipt.strangers_until;
        Self {
            id: receipt.ending.position.get(),
            complete: receipt.is_complete(),
            late: receipt.late,
            fleet: if strangers.is_none() { "known" } else { "unknown" },
            known_within_ms: strangers
                .filter(|until| *until != u64::MAX)
                .map(|until| until.saturating_sub(boot_ms)),
            enforced,
            outstanding,
            proof: None,
        }
    }

    async fn proven(app: &Shared, receipt: &Receipt) -> Self {
        let proof = Some(proof_of(app, receipt.ending.position).await);
        Self { proof, ..Self::of(receipt, app.ambient.boot_ms()) }
    }
}

/// Opens the receipt of an ending and waits until nobody is outstanding, for so long at most. None while this server's own
/// index has not applied it: nothing is known then.
pub(crate) async fn enforced(
    app: &Shared,
    tenant: &TenantId,
    changed: &Changed,
    Patience { time, strangers }: Patience,
) -> Option<ReceiptJson> {
    let until = Instant::now() + time;
    if !app.application.wait_applied(changed.position, time.max(APPLY_AT_LEAST)).await {
        return None;
    }
    let receipt = open_now(app, tenant, changed);
    let receipt = until_complete(app, receipt, until, strangers).await;
    Some(ReceiptJson::proven(app, &receipt).await)
}

/// Opens the receipt of an ending whose answer tells nothing of it, so that it is known later who enforced it and since when.
pub(crate) async fn keep_track(app: &App, tenant: &TenantId, changed: &Changed) {
    // What the index takes in later than this is told by a receipt that is opened late.
    if app.application.wait_applied(changed.position, APPLY_AT_LEAST).await {
        let _ = open_now(app, tenant, changed);
    }
}

fn open_now(app: &App, tenant: &TenantId, changed: &Changed) -> Receipt {
    // A repeat may come long after what it repeats.
    let effective_at = (!changed.repeated).then(|| app.ambient.now());
    let (position, at) = (changed.position, changed.occurred_at);
    open(app, Ending { tenant: tenant.clone(), position, at, effective_at }, changed.repeated)
}

/// The receipt of an ending as it is shown: at hand, from the record, or, if it may be, opened late.
pub(crate) async fn of_ending(app: &App, ending: Ending, may_open: bool) -> Option<Value> {
    let now = app.ambient.boot_ms();
    let receipt = match app.fleet.receipt(ending.position, now) {
        Some(receipt) => receipt,
        None => match kept(app, ending.position).await {
            Some(kept) => return Some(kept),
            None if may_open && app.index.applied() >= ending.position => open(app, ending, true),
            None => return None,
        },
    };
    serde_json::to_value(ReceiptAnswer::of(&receipt, now)).ok()
}

fn open(app: &App, ending: Ending, late: bool) -> Receipt {
    let receipt = app.fleet.open(ending, late, app.ambient.boot_ms());
    if let Some(link) = app.link.as_ref().filter(|_| receipt.awaits_registry()) {
        // Whether somebody waits for it or not: the receipt may be read later.
        link.want_barrier();
    }
    receipt
}

/// The receipt when nobody is outstanding, or when the time is up.
async fn until_complete(app: &Shared, mut receipt: Receipt, until: Instant, strangers: bool) -> Receipt {
    let mut changes = app.fleet.changes();
    while Instant::now() < until {
        changes.mark_unchanged();
        let now = app.ambient.boot_ms();
        if let Some(later) = app.fleet.receipt(receipt.ending.position, now) {
            receipt = later;
        }
        let known = receipt.is_complete() || !(strangers || receipt.awaits_registry());
        if known && !receipt.has_outstanding() {
            break;
        }
        // What time alone completes is looked at when it is up.
        let bound = receipt.next_bound().map_or(until, |at| {
            Instant::now().checked_add(Duration::from_millis(at.saturating_sub(now) + 1)).unwrap_or(until)
        });
        tokio::select! {
            _ = timeout_at(until, changes.changed()) => {}
            () = sleep_until(bound.min(until)) => {}
        }
    }
    receipt
}

/// How long the index may take in what was just appended: it is microseconds behind, unless it is in trouble.
const APPLY_AT_LEAST: Duration = Duration::from_millis(200);

/// How long one event of the log may take to be read.
const READ_WITHIN: Duration = Duration::from_secs(2);

/// What was ended at a position, by the log; none if nothing was.
async fn ending_at(app: &Shared, position: Position) -> Result<Option<Ending>, Problem> {
    let away = |reason: String| Problem::new(&codes::UNAVAILABLE).detail(reason).retry();
    let Some(before) = position.get().checked_sub(1) else { return Ok(None) };
    let permit = app.gates.readings.try_acquire();
    let _permit = permit.map_err(|_| Problem::new(&codes::TOO_MANY_CLIENTS).retry())?;
    let read = async {
        if position > app.log.head().await? {
            return Ok(Vec::new());
        }
        app.log.follow(Position::new(before)).await?.next().await
    };
    let read =
        timeout(READ_WITHIN, read).await.map_err(|_| away("the log was not read in time".to_owned()))?;
    let events = read.map_err(|error: ReadError| away(error.to_string()))?;
    let Some(found) = events.first().filter(|event| event.position == position) else { return Ok(None) };
    // What this build cannot read is nothing that it ended.
    let Ok(stream) = found.stream.as_str().parse::<StreamName>() else { return Ok(None) };
    let Ok(envelope) = wire::decode(&stream, &found.payload) else { return Ok(None) };
    let ends = matches!(
        envelope.event,
        Event::KeyRevoked(_)
            | Event::KeySuspended(_)
            | Event::KeysRecalled(_)
            | Event::KeyLeaked(_)
            | Event::RotationFinished(_)
    );
    let (tenant, at) = (stream.tenant().clone(), envelope.occurred_at);
    Ok(ends.then_some(Ending { tenant, position, at, effective_at: None }))
}

/// How long to wait.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct ReceiptQuery {
    /// Answer when it is complete, or after so many milliseconds, at most 6000; at once unless said.
    timeout_ms: Option<u64>,
}

/// Shows a receipt again, on any server.
#[utoipa::path(
    get, path = "/v1/receipts/{id}", tag = "fleet", operation_id = "receipt",
    params(("id" = u64, Path, description = "The position of a revocation, suspension, recall, leak report or finished rotation"), ReceiptQuery),
    responses((status = 200, description = "Who has enforced it by now, and who is outstanding", body = ReceiptAnswer)),
)]
pub(crate) async fn show(
    State(app): State<Shared>,
    operator: Operator,
    Path(id): Path<String>,
    Params(query): Params<ReceiptQuery>,
) -> Result<Response, Problem> {
    let wait = WaitQuery { wait: Some(Wait::Enforced), timeout_ms: Some(query.timeout_ms.unwrap_or(0)) };
    let Patience { time, strangers } = wait.patience()?;
    let until = Instant::now() + time;
    let unknown = || Problem::new(&codes::RECEIPT_UNKNOWN);
    let position = Position::new(id.parse().map_err(|_| unknown())?);
    // Who may not read the tenant learns nothing of its receipts either.
    let may_read = |tenant: &TenantId| {
        let allowed = operator.require_in(Permission::KeysRead, tenant);
        allowed.map_err(|problem| if *problem.code == codes::NOT_FOUND { unknown() } else { problem })
    };
    let at_hand = app.fleet.receipt(position, app.ambient.boot_ms());
    let receipt = match at_hand {
        Some(receipt) => {
            may_read(&receipt.ending.tenant)?;
            receipt
        }
        None => {
            if let Some(kept) = kept(&app, position).await {
                let tenant = kept["tenant"].as_str().and_then(|tenant| tenant.parse().ok());
                may_read(&tenant.ok_or_else(unknown)?)?;
                return Ok(axum::Json(with_proof(&app, kept, position).await).into_response());
            }
            let ending = ending_at(&app, position).await?.ok_or_else(unknown)?;
            may_read(&ending.tenant)?;
            app.reach_index(Some(position.get())).await?;
            open(&app, ending, true)
        }
    };
    let receipt = until_complete(&app, receipt, until, strangers).await;
    let answer = ReceiptAnswer::of(&receipt, app.ambient.boot_ms());
    let receipt = ReceiptJson { proof: Some(proof_of(&app, position).await), ..answer.receipt };
    Ok(axum::Json(ReceiptAnswer { receipt, ..answer }).into_response())
}

/// A receipt as it was kept, with the proof as it is now.
async fn with_proof(app: &Shared, mut kept: Value, position: Position) -> Value {
    if let Some(members) = kept.as_object_mut() {
        // A JSON value always serialises.
        let proof = serde_json::to_value(proof_of(app, position).await).unwrap_or_default();
        members.insert("proof".to_owned(), proof);
    }
    kept
}

/// The receipt as it was when it was complete. A record that cannot be read is no reason not to say who refuses now.
async fn kept(app: &App, position: Position) -> Option<Value> {
    app.receipts.find(position).await.unwrap_or_else(|error| {
        warn!(%error, "the record of receipts cannot be read");
        None
    })
}

/// A receipt with what it is about; also its row in the record.
#[derive(Serialize, ToSchema)]
pub(crate) struct ReceiptAnswer {
    /// Whose keys.
    tenant: String,
    /// When they were ended, RFC 3339.
    at: String,
    /// When the server that ended them refused; null in a late receipt.
    effective_at: Option<String>,
    /// Who has enforced it.
    #[serde(flatten)]
    receipt: ReceiptJson,
}

impl ReceiptAnswer {
    pub(crate) fn of(receipt: &Receipt, boot_ms: u64) -> Self {
        Self {
            tenant: receipt.ending.tenant.to_string(),
            at: format_rfc3339(receipt.ending.at),
            effective_at: receipt.ending.effective_at.map(format_rfc3339),
            receipt: ReceiptJson::of(receipt, boot_ms),
        }
    }
}
