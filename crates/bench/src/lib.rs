//! Measures: `rescind bench`, each row of ours beside its floor, in turns of one run.

mod floor;
mod load;
mod machine;
mod names;
mod nats;
mod plot;
mod program;
mod report;
mod resume;
mod rivals;
mod row;
mod rows;
mod runner;
pub mod rush;
mod settings;
mod site;
mod sown;
mod statistics;

pub use report::Report;
pub use runner::{list, run};
pub use rush::Failure;
pub use settings::{Nats, Settings};
