//! Looks after the fleet: its receipts, and with several servers on one log the registry and what servers tell each other.

use std::sync::Arc;
use std::time::Duration;

use application::Lease;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tracing::{debug, warn};
use wire::fleet::{GuardSays, ServerSays};

use crate::fleet::{FleetLink, server_entry};
use crate::http::{App, ReceiptAnswer};
use crate::record;

/// How often time alone is looked at: a bound is some seconds, and who waits for a receipt looks by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often a lease is asked for, and so the own entry put: as on a log of one's own.
const PROVE_EVERY: Duration = Duration::from_secs(1);
/// How soon the own entry is put again when that failed: receipts wait for it.
const PUT_AGAIN: Duration = Duration::from_millis(100);
/// How soon the registry is followed again.
const FOLLOW_AGAIN: Duration = Duration::from_millis(50);
/// How often the others are told although nothing happened: who says nothing for 2.5 s counts as silent.
const SAY_EVERY: Duration = Duration::from_secs(1);
/// The least time between two messages: what happens meanwhile goes into the next.
const SAY_AGAIN: Duration = Duration::from_millis(2);
/// Guards of one message: some 200 bytes each, far below what a NATS server takes.
const GUARDS_SAID: usize = 1_000;

/// Closes what time alone completes, forgets who has long been gone, and deletes their entries.
pub(super) async fn run(app: Arc<App>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => keep_receipts(&app).await,
            () = app.fleet.has_chores() => {}
        }
        let now = app.ambient.boot_ms();
        app.fleet.tick(now);
        let Some(link) = &app.link else { continue };
        for (name, revision) in app.fleet.to_delete(now) {
            // Changed meanwhile is as good: then it is somebody's.
            if let Err(error) = link.registry.delete(&name, revision).await {
                debug!(%error, name, "an entry of the fleet was not deleted; trying again");
                break;
            }
        }
    }
}

/// Writes complete receipts to their record; durable on return. One that a crash takes before that is opened again, late.
pub(super) async fn keep_receipts(app: &App) {
    let now = app.ambient.boot_ms();
    let complete = app.fleet.take_unkept();
    let rows = complete
        .iter()
        .map(|receipt| (receipt.ending.position, record::write(&ReceiptAnswer::of(receipt, now))));
    let rows: Vec<_> = rows.collect();
    if !rows.is_empty() {
        app.receipts.keep(rows).await;
    }
}

/// Keeps the own entry, which is also the barrier for everybody who asked since the one before began.
pub(super) async fn stay(app: Arc<App>, link: Arc<FleetLink>) {
    let (mut wanted, mut leaving) = (link.wanted.subscribe(), link.leaving.subscribe());
    let (mut revision, mut in_trouble) = (None, false);
    loop {
        tokio::select! {
            biased;
            _ = leaving.wait_for(|leaving| *leaving) => break,
            _ = timeout(PROVE_EVERY, wanted.changed()) => {}
        }
        let number = *wanted.borrow_and_update();
        // Before the put: what is opened later waits for the next.
        let receipts = app.fleet.awaiting_barrier();
        match link.put_own(&app.fleet).await {
            Ok(put) => {
                revision = Some(put);
                app.fleet.barrier_held(&receipts, app.ambient.boot_ms());
                link.held.send_replace(number);
                if std::mem::take(&mut in_trouble) {
                    warn!("the registry of the fleet is there again");
                }
            }
            Err(error) => {
                if !std::mem::replace(&mut in_trouble, true) {
                    warn!(%error, "without it this server proves nothing and receipts name nobody else");
                }
                wanted.mark_changed();
                sleep(PUT_AGAIN).await;
            }
        }
    }
    if let Some(revision) = revision
        && let Err(error) = link.registry.delete(&server_entry(link.run), revision).await
    {
        warn!(%error, "this server's entry stays; it counts by its bound");
    }
    link.left.send_replace(true);
    // Whoever looks after the workers takes an end for a failure.
    std::future::pending::<()>().await;
}

/// Keeps the index fresh. A proof is worth what the entry before it is worth, so it is dated from before that.
pub(super) async fn prove(app: Arc<App>, link: Arc<FleetLink>, mut lease: Lease) {
    let mut ticks = interval(PROVE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let asked = app.ambient.boot_ms();
        if link.barrier().await {
            lease.ask_as_of(asked).await;
        }
    }
}

/// Hears the registry, over and over from its start.
pub(super) async fn follow(app: Arc<App>, link: Arc<FleetLink>) {
    let mut in_trouble = false;
    loop {
        match link.registry.follow().await {
            Ok(mut follower) => {
                in_trouble = false;
                app.fleet.follow_begins(follower.identity(), app.ambient.boot_ms());
                let ended = loop {
                    match follower.next().await {
                        Ok(heard) => app.fleet.take_in(heard.entries, heard.loaded, app.ambient.boot_ms()),
                        Err(error) => break error,
                    }
                };
                debug!(error = %ended, "following the registry of the fleet again");
            }
            Err(error) if !std::mem::replace(&mut in_trouble, true) => {
                warn!(%error, "the registry of the fleet cannot be followed; trying again");
            }
            Err(_) => {}
        }
        sleep(FOLLOW_AGAIN).await;
    }
}

/// Tells the other servers how far this one and its guards have come: at once, and each second anyway.
pub(super) async fn say(app: Arc<App>, link: Arc<FleetLink>) {
    let mut applied = app.applied.clone();
    let mut ticks = interval(SAY_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let all = tokio::select! {
            biased;
            _ = ticks.tick() => true,
            () = app.fleet.has_news() => false,
            Ok(()) = applied.changed() => false,
        };
        applied.mark_unchanged();
        // The position before the guards: what is said of them holds at it.
        let mut says = here(&app, &link);
        let guards = app.fleet.take_news(all, app.ambient.boot_ms());
        let mut parts = guards.chunks(GUARDS_SAID).map(<[GuardSays]>::to_vec);
        let mut part = Some(parts.next().unwrap_or_default());
        while let Some(guards) = part {
            says.guards = guards;
            link.registry.say(&says.run, serde_json::to_vec(&says).unwrap_or_default()).await;
            part = parts.next();
        }
        sleep(SAY_AGAIN).await;
    }
}

fn here(app: &App, link: &FleetLink) -> ServerSays {
    let now = app.ambient.boot_ms();
    ServerSays {
        run: link.run.to_string(),
        applied: app.index.applied().get(),
        held: app.index.key_count() as u64,
        lag_ms: app.index.proven_at().map(|at| now.saturating_sub(at)),
        stale: app.index.is_stale(now),
        guards: Vec::new(),
    }
}

/// Hears what other servers tell.
pub(super) async fn listen(app: Arc<App>, link: Arc<FleetLink>) {
    loop {
        match link.registry.listen().await {
            Ok(mut listener) => {
                while let Some(bytes) = listener.hear().await {
                    match serde_json::from_slice::<ServerSays>(&bytes) {
                        Ok(says) => app.fleet.hear_server(&says, app.ambient.boot_ms()),
                        Err(error) => debug!(%error, "what a server said cannot be read"),
                    }
                }
            }
            Err(error) => debug!(%error, "the other servers cannot be heard"),
        }
        sleep(FOLLOW_AGAIN).await;
    }
}
