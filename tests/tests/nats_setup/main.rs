//! A NATS set up by `rescind nats config`: Rescind serves on it, consumers hear their own tenant, and nothing else goes.

#![cfg(test)]

mod closed;
mod open;
mod scene;
