//! The log on real NATS servers: the contract on one node and on three, and what only a server can do to us.

mod batches;
mod contract;
mod faults;
mod feed;
mod given;
mod starting;
