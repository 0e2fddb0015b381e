//! Shows: workers that follow the log into the key index and into views in sled; all of it can be rebuilt from the log.

mod changes;
mod comparison;
mod follow;
#[cfg(test)]
mod given;
mod index_worker;
mod notice_worker;
mod past;
mod projection;
mod record_place;
mod shelf;
mod snapshot;
pub mod stores;
mod tail;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod usage;
mod view;
mod view_worker;
mod views;

pub use comparison::{
    Busy, CompareError, Compared, Comparison, Difference, Digest, How, Parting, Phase, Side, Step,
};
pub use index_worker::LiveNotice;
#[cfg(feature = "planted")]
pub use past::PastBug;
pub use past::{Explained, KeyDiff, Past, PastError, Question, TenantDiff, TenantThen};
pub use projection::{Keeps, Progress, Projection, ProjectionConfig};
pub use record_place::RecordPlace;
pub use shelf::{QueryError, Stage, Status};
pub use views::MAX_PAGE;
pub use views::history::{History, HistoryPage, StoredEvent};
pub use views::keys::{
    DueKey, DueSuspension, KeyCursor, KeyCursorError, KeyGrant, KeyLeak, KeyPage, KeyQuery, KeyRow, Keys,
    MAX_EXAMINED, RotationCursor, RotationCursorError, RotationPage, RotationPhase, RotationPhaseError,
    RotationRow, RotationState, RunningCursor, RunningPage, UnusedSuccessor,
};
pub use views::notices::{Notices, StoredNotice};
pub use views::tenants::{TenantPage, TenantRow, TenantSettings, Tenants};
