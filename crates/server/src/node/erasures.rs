//! The erasure worker: whatever the log says is destroyed, is. It finishes what a crash left between the fact and the seal, and
//! lets go of what this server held when another one erased somebody.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use domain::{Position, TenantId};
use tokio::sync::watch;
use tokio::time::sleep;
use tracing::{debug, error};

use crate::config::Role;
use crate::http::App;

/// How long it waits before it tries again what failed.
const TRY_AGAIN: Duration = Duration::from_secs(1);
/// Tenants of a page, at the start.
const PAGE: usize = 200;

/// Runs until it is dropped. `erasing` is filled by the index as it takes in that somebody was erased.
pub(crate) async fn run(app: Arc<App>, erasing: watch::Sender<BTreeSet<TenantId>>, role: Role) {
    // As many as there are tenants.
    let mut looked: HashMap<TenantId, Position> = HashMap::new();
    // A fact that the saved index has taken in is told by nobody again.
    let mut due = match role {
        Role::All => every_tenant(&app).await,
        Role::Verify => BTreeSet::new(),
    };
    let mut told = erasing.subscribe();
    loop {
        let mut failed = BTreeSet::new();
        for tenant in due {
            let after = looked.get(&tenant).copied().unwrap_or(Position::NONE);
            match app.application.finish_erasures(&tenant, after).await {
                Ok(position) => drop(looked.insert(tenant, position)),
                Err(error) => {
                    error!(%tenant, %error, "what was sealed about an owner is not destroyed yet; trying again");
                    failed.insert(tenant);
                }
            }
        }
        if failed.is_empty() {
            // Nobody who tells is left only when the node stops.
            if told.wait_for(|tenants| !tenants.is_empty()).await.is_err() {
                return std::future::pending().await;
            }
        } else {
            sleep(TRY_AGAIN).await;
        }
        due = failed;
        erasing.send_if_modified(|tenants| {
            due.append(tenants);
            false
        });
    }
}

async fn every_tenant(app: &App) -> BTreeSet<TenantId> {
    let (mut tenants, mut after) = (BTreeSet::new(), None);
    loop {
        match app.tenants.list(after.as_ref(), PAGE).await {
            Ok(page) => {
                tenants.extend(page.tenants.into_iter().map(|row| row.tenant));
                after = page.next;
                if after.is_none() {
                    return tenants;
                }
            }
            Err(error) => {
                debug!(%error, "the view of tenants does not tell yet in which somebody was erased");
                sleep(TRY_AGAIN).await;
            }
        }
    }
}
