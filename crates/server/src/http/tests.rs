//! Every route group against a real node on an embedded log: statuses, bodies, headers.

mod feed;
mod keys;
mod kit;
mod limits;
mod open;
mod usage;
mod verify;
