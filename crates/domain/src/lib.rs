//! Decides: ids, the key format, commands, events, refusals; no I/O, clock, randomness, async or logging.

mod ids;

pub use ids::{CommandId, EventId, IdError, KeyId, LogId, Position, Revision, StreamName, TenantId, Timestamp};
