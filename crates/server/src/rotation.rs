//! What the record of usage says about a rotation: whether the successor is in use, and who still uses the predecessor.

use application::CommandError;
use domain::{KeyId, MarkFirstUsed, Refusal, RotationRule, TenantId, Timestamp};
use projection::{KeyRow, QueryError, RotationRow, RotationState};

use crate::http::App;

/// How long after its last report a verifier is known to be silent: what is concluded ends before that.
const SILENT_AFTER_MS: u64 = 3_000;
/// The most verifiers that are named as not having reported.
const NAMED: usize = 20;

/// A service that used the predecessor within the time it has to be quiet.
#[derive(Clone, Debug)]
pub(crate) struct Straggler {
    /// The service; none for those that are no longer told apart.
    pub(crate) service: Option<Box<str>>,
    /// Where the key came from last.
    pub(crate) network: Option<Box<str>>,
    /// The last use of the predecessor.
    pub(crate) last_seen: Timestamp,
    /// Whether it has used the successor too.
    pub(crate) seen_with_successor: bool,
}

/// How far a rotation is, by what was seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Evidence {
    /// Since when the predecessor is known to be quiet.
    pub(crate) quiet_since: Option<Timestamp>,
    /// Whether it has been for as long as the rule asks.
    pub(crate) quiet: bool,
    /// Who has not moved.
    pub(crate) stragglers: Vec<Straggler>,
    /// Whose reports are missing.
    pub(crate) unreported: Vec<String>,
}

impl Evidence {
    /// Looks at one rotation. One that is over has no stragglers.
    pub(crate) async fn of(app: &App, row: &KeyRow, rotation: &RotationRow) -> Result<Self, QueryError> {
        if rotation.state != RotationState::Running {
            return Ok(Self::default());
        }
        let (quiet_ms, look_back_ms) = match rotation.rule {
            RotationRule::OnEvidence { quiet_ms, look_back_ms } => (quiet_ms, look_back_ms),
            // Shown all the same, for whoever decides by hand.
            RotationRule::At(_) | RotationRule::ByHand => match RotationRule::DEFAULT {
                RotationRule::OnEvidence { quiet_ms, look_back_ms } => (quiet_ms, look_back_ms),
                RotationRule::At(_) | RotationRule::ByHand => (0, 0),
            },
        };
        // What was seen until now is not in the sums yet; what everybody has reported is.
        let reported = app.usage.known_until().unwrap_or_default().min(app.ambient.now());
        let now = Timestamp::from_millis(reported.as_millis().saturating_sub(SILENT_AFTER_MS));
        let before = |ms: u64| Timestamp::from_millis(now.as_millis().saturating_sub(ms));
        let quiet = app.usage.quiet_since(&row.tenant, row.key_id, None, now).await?;
        let moved = app.usage.services_of(&row.tenant, rotation.successor, rotation.started_at).await?;
        let seen = app.usage.services_of(&row.tenant, row.key_id, before(look_back_ms)).await?;
        let stragglers = seen.into_iter().filter_map(|seen| {
            let last_seen = seen.last_used.filter(|at| *at > before(quiet_ms))?;
            let seen_with_successor = moved.iter().any(|other| other.service == seen.service);
            Some(Straggler { service: seen.service, network: seen.network, last_seen, seen_with_successor })
        });
        let mut unreported: Vec<String> =
            quiet.held_up_by.iter().filter_map(|span| span.whom.as_deref().map(str::to_owned)).collect();
        unreported.sort();
        unreported.dedup();
        unreported.truncate(NAMED);
        Ok(Self {
            quiet_since: quiet.since,
            quiet: quiet.since.is_some_and(|since| since <= before(quiet_ms)),
            stragglers: stragglers.collect(),
            unreported,
        })
    }
}

/// Records the first use of a successor, if there was one that is not recorded. Whether it is recorded now.
pub(crate) async fn adopt(app: &App, tenant: &TenantId, successor: KeyId) -> Result<bool, QueryError> {
    let Some(first_used_at) = app.usage.first_used(tenant, successor).await? else { return Ok(false) };
    let command = MarkFirstUsed { tenant: tenant.clone(), key_id: successor, first_used_at };
    match app.application.mark_first_used(command).await {
        Ok(_) | Err(CommandError::Refused(Refusal::AlreadyAdopted)) => Ok(true),
        // It ended first; whatever finishes the rotation will see that.
        Err(CommandError::Refused(_) | CommandError::NotFound) => Ok(false),
        Err(error) => {
            tracing::warn!(key.id = %successor, error = %error, "a first use was not recorded; it is tried again");
            Ok(false)
        }
    }
}

/// The same for the successor of a key, before somebody finishes its rotation by hand.
pub(crate) async fn note_adoption(app: &App, tenant: &TenantId, key_id: KeyId) -> Result<(), QueryError> {
    let Some(row) = app.keys.one(tenant, key_id).await? else { return Ok(()) };
    if let Some(rotation) = row.rotation.filter(|rotation| rotation.state == RotationState::Running) {
        adopt(app, tenant, rotation.successor).await?;
    }
    Ok(())
}
