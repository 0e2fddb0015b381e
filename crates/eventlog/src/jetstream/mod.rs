//! The log on NATS JetStream: stream `RESCIND_LOG`, one literal subject a stream, sequence = position.
//!
//! **Order.** The stream's own sequence. Nothing but events is ever stored in it and nothing is ever removed, so it is dense.
//!
//! **Expectation.** Every event is published with the expected last sequence of its own literal subject, always, also when it
//! is sent again: a publish that timed out can land seconds later, and only the expectation makes that harmless.
//!
//! **Reads.** On one replica a direct get is the truth. On several it may be answered by a member that is behind, so reads ask
//! the leader for a stream's end first. A leader that is cut off from the others believes itself leader for up to 10 s more
//! and answers what it knows: such a read is behind, a write through it is never acknowledged, and [`EventLog::pulse`] fails.
//!
//! [`EventLog::pulse`]: crate::EventLog::pulse

mod connect;
mod copy;
mod durability;
mod durable;
mod feed;
mod fleet;
mod follow;
mod hints;
mod log;
mod presence;
mod publish;
mod pulse;
mod read;
mod reader;
mod seals;
mod settle;
mod streams;
mod tails;
mod usage;
mod writer;

pub use connect::{ConnectError, JetStream, JetStreamConfig};
pub use copy::JetStreamCopy;
pub use feed::{FeedError, FeedOutcome, Notice, NoticeFeed, StoredNotice};
pub use fleet::{FleetEntries, FleetEntry, FleetError, FleetFollower, FleetListener, FleetRegistry};
pub use hints::HintSpeaker;
pub use log::JetStreamLog;
pub use presence::Presence;
pub use seals::JetStreamSeals;
pub use usage::{Keeping, REPORT_MAX, StoredReport, UsageFollower, UsageStream, UsageStreamError};
