//! Usage: what this server's verdicts are counted in, and how the sums reach the record.

mod meter;
mod reporter;

pub(crate) use meter::{Service, UsageMeter, Used};
pub(crate) use reporter::{Reporter, Sink, server_name};
