//! Keeps: a log moved elsewhere, backed up and given back, always as the same history or refused.

mod copy;
mod error;
mod fingerprint;
mod place;
mod progress;
mod seals;
mod source;

pub use copy::{Copied, copy};
pub use error::KeepError;
pub use place::LogPlace;
pub use progress::Progress;
