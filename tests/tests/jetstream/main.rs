//! The log on real NATS servers: the contract on one node and on three, and what only a server can do to us.

#![expect(clippy::unwrap_used, reason = "what these functions unwrap fails the test that calls them")]

mod announcing;
mod batches;
mod contract;
mod faults;
mod feed;
mod fleet;
mod given;
mod starting;
mod usage;
