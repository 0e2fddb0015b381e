//! The HTTP interface: one page of routes, one file a resource, and what stands before all of them.

#![expect(unused_qualifications, reason = "the macro that describes routes writes them")]

mod amend;
mod answers;
mod app;
mod auth;
mod authz;
mod backup;
pub mod codes;
mod command;
mod configure;
mod diff;
mod edge;
mod erasures;
mod events;
mod explain;
mod extract;
mod feed;
mod fleet;
mod guard;
mod guard_usage;
mod health;
mod history;
mod imports;
mod incident;
mod keys;
mod leaks;
mod log_proof;
mod metrics;
mod moment;
mod openapi;
mod opened;
mod policies;
mod pressure;
mod problem;
mod reading;
mod rebuild;
mod recalls;
mod receipts;
mod records;
mod review;
mod revoke;
mod rotation_json;
mod rotations;
mod router;
mod self_revoke;
mod snapshot;
pub(crate) mod stuck;
mod suspend;
mod tenants;
#[cfg(test)]
mod tests;
mod transparency;
mod unread;
mod unused;
mod usage;
mod verify;
mod webhooks;

pub(crate) use app::{App, Gates};
pub(crate) use metrics::{Meters, SUM_UP_EVERY};
pub(crate) use pressure::{Pressure, watch as watch_pressure};
pub(crate) use receipts::{ReceiptAnswer, keep_track};
pub(crate) use router::router;
