//! The expiry worker: records that a key's time was up. Verifiers judge time by themselves and do not wait for it.

use std::sync::Arc;
use std::time::Duration;

use application::CommandError;
use domain::{ExpireKey, Position};
use futures_util::stream::{self, StreamExt};
use projection::{DueKey, Status};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::http::App;

/// How often it looks at the latest. A key's row may move; nothing waits for its record.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Keys of one look.
const AT_ONCE: usize = 256;
/// Records under way at once: few, since people's commands come first.
const IN_FLIGHT: usize = 16;
/// How long it waits for the view to show what it did, so that it does not do it again.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);

/// Runs until it is dropped.
pub(crate) async fn run(app: Arc<App>) {
    loop {
        let now = app.ambient.now();
        match app.keys.due(now, AT_ONCE).await {
            Ok(due) if !due.is_empty() => {
                let count = due.len();
                let last = record(&app, due).await;
                let shown = wait_shown(app.keys.status(), last).await;
                if count == AT_ONCE && shown && last != Position::NONE {
                    continue;
                }
            }
            Ok(_) => {}
            Err(error) => debug!(error = %error, "the view of keys does not tell what is due"),
        }
        sleep(LOOK_EVERY).await;
    }
}

/// Records what is due; answers the last position that came of it.
async fn record(app: &App, due: Vec<DueKey>) -> Position {
    let records = due.into_iter().map(|key| async move {
        let command =
            ExpireKey { tenant: key.tenant.clone(), key_id: key.key_id, expires_at: key.expires_at };
        match app.application.expire_key(command).await {
            Ok(changed) => {
                app.meters.expiries.increment(u64::from(!changed.repeated));
                changed.position
            }
            // Somebody ended it first, or the log's clock is not there yet: the view will say so.
            Err(CommandError::Refused(_)) => Position::NONE,
            Err(error) => {
                warn!(key.id = %key.key_id, error = %error, "an expiry was not recorded; it is tried again");
                Position::NONE
            }
        }
    });
    stream::iter(records)
        .buffer_unordered(IN_FLIGHT)
        .fold(Position::NONE, |last, at| async move { last.max(at) })
        .await
}

async fn wait_shown(mut status: watch::Receiver<Status>, position: Position) -> bool {
    matches!(timeout(SHOWN_WITHIN, status.wait_for(|status| status.applied >= position)).await, Ok(Ok(_)))
}
