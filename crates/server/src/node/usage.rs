//! A node's share of usage: its record, its meter, and what brings the sums of either and of guards into it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use application::Ambient;
use domain::LogId;
use eventlog::jetstream::UsageStream;
use projection::RecordPlace;
use projection::usage::UsageRecord;
use tokio::sync::{mpsc, watch};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tracing::{error, warn};
use wire::RunId;

use crate::http::App;
use crate::node::folder::Folder;
use crate::usage::{GuardUsage, Reporter, Sink, UsageMeter, Waiting, server_name, take_in};

/// How long nobody is let pass because the first report of this run is not there yet. It is a small write beside a log that
/// answers; if it takes longer, refusing everybody would be the greater harm.
const ANNOUNCE_WITHIN: Duration = Duration::from_secs(5);
/// How often it is looked for guards that have leases and report nothing.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long a stop waits for the last report.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// What of usage lives as long as the node.
pub(crate) struct KeptUsage {
    pub(crate) record: UsageRecord,
    pub(crate) meter: Arc<UsageMeter>,
    pub(crate) run: RunId,
    pub(crate) server: Box<str>,
    pub(crate) guards: Arc<GuardUsage>,
    /// Until the worker takes it.
    waiting: Option<mpsc::Receiver<Waiting>>,
    announced: watch::Sender<bool>,
    leave: watch::Sender<bool>,
    left: watch::Sender<bool>,
}

impl KeptUsage {
    pub(crate) async fn open(
        folder: &Folder,
        log_id: LogId,
        ambient: &dyn Ambient,
        address: SocketAddr,
    ) -> Self {
        let (run, server) = (RunId::from_u128(ambient.draw_ulid()), server_name(address));
        let record = UsageRecord::open(RecordPlace::usage(folder.records()), log_id, run, &server).await;
        let (guards, waiting) = GuardUsage::new();
        Self {
            record,
            meter: Arc::new(UsageMeter::new()),
            run,
            server,
            guards: Arc::new(guards),
            waiting: Some(waiting),
            announced: watch::Sender::new(false),
            leave: watch::Sender::new(false),
            left: watch::Sender::new(false),
        }
    }

    /// Where reports go: to all servers on the log, or into this one's record if it has the log for itself.
    pub(crate) fn sink(&self, stream: Option<UsageStream>) -> Sink {
        stream.map_or_else(|| Sink::Record(self.record.clone()), Sink::Stream)
    }

    /// Takes in what guards report, and says of the silent ones that they are. To be called once.
    pub(crate) fn take_in(&mut self, app: Arc<App>, sink: Sink) -> impl Future<Output = ()> + Send + 'static {
        let waiting = self.waiting.take();
        async move {
            let take = async {
                match waiting {
                    Some(waiting) => take_in(waiting, sink).await,
                    None => std::future::pending().await,
                }
            };
            tokio::join!(take, look_for_silent(&app));
        }
    }

    /// Reports what this server counts.
    pub(crate) fn reporter(&self, app: &App, sink: Sink) -> Reporter {
        Reporter {
            meter: Arc::clone(&self.meter),
            ambient: Arc::clone(&app.ambient),
            sink,
            run: self.run,
            server: self.server.clone(),
            max_staleness: app.max_staleness,
            announced: self.announced.clone(),
            leave: self.leave.subscribe(),
            left: self.left.clone(),
        }
    }

    /// Ends when it is on record that this run may let somebody pass. Had it done so before, and died, nobody would know
    /// whose reports are missing.
    pub(crate) fn announced(&self) -> impl Future<Output = ()> + Send + 'static {
        let mut announced = self.announced.subscribe();
        async move {
            if timeout(ANNOUNCE_WITHIN, announced.wait_for(|announced| *announced)).await.is_err() {
                error!(
                    "usage cannot be reported; if this server dies before it can, its usage counts as none"
                );
            }
        }
    }

    /// Says that nothing more will be counted. To be called when no request is under way any more.
    pub(crate) async fn leave(&self) {
        self.leave.send_replace(true);
        let mut left = self.left.subscribe();
        if timeout(LEAVE_WITHIN, left.wait_for(|left| *left)).await.is_err() {
            warn!("the last usage could not be reported; its span counts as unknown");
        }
    }
}

async fn look_for_silent(app: &App) {
    let mut ticks = interval(LOOK_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let (now, boot_ms) = (app.ambient.now(), app.ambient.boot_ms());
        app.guard_usage.speak_for_silent(app.fleet.own_members(), now, boot_ms).await;
    }
}
