//! Hosts: a node's configuration, its parts put together, and the HTTP interface to them.

pub mod config;
mod http;
pub mod logging;
mod node;
mod usage;

pub use http::codes;
pub use node::{FirstStart, Node, StartError};
