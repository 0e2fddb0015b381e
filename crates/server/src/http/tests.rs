//! Every route group against a real node on an embedded log: statuses, bodies, headers.

mod authz;
mod change;
mod feed;
mod guard;
mod imports;
mod keys;
mod kit;
mod leaks;
mod limits;
mod open;
mod past;
mod policies;
mod recalls;
mod transparency;
mod usage;
mod verify;
