//! Incidents and proven views on real servers: what became of a key, and whether what is shown is what the log says.

#![cfg(test)]

mod given;
mod page;
mod rebuild;
mod story;
