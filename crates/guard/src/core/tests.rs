//! The core's own tests: single rules first, then sequences that nobody thought of.

pub(crate) mod given;
mod hints;
mod judging;
mod replicas;
mod rules;
mod sequences;
