//! What a view's worker shares with its readers: the open tree, how far it has come, and the news of damage.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use domain::{LogId, Position};
use parking_lot::{Mutex, RwLock};
use thiserror::Error;
use tokio::sync::{Notify, watch};

use crate::comparison::pin::{Border, Read, Watched};
use crate::stores::Stores;
use crate::tree::{Tree, TreeError};

/// Where a worker stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// It has not yet heard where the log ends.
    Opening,
    /// It takes in what was in the log when it began.
    CatchingUp,
    /// It has taken in what was there, and follows.
    Ready,
    /// It met damage in the log and has stopped for good.
    Stopped,
}

/// How far a worker has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it stands.
    pub stage: Stage,
    /// All events up to here are in it.
    pub applied: Position,
    /// The head of the log as it last heard; what it must reach to be ready.
    pub head: Position,
}

impl Status {
    pub(crate) const OPENING: Self =
        Self { stage: Stage::Opening, applied: Position::NONE, head: Position::NONE };

    /// The status after one more run of events.
    pub(crate) fn at(self, applied: Position) -> Self {
        let stage =
            if self.stage == Stage::CatchingUp && applied >= self.head { Stage::Ready } else { self.stage };
        Self { stage, applied, head: self.head.max(applied) }
    }

    /// The status at the begin of following a log that ends at `head`.
    pub(crate) fn beginning(applied: Position, head: Position) -> Self {
        Self { stage: Stage::CatchingUp, applied, head }.at(applied)
    }

    /// How much of the way is behind it, in percent.
    #[must_use]
    pub fn percent(&self) -> u64 {
        (self.applied.get() * 100).checked_div(self.head.get()).unwrap_or(100)
    }
}

/// Why a view does not answer.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum QueryError {
    /// It is being built; ask again later.
    #[error("view {view} is at position {applied} of {head}")]
    NotReady {
        /// Which view.
        view: &'static str,
        /// How far it has come.
        applied: Position,
        /// Where it has to come.
        head: Position,
    },
    /// The cursor was not made by this query.
    #[error("the cursor belongs to another query")]
    OtherCursor,
    /// Its store failed in answering. A damaged one is rebuilt from now on.
    #[error("view {view} cannot be read")]
    Failed {
        /// Which view.
        view: &'static str,
        /// What its store says.
        #[source]
        source: TreeError,
    },
}

/// One view's place.
pub(crate) struct Shelf {
    pub(crate) view: &'static str,
    pub(crate) log_id: LogId,
    pub(crate) stores: Arc<dyn Stores>,
    /// Read-locked by whoever uses the tree, also by the worker that writes it; write-locked only to put it there and
    /// to take it away, so that nobody holds a tree that is being set aside.
    tree: RwLock<Option<Box<dyn Tree>>>,
    /// Between two batches of the writer: where the tree can be pinned.
    border: Mutex<Border>,
    pub(crate) status: watch::Sender<Status>,
    /// A reader met damage.
    pub(crate) damaged: Notify,
}

impl fmt::Debug for Shelf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shelf").field("view", &self.view).field("status", &*self.status.borrow()).finish()
    }
}

impl Shelf {
    pub(crate) fn new(view: &'static str, log_id: LogId, stores: Arc<dyn Stores>) -> Arc<Self> {
        let status = watch::Sender::new(Status::OPENING);
        let (tree, border) = (RwLock::default(), Mutex::default());
        Arc::new(Self { view, log_id, stores, tree, border, status, damaged: Notify::new() })
    }

    /// Puts a tree there.
    pub(crate) fn put(&self, tree: Box<dyn Tree>) {
        *self.tree.write() = Some(tree);
    }

    /// Takes the tree away and closes it, after the last reader has let go of it. Blocks.
    pub(crate) fn close(&self) {
        let tree = self.tree.write().take();
        drop(tree);
        // Whatever is opened next is another tree.
        *self.border.lock() = Border::default();
    }

    /// Uses the tree as its writer, who alone may change it.
    pub(crate) fn write<T, E: From<TreeError>>(
        &self,
        work: impl FnOnce(&dyn Tree) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        self.with(|tree| work(&Watched { tree, border: &self.border }))
    }

    /// Pins the tree where it is, see [`Border::pin`].
    pub(crate) fn pin(&self) -> Option<Result<Option<Position>, TreeError>> {
        self.with(|tree| self.border.lock().pin(tree))
    }

    /// The next rows of the pinned tree.
    pub(crate) fn read_pinned(&self, limit: usize) -> Result<Read, TreeError> {
        self.with(|tree| self.border.lock().read(tree, limit)).unwrap_or(Ok(Read::Gone))
    }

    /// Lets go of what was put aside.
    pub(crate) fn unpin(&self) {
        self.border.lock().unpin();
    }

    /// Uses the tree, if there is one. A panic in it is damage. Blocks.
    pub(crate) fn with<T, E: From<TreeError>>(
        &self,
        work: impl FnOnce(&dyn Tree) -> Result<T, E>,
    ) -> Option<Result<T, E>> {
        let tree = self.tree.read();
        let tree = tree.as_deref()?;
        let caught = catch_unwind(AssertUnwindSafe(|| work(tree)));
        Some(caught.unwrap_or_else(|_| Err(TreeError::damaged("reading or writing it panicked").into())))
    }

    fn not_ready(&self) -> QueryError {
        let Status { applied, head, .. } = *self.status.borrow();
        QueryError::NotReady { view: self.view, applied, head }
    }

    /// Answers from the tree on a thread that may wait.
    pub(crate) async fn query<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&dyn Tree) -> Result<T, TreeError> + Send + 'static,
    ) -> Result<T, QueryError> {
        if self.status.borrow().stage != Stage::Ready {
            return Err(self.not_ready());
        }
        let shelf = Arc::clone(self);
        let answer = self.stores.work().run(move || shelf.with(work)).await;
        answer.ok_or_else(|| self.not_ready())?.map_err(|source| {
            if matches!(source, TreeError::Damaged { .. }) {
                self.damaged.notify_one();
            }
            QueryError::Failed { view: self.view, source }
        })
    }
}
