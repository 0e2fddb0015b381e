//! One server of the simulation: its disk and clocks outlive its process, which can be started, stopped and killed.

use std::sync::Arc;

use application::{Ambient, Application, Lease, LeaseState};
use eventlog::{EventLog, MemorySeals};
use projection::{Keeps, Keys, Past, Projection, ProjectionConfig};
use tokio::task::JoinHandle;
use verify::KeyIndex;

use super::ambient::SimAmbient;
use super::disk::Disk;
use super::door::Door;
use super::judge::MAX_STALENESS;
use super::plants::Plants;

/// A machine. Its process is `running` or not; all else stays.
pub(crate) struct Node {
    pub(crate) clock: Arc<SimAmbient>,
    pub(crate) disk: Disk,
    pub(crate) log: Arc<dyn EventLog>,
    seals: MemorySeals,
    plants: Plants,
    /// What guards reach of it.
    pub(crate) door: Arc<Door>,
    pub(crate) running: Option<Process>,
}

/// A server's process. Dropped without `stop` it is killed: its tasks end where they are.
pub(crate) struct Process {
    projection: Option<Projection>,
    pub(crate) application: Arc<Application>,
    pub(crate) index: Arc<KeyIndex>,
    lease: JoinHandle<()>,
    /// The commands that are under way in it.
    pub(crate) commands: Vec<JoinHandle<()>>,
}

impl Node {
    pub(crate) fn new(
        clock: SimAmbient,
        disk: Disk,
        log: Arc<dyn EventLog>,
        seals: MemorySeals,
        plants: Plants,
    ) -> Self {
        let door = Arc::new(Door::default());
        Self { clock: Arc::new(clock), disk, log, seals, plants, door, running: None }
    }

    pub(crate) async fn start(&mut self) {
        let config = ProjectionConfig {
            stores: self.disk.stores(),
            keeps: Keeps::Everything,
            max_staleness: MAX_STALENESS,
        };
        let log = Arc::clone(&self.log);
        let projection = (self.plants.projection)(config, Arc::clone(&log)).await;
        let (index, ambient) = (Arc::clone(&projection.index), Arc::clone(&self.clock) as Arc<dyn Ambient>);
        let state = Arc::new(LeaseState::default());
        let application = Application::new(
            Arc::clone(&log),
            Arc::new(self.seals.clone()),
            Arc::clone(&index),
            projection.applied(),
            Arc::clone(&ambient),
            Arc::clone(&state),
        );
        self.door.open(Arc::clone(&log), &projection, Arc::clone(&self.clock));
        let lease = Lease { log, index: Arc::clone(&index), applied: projection.applied(), ambient, state };
        self.running = Some(Process {
            projection: Some(projection),
            application: Arc::new(application),
            index,
            lease: tokio::spawn(lease.keep()),
            commands: Vec::new(),
        });
    }

    /// Kills the process and, as a power cut does, forgets what its disk had not synced.
    pub(crate) async fn crash(&mut self, keep: impl FnMut(usize) -> usize) {
        self.door.shut();
        if let Some(process) = self.running.take() {
            process.kill().await;
            self.disk.crash(keep);
        }
    }

    /// Lets the commands end, then stops gently: views flushed, index saved.
    pub(crate) async fn stop(&mut self) {
        self.door.shut();
        if let Some(mut process) = self.running.take() {
            for command in process.commands.drain(..) {
                // A command gives up by itself after some seconds.
                let _ = command.await;
            }
            process.lease.abort();
            if let Some(projection) = process.projection.take() {
                projection.stop().await;
            }
        }
    }
}

impl Process {
    /// How far the least of the workers has come, and whether all of them are ready.
    pub(crate) fn has_applied(&self, head: domain::Position) -> bool {
        self.projection.as_ref().is_some_and(|projection| {
            projection.progress().iter().all(|worker| {
                worker.status.stage == projection::Stage::Ready && worker.status.applied >= head
            })
        })
    }

    /// What answers about the past.
    pub(crate) fn past(&self) -> Option<Past> {
        self.projection.as_ref().map(Projection::past)
    }

    /// The view of keys.
    pub(crate) fn keys(&self) -> Option<Keys> {
        self.projection.as_ref().map(Projection::keys)
    }

    pub(crate) fn progress(&self) -> String {
        format!("{:?}", self.projection)
    }

    async fn kill(mut self) {
        drop(self.projection.take());
        self.lease.abort();
        for command in &self.commands {
            command.abort();
        }
        // A task that was aborted is gone only when it was awaited.
        let _ = (&mut self.lease).await;
        for command in self.commands.drain(..) {
            let _ = command.await;
        }
        tokio::task::yield_now().await;
    }
}
