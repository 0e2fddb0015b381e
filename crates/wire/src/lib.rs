//! Speaks: stored events in protobuf, notices in CloudEvents JSON, and the keyed tags; the only conversions there are.

mod address;
#[cfg(test)]
mod arbitrary;
mod canonical;
mod decode;
mod encode;
mod export;
pub mod fleet;
pub mod guard;
mod hex;
mod notice;
mod proto;
mod sealed;
mod tags;
mod time;
mod usage;

pub use address::{Addressed, addressed, stream_of};
pub use canonical::{Canonical, Parts};
pub use decode::{Unreadable, decode};
pub use encode::{READER_LEVEL, encode};
pub use export::{export, export_into, export_unreadable_into};
pub use hex::{hex, unhex};
pub use notice::{Heard, Hint, Notice, NoticeData, NoticeKind, NoticeSelector, NoticeUnreadable, notice_of};
pub use sealed::{Seal, SealedText, UnsealedText};
pub use tags::TagSecret;
pub use time::{TimeError, format_rfc3339, parse_rfc3339};
pub use usage::{
    RunId, SERVICE_MAX, Stay, UsageEntry, UsageNetwork, UsageOrigin, UsageProgress, UsageReport,
    UsageUnreadable, guard_counts, who_counts,
};
