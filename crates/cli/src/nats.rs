//! `rescind nats`: a NATS that only Rescind writes to, and from which each consumer hears its own tenant alone.

mod config;
mod consumer;
mod durable;
mod files;
mod text;

use clap::Subcommand;

use crate::exit::Exit;
use crate::failure::Failure;

/// The verbs of setting NATS up.
#[derive(Debug, Subcommand)]
pub(crate) enum NatsVerb {
    // Boxed: its settings would make every verb as large.
    Config(Box<config::Config>),
    Durable(durable::Durable),
}

impl NatsVerb {
    pub(crate) fn run(self) -> Result<Exit, Failure> {
        match self {
            Self::Config(config) => config.run(),
            Self::Durable(durable) => durable.run(),
        }
    }
}
