//! Hosts: a node's configuration, its parts put together, and the HTTP interface to them.

pub mod config;
mod fleet;
pub mod guards;
mod http;
mod incident;
pub mod keep;
mod leaks;
pub mod logging;
mod node;
mod notary;
mod planted;
mod policy;
mod record;
mod review;
mod rotation;
mod usage;
mod webhooks;

pub use http::codes;
pub use node::{DurableError, FirstStart, Node, StartError, make_durable};
pub use notary::NotaryError;
