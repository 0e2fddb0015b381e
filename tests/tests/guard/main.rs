//! Guards against a real server, and against one that lies, stalls and skips.

#![cfg(test)]

mod faults;
mod feeds;
mod fills;
mod given;
mod lying;
mod nats;
mod quarantine;
mod replicas;
mod usage;
mod verdicts;
