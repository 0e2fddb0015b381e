//! The places where a test of the simulation plants a bug: around the log, around the stores, in the index's writer.

use std::sync::Arc;

use eventlog::EventLog;
use projection::stores::Stores;
use projection::{Projection, ProjectionConfig};

/// Puts something between a node and its log.
pub type WrapLog = fn(Arc<dyn EventLog>) -> Arc<dyn EventLog>;
/// Puts something between a node and its stores.
pub type WrapStores = fn(Arc<dyn Stores>) -> Arc<dyn Stores>;

/// What is planted. By default nothing is.
#[derive(Clone, Copy, Default)]
pub struct Plants {
    /// Wraps each node's way to the log.
    pub log: Option<WrapLog>,
    /// Wraps each node's stores.
    pub stores: Option<WrapStores>,
}

impl std::fmt::Debug for Plants {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let planted = (self.log.is_some(), self.stores.is_some());
        write!(f, "Plants{planted:?}")
    }
}

impl Plants {
    pub(crate) fn log(&self, log: Arc<dyn EventLog>) -> Arc<dyn EventLog> {
        self.log.map_or_else(|| Arc::clone(&log), |wrap| wrap(Arc::clone(&log)))
    }

    pub(crate) fn stores(&self, stores: Arc<dyn Stores>) -> Arc<dyn Stores> {
        self.stores.map_or_else(|| Arc::clone(&stores), |wrap| wrap(Arc::clone(&stores)))
    }

    pub(crate) async fn projection(&self, config: ProjectionConfig, log: Arc<dyn EventLog>) -> Projection {
        Projection::start(config, log).await
    }
}
