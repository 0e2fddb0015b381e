//! The places where a test of the simulation plants a bug: around the log, in the disks of views, in the projection, in guards.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use eventlog::EventLog;
use guard::core::Core;
use projection::tree::MemoryDisk;
use projection::{Past, Projection, ProjectionConfig};

/// Puts something between a node and its log.
pub type WrapLog = fn(Arc<dyn EventLog>) -> Arc<dyn EventLog>;
/// Starts a node's projection.
pub type StartProjection =
    fn(ProjectionConfig, Arc<dyn EventLog>) -> Pin<Box<dyn Future<Output = Projection> + Send>>;

/// What is planted; by default nothing is.
#[derive(Clone, Copy)]
pub struct Plants {
    /// Around each node's way to the log.
    pub log: WrapLog,
    /// In the disk of each view.
    pub disk: fn(&MemoryDisk),
    /// In each node's projection.
    pub projection: StartProjection,
    /// In each guard.
    pub guard: fn(&Core),
    /// In what answers about the past.
    pub past: fn(&mut Past),
}

impl Default for Plants {
    fn default() -> Self {
        Self {
            log: |log| log,
            disk: |_| {},
            projection: |config, log| Box::pin(Projection::start(config, log)),
            guard: |_| {},
            past: |_| {},
        }
    }
}

impl fmt::Debug for Plants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Plants")
    }
}
