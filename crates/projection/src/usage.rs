//! The record of usage: sums of what verifiers said, and for which spans they are known to be whole.
//!
//! Usage cannot be rebuilt from the log, so this is a record and not a view. Verifiers count by themselves and report; the
//! reports are added up here, each once, together with how far every run of every server has reported. **Missing is never
//! zero**: whoever concludes something from *no use* asks [`Usage::coverage`] as well, or [`Usage::quiet_since`], which does.
//!
//! **When is it whole?** A run reports about every second, and at its end says that it leaves. One that falls silent without
//! having left may have gone on answering: until its silence must have been noticed, and then for its `max_staleness`, after
//! which it lets nobody pass. That span, and only that, stays unknown; if the run comes back and reports it after all, it is
//! known again. The server's own reports come back to it the way those of all others come, so what it has of others is
//! judged by its own: what lies behind the last of its own that came back is unknown as well.
//!
//! **Times** are those of the servers that count, which differ by up to half a second or else take no commands.
//!
//! **Rows** lie in one tree: a summary a key, its hours and days, one row a run, one a span that stays unknown, and one that
//! says what the tree is and how far it has come. All that a report changes is one batch.

mod coverage;
mod key_usage;
mod query;
mod record;
mod rows;
#[cfg(test)]
mod tests;

pub use coverage::{Coverage, UnknownSpan, Why};
pub use key_usage::{Bucket, KeyUsage, RefusedAs, Requests, SeenService, UsageOther, UsagePart};
pub use query::{Applied, Quiet, Usage};
pub use record::{RecordError, UsageRecord, rename_log};
