//! Looks after the fleet: closes what time alone completes, and forgets who has long been gone.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use crate::http::App;

/// How often: a bound is some seconds, and who waits for a receipt looks by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Until dropped.
pub(super) async fn run(app: Arc<App>) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        app.fleet.tick(app.ambient.boot_ms());
    }
}
