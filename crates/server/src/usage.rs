//! Usage: what verdicts are counted in, and how the sums reach the record: this server's own, and those of its guards.

mod guards;
mod meter;
mod reporter;
mod sink;

pub(crate) use guards::{GuardUsage, NotCounted, Waiting, take_in};
pub(crate) use meter::{Service, UsageMeter, Used};
pub(crate) use reporter::{Reporter, server_name};
pub(crate) use sink::Sink;
