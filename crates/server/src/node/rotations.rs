//! The rotation worker: records that successors are in use, finishes rotations whose rule is met, and ends suspensions that
//! were to last until a time.

use std::sync::Arc;
use std::time::Duration;

use application::{CommandError, Request};
use domain::{Cause, CommandId, EndSuspension, Finish, FinishRotation, RotationRule};
use projection::{KeyRow, QueryError, RotationRow};
use tokio::time::{sleep, timeout};
use tracing::{debug, info, warn};

use crate::http::{App, keep_track};
use crate::rotation::{Evidence, adopt};

/// How often it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Rotations, successors or suspensions of one page.
const PAGE: usize = 200;
/// How long it waits for the view to show what it did, so that it does not do it again.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// Runs until it is dropped. Every server runs one: their command ids are derived, so each event is made once.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        if let Err(error) = look(&app).await {
            debug!(error = %error, "what is due cannot be seen now");
        }
        let mut shown = app.keys.status();
        let head = app.index.applied();
        // The views are behind what was just done; looking before they show it would do it again for nothing.
        let _ = timeout(SHOWN_WITHIN, shown.wait_for(|status| status.applied >= head)).await;
        sleep(LOOK_EVERY).await;
    }
}

async fn look(app: &App) -> Result<(), QueryError> {
    end_suspensions(app).await?;
    let mut after = None;
    loop {
        let unused = app.keys.successors_unused(after.as_ref(), PAGE).await?;
        for successor in &unused {
            adopt(app, &successor.tenant, successor.key_id).await?;
        }
        after = unused.last().cloned();
        if unused.len() < PAGE {
            break;
        }
    }
    let mut cursor = None;
    loop {
        let page = app.keys.rotations_running(PAGE, cursor).await?;
        for row in &page.keys {
            if let Some(rotation) = &row.rotation {
                finish_if_due(app, row, rotation).await?;
            }
        }
        cursor = page.next;
        if cursor.is_none() {
            return Ok(());
        }
    }
}

async fn end_suspensions(app: &App) -> Result<(), QueryError> {
    for due in app.keys.due_suspensions(app.ambient.now(), PAGE).await? {
        let command = EndSuspension { tenant: due.tenant, key_id: due.key_id };
        match app.application.end_suspension(command, due.until).await {
            // Somebody reinstated or ended it first: the view will say so.
            Ok(_) | Err(CommandError::Refused(_)) => {}
            Err(error) => {
                warn!(key.id = %due.key_id, error = %error, "a suspension was not ended; it is tried again");
            }
        }
    }
    Ok(())
}

async fn finish_if_due(app: &App, row: &KeyRow, rotation: &RotationRow) -> Result<(), QueryError> {
    let due = match rotation.rule {
        RotationRule::At(at) => at <= app.ambient.now(),
        RotationRule::OnEvidence { .. } => {
            rotation.adopted_at.is_some() && Evidence::of(app, row, rotation).await?.quiet
        }
        RotationRule::ByHand => false,
    };
    if !due {
        return Ok(());
    }
    let id = format!("rotated-{}-{}", row.key_id, rotation.successor);
    let id: CommandId = id.parse().expect("a word and ids are printable ASCII");
    let command = FinishRotation {
        tenant: row.tenant.clone(),
        key_id: row.key_id,
        finish: Finish::ByRule { quiet: true },
    };
    match app.application.finish_rotation(&Request::system(Cause::Rotation, id), command).await {
        Ok(changed) if !changed.repeated => {
            keep_track(app, &row.tenant, &changed).await;
            info!(key.id = %row.key_id, log.position = changed.position.get(), "a rotation is finished by its rule");
        }
        Ok(_) => {}
        // Its successor ended, or it is the last administrator: the review names it, and a person decides.
        Err(CommandError::Refused(refusal)) => {
            debug!(key.id = %row.key_id, refusal = %refusal, "a rotation that is due was refused");
        }
        Err(error) => {
            warn!(key.id = %row.key_id, error = %error, "a rotation was not finished; it is tried again");
        }
    }
    Ok(())
}
