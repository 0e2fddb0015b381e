//! Keeps: a log moved elsewhere, backed up and given back, always as the same history or refused.

mod at_rest;
mod backup;
mod copy;
mod create;
mod error;
mod fingerprint;
mod heard;
mod notary;
mod parts;
mod place;
mod progress;
mod records;
mod restore;
mod seals;
mod settle;
mod source;
mod verify;

pub use at_rest::AtRest;
pub use copy::{Copied, copy};
pub use create::{BackedUp, BackupChoice, BackupSource, Checkpoints, Seal, create};
pub use error::KeepError;
pub use heard::Applied;
pub use place::LogPlace;
pub use progress::Progress;
pub use restore::{Restored, restore};
pub use settle::{Known, Settled, settle};
pub use verify::{Verified, verify};
