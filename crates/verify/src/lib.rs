//! Answers: the key index and the verdict on a presented key; synchronous, and without allocation on a hit.

#[cfg(test)]
mod given;
mod index;
mod interner;
mod judge;
mod lease;
mod overlay;
mod pin;
mod planted;
mod recalls;
mod request;
mod row;
mod scan;
mod shard;
mod snapshot;
mod state;
mod table;
mod tally;
mod tenants;
mod verdict;
mod writer;

pub use index::{KeyIndex, new_index};
pub use pin::{IndexPin, RowFacts, TenantFacts};
#[cfg(feature = "planted")]
pub use planted::RecallBug;
pub use recalls::MAX_PENDING_RECALLS;
pub use request::{Answer, AsOf, Holder, HolderRef, Judgement, Moment, VerifyRequest};
pub use scan::MatchingKey;
pub use snapshot::{SnapshotError, SnapshotHeader, read_snapshot};
pub use state::{KeyFacts, KeyState, TenantState};
pub use tally::{Sum, Tallied, Tally, TallyLimits};
pub use verdict::Verdict;
pub use writer::{Applied, IndexWriter};
