//! A tree beside the views' own that goes when nobody needs it any more.

use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::{OwnedMutexGuard, OwnedSemaphorePermit};
use tracing::warn;

use crate::stores::{Stores, Work};
use crate::tree::{Tree, TreeError};

/// An empty tree, removed when the last hold on it is dropped. What a crash leaves is removed at the next start.
pub(super) struct Scratch {
    held: Option<Held>,
    work: Work,
}

struct Held {
    tree: Box<dyn Tree>,
    stores: Arc<dyn Stores>,
    /// Neither the next view's begins before the folder is gone, nor another comparison.
    _permit: OwnedMutexGuard<OwnedSemaphorePermit>,
}

impl Scratch {
    /// Blocks.
    pub(super) fn open(
        stores: Arc<dyn Stores>,
        view: &'static str,
        permit: OwnedMutexGuard<OwnedSemaphorePermit>,
    ) -> Result<Self, TreeError> {
        let (tree, work) = (stores.open_scratch(view)?, stores.work());
        Ok(Self { held: Some(Held { tree, stores, _permit: permit }), work })
    }

    pub(super) fn tree(&self) -> &dyn Tree {
        &*self.held.as_ref().expect("it is taken only when it is dropped").tree
    }
}

impl Held {
    fn remove(self) {
        // The folder goes after its last file is closed.
        drop(self.tree);
        if let Err(error) = self.stores.clear_scratch() {
            warn!(%error, "what a comparison left could not be removed; the next start does it");
        }
    }
}

impl Drop for Scratch {
    /// Closing a tree writes it out, which must not hold up who cancels: a thread that may wait does it.
    fn drop(&mut self) {
        let Some(held) = self.held.take() else { return };
        match Handle::try_current() {
            Ok(runtime) if self.work == Work::Blocking => {
                // Awaited by nobody: whoever is next waits for the permit, and a start removes what a stop left.
                drop(runtime.spawn_blocking(move || held.remove()));
            }
            Ok(_) | Err(_) => held.remove(),
        }
    }
}
