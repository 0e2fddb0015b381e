//! The policy worker: gives notice of expiries, and suspends or revokes what is known to be idle.
//!
//! Every server that takes commands runs it. Command ids follow from policy, key and the key's last use, so of what several
//! servers ask for one event comes. It never acts on what is unknown: a key of which some reports are missing waits.

mod idle;
mod warn;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use application::CommandError;
use domain::{Position, Tenant, TenantId};
use metrics::{Unit, describe_counter, describe_gauge, gauge};
use projection::QueryError;
use tokio::time::{Instant, sleep, timeout};
use tracing::debug;

use crate::http::App;
use crate::policy::watch::Pass;

/// How often it looks whether anything is due: the shortest span of a rule.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// A tenant is passed over this often within its shortest span, so that nothing comes much later than asked for ...
const PASSES_A_SPAN: u64 = 20;
/// ... but at least once in this time ...
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// ... and the pause is this many times as long as the pass took: a million keys cost a twentieth of one thread.
const PAUSE_FACTOR: u32 = 20;
/// Tenants of one page of their list.
const TENANTS: usize = 200;
/// How long it waits for the view to show what it did, so that it does not do it again.
const SHOWN_WITHIN: Duration = Duration::from_secs(5);
/// Warnings that are remembered as given; what is forgotten is asked for again and comes to nothing.
const WARNED_MAX: usize = 100_000;

const WAITING: &str = "rescind_policy_waiting_keys";
pub(crate) const DEEDS: &str = "rescind_policy_actions_total";

/// A failure to look; tried again at the next pass.
#[derive(Debug, thiserror::Error)]
enum PassError {
    #[error(transparent)]
    View(#[from] QueryError),
    #[error(transparent)]
    Command(#[from] CommandError),
}

/// Runs until it is dropped.
pub(crate) async fn run(app: Arc<App>) {
    describe_gauge!(
        WAITING,
        Unit::Count,
        "Keys that would be idle, if it were known that nobody used them; a policy waits for them."
    );
    describe_counter!(DEEDS, "What this server did for policies, by action.");
    let mut worker =
        Worker { app, tenants: Vec::new(), listed: None, due: HashMap::new(), warned: HashSet::new() };
    loop {
        if let Err(error) = worker.look().await {
            debug!(error = %error, "policies cannot be applied now; it is tried again");
        }
        gauge!(WAITING).set(worker.app.policies.waiting() as f64);
        sleep(LOOK_EVERY).await;
    }
}

/// Owned by one task.
struct Worker {
    app: Arc<App>,
    /// Tenants with policies.
    tenants: Vec<TenantId>,
    /// When these were listed, and how long that took.
    listed: Option<(Instant, Duration)>,
    /// When a tenant is to be passed over again.
    due: HashMap<TenantId, Instant>,
    /// Warnings that stand.
    warned: HashSet<warn::Warned>,
}

impl Worker {
    async fn look(&mut self) -> Result<(), PassError> {
        if self.listed.is_none_or(|(at, took)| at.elapsed() >= took * PAUSE_FACTOR) {
            self.list().await?;
        }
        for id in self.tenants.clone() {
            let began = Instant::now();
            if self.due.get(&id).is_some_and(|due| *due > began) {
                continue;
            }
            let tenant = self.app.application.tenant(&id).await?;
            if !tenant.closed {
                self.pass(&tenant).await?;
            }
            let pause = pause(&tenant).max(began.elapsed() * PAUSE_FACTOR);
            self.due.insert(id, Instant::now() + pause);
        }
        Ok(())
    }

    /// Finds the tenants that have policies.
    async fn list(&mut self) -> Result<(), PassError> {
        let began = Instant::now();
        let (mut found, mut names, mut after) = (Vec::new(), HashSet::new(), None);
        loop {
            let page = self.app.tenants.list(after.as_ref(), TENANTS).await?;
            // One with no more than its opening has no policies.
            for row in
                page.tenants.into_iter().filter(|row| row.revision.get() > 1 && row.closed_at.is_none())
            {
                let tenant = self.app.application.tenant(&row.tenant).await?;
                if !tenant.policies.is_empty() {
                    names.extend(
                        tenant.policies.iter().map(|policy| (row.tenant.clone(), policy.name.clone())),
                    );
                    found.push(row.tenant);
                }
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        self.due.retain(|tenant, _| found.contains(tenant));
        self.app.policies.keep(|tenant, policy| names.contains(&(tenant.clone(), policy.clone())));
        self.tenants = found;
        self.listed = Some((Instant::now(), began.elapsed()));
        Ok(())
    }

    /// Applies each policy of a tenant once.
    async fn pass(&mut self, tenant: &Tenant) -> Result<(), PassError> {
        for policy in &tenant.policies {
            let mut pass = Pass::default();
            let warned = self.warn(tenant, policy, &mut pass).await?;
            let idled = self.idle(tenant, policy, &mut pass).await?;
            pass.at = self.app.ambient.now();
            self.app.policies.passed(&tenant.id, &policy.name, pass);
            self.wait_shown(warned.max(idled)).await;
        }
        Ok(())
    }

    /// Waits until the view of keys shows a position, so that what was done is not asked for again.
    async fn wait_shown(&self, position: Position) {
        let mut status = self.app.keys.status();
        let shown = status.wait_for(|status| status.applied >= position);
        if timeout(SHOWN_WITHIN, shown).await.is_err() {
            debug!(log.position = position.get(), "the view of keys is behind the policy worker");
        }
    }
}

/// How long after a pass the next one begins.
fn pause(tenant: &Tenant) -> Duration {
    let spans = tenant.policies.iter().flat_map(|policy| {
        let rules = &policy.rules;
        let idle = [rules.suspend_idle_after_ms, rules.revoke_idle_after_ms].into_iter().flatten();
        idle.chain(rules.warn_before_expiry_ms.iter().copied())
    });
    let shortest = spans.min().map(|ms| Duration::from_millis(ms / PASSES_A_SPAN));
    shortest.unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE)
}
