//! Remembers: the one append-only, totally ordered log, as a port with its contract and its adapters.
//!
//! This crate knows streams, positions and bytes, never a key. The port is [`EventLog`]; whoever writes an adapter is done
//! when [`conformance`] passes on it.

mod carried;
mod conformance;
mod copying;
mod embedded;
mod faulty;
mod foreign;
pub mod jetstream;
mod memory;
mod port;
mod subject_name;

pub use carried::CarriedSeals;
pub use conformance::{CopyPlace, LogPlace, conformance, conformance_of_copies, conformance_of_seals};
pub use copying::{CopyError, LogCopy};
pub use embedded::{EmbeddedCopy, EmbeddedLog, EmbeddedSeals, OpenError, settle};
pub use faulty::{Fault, FaultyLog, Rates};
pub use foreign::{ForeignPanic, catch_foreign, foreign_code};
pub use memory::{MemoryLog, MemorySeals};
pub use port::{
    AppendError, Durability, EventLog, Follower, NewEvent, Outcome, Pulse, Queue, ReadError, Recorded,
    SealStore, StreamId, StreamIdError, StreamWrite, SubjectSeal, Unit,
};
