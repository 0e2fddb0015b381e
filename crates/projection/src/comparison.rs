//! Proves the index and the views: replays the log into scratch ones, compares them with the live ones at the same position
//! and names the first event where they part. Runs while the server serves, at a bounded speed.

mod chase;
mod difference;
mod digest;
mod index;
mod pace;
mod parting;
pub(crate) mod pin;
mod replay;
mod scratch;
#[cfg(test)]
mod tests;
mod view;

use std::sync::Arc;

use domain::{KeyId, Position, TenantId};
use eventlog::{EventLog, ReadError};
use thiserror::Error;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use verify::IndexPin;

pub use self::digest::Digest;
use self::pace::Pace;
use crate::shelf::Shelf;
use crate::stores::Stores;
use crate::tree::TreeError;
use crate::view::{ApplyError, View};
use crate::views::history::HistoryView;
use crate::views::keys::KeysView;
use crate::views::notices::NoticesView;
use crate::views::tenants::TenantsView;
use crate::views::times::TimesView;

/// What the index is called among the views.
pub(crate) const INDEX: &str = "index";

/// How far a comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The log goes into a scratch view: positions.
    Replaying,
    /// Both are read side by side: rows.
    Comparing,
    /// They differ, and the log is replayed once more to find out where: positions.
    Searching,
}

/// How far a comparison is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step {
    /// What it does.
    pub phase: Phase,
    /// How much of it is done.
    pub done: u64,
    /// Of how much; none where that is not known.
    pub of: Option<u64>,
}

/// What came of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compared {
    /// Where both stood.
    pub position: Position,
    /// The live one.
    pub live: Side,
    /// The one made anew from the log.
    pub replayed: Side,
    /// How they differ; none if they are equal.
    pub difference: Option<Difference>,
}

/// One of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Side {
    /// How many rows it has.
    pub rows: u64,
    /// The digest of all its rows, whatever their order.
    pub digest: Digest,
}

/// How the live one differs from what the log says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Rows that are in both and differ.
    pub changed: u64,
    /// Rows that the log makes and the live one has not.
    pub missing: u64,
    /// Rows that the live one has and the log does not make.
    pub surplus: u64,
    /// Where they part; none where no event ever wrote any of those rows.
    pub parting: Option<Parting>,
    /// Not every row that differs was looked at for that: there are too many.
    pub partly: bool,
}

/// The first event after which the live one is not what the log says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parting {
    /// The event.
    pub position: Position,
    /// What the event is called; none if this build cannot read it.
    pub event: Option<&'static str>,
    /// Whose history it belongs to.
    pub tenant: Option<TenantId>,
    /// Which key's.
    pub key_id: Option<KeyId>,
    /// How they part there.
    pub how: How,
}

/// How the live one parts from the log at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    /// The live row is as it was before the event: it was not taken in, or undone.
    NotShown,
    /// The live row is as no event ever left it: it was written otherwise than by this event, which is the last to write it.
    Altered,
}

/// Why there is no result.
#[derive(Clone, Debug, Error)]
pub enum CompareError {
    /// The live one is not ready yet, or was set aside on the way.
    #[error("it is being built or was set aside; compare it once it is ready")]
    NotReady,
    /// It changes faster than it can be compared: this ends it, whatever the log goes on to do.
    #[error(
        "the log grows faster than it is replayed for this; ask for a higher speed (--rate), or at a quieter time"
    )]
    Overtaken,
    /// The log could not be read.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// A store failed.
    #[error(transparent)]
    Store(#[from] TreeError),
    /// The log goes on at another position than it should.
    #[error("the log goes on at position {found}, not at {expected}")]
    Hole {
        /// Where it should.
        expected: Position,
        /// Where it does.
        found: Position,
    },
}

impl From<ApplyError> for CompareError {
    fn from(error: ApplyError) -> Self {
        match error {
            ApplyError::Tree(error) => Self::Store(error),
            ApplyError::Hole { expected, found } => Self::Hole { expected, found },
        }
    }
}

/// Another comparison is under way.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[error("another comparison is under way")]
pub struct Busy;

/// Who asks the index worker to pin its index.
pub(crate) type PinRequests = mpsc::Sender<oneshot::Sender<IndexPin>>;

/// All that a comparison needs of a projection; held by nobody else's lifetime.
#[derive(Clone)]
pub(crate) struct Subjects {
    pub(crate) log: Arc<dyn EventLog>,
    pub(crate) stores: Arc<dyn Stores>,
    pub(crate) shelves: Vec<Arc<Shelf>>,
    pub(crate) pins: PinRequests,
    pub(crate) index_status: tokio::sync::watch::Receiver<crate::shelf::Status>,
    /// One comparison at a time: it takes a core's time and as much disk or memory as what it compares.
    pub(crate) one: Arc<Semaphore>,
}

/// A comparison that may begin. Dropping it lets the next one begin.
pub struct Comparison {
    subjects: Subjects,
    pace: Pace,
    /// Held by whoever has the scratch tree.
    permit: Arc<Mutex<OwnedSemaphorePermit>>,
}

impl Comparison {
    pub(crate) fn new(subjects: Subjects, events_per_second: u32) -> Result<Self, Busy> {
        let permit = Arc::clone(&subjects.one).try_acquire_owned().map_err(|_| Busy)?;
        Ok(Self { subjects, pace: Pace::new(events_per_second), permit: Arc::new(Mutex::new(permit)) })
    }

    /// The names of all that can be compared.
    #[must_use]
    pub fn names(&self) -> Vec<&'static str> {
        std::iter::once(INDEX).chain(self.subjects.shelves.iter().map(|shelf| shelf.view)).collect()
    }

    /// Compares the index or a view with what the log makes of it. Dropping it anywhere is safe: what it made aside is removed
    /// then, or at the next start.
    ///
    /// # Errors
    /// [`CompareError`].
    ///
    /// # Panics
    /// For a name that is not among [`names`](Self::names).
    pub async fn run(
        &mut self,
        name: &'static str,
        mut told: impl FnMut(Step) + Send,
    ) -> Result<Compared, CompareError> {
        let told: &mut (dyn FnMut(Step) + Send) = &mut told;
        match name {
            INDEX => self.index(told).await,
            KeysView::NAME => self.view::<KeysView>(told).await,
            HistoryView::NAME => self.view::<HistoryView>(told).await,
            TenantsView::NAME => self.view::<TenantsView>(told).await,
            NoticesView::NAME => self.view::<NoticesView>(told).await,
            TimesView::NAME => self.view::<TimesView>(told).await,
            other => panic!("{other} is no view"),
        }
    }

    fn shelf<V: View>(&self) -> Result<Arc<Shelf>, CompareError> {
        let found = self.subjects.shelves.iter().find(|shelf| shelf.view == V::NAME);
        found.map(Arc::clone).ok_or(CompareError::NotReady)
    }
}
