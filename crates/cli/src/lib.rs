//! Drives: the `rescind` command line, a client of the HTTP API that can also host a server.

mod arguments;
mod audit;
mod client;
mod clock;
mod completions;
mod confirm;
mod demo;
mod doctor;
mod environment;
mod exit;
mod failure;
mod flags;
mod key;
mod key_id;
mod lines;
mod output;
mod problem;
mod progress;
mod recall;
mod rotation;
mod run;
mod scan;
mod scanner_rules;
mod screen;
mod serve;
mod signals;
mod sse;
mod table;
mod target;
mod tenant;
mod variable;
mod watch;
mod when;

pub use arguments::{command, run};
