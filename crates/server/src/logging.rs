//! Logs on standard error: pretty for people, JSON for machines; and a panic hook that tells where, never what was in hand.

use std::io::{self, IsTerminal};
use std::panic;

use thiserror::Error;
use tracing::error;
use tracing_subscriber::EnvFilter;

use crate::config::{LogFormat, ServeConfig};

/// Why logs cannot be set up.
#[derive(Debug, Error)]
pub enum LoggingError {
    /// The directives are not valid.
    #[error("log_level: {0}")]
    Level(String),
    /// Somebody set up logs in this process before.
    #[error("logs are set up already")]
    Twice,
}

/// Sets up logs for the whole process, once, before a node starts.
///
/// # Errors
/// [`LoggingError`].
pub fn init(config: &ServeConfig) -> Result<(), LoggingError> {
    let is_terminal = io::stderr().is_terminal();
    let format = config.log_format.unwrap_or(if is_terminal { LogFormat::Pretty } else { LogFormat::Json });
    let filter: EnvFilter = config
        .log_level
        .parse()
        .map_err(|error: tracing_subscriber::filter::ParseError| LoggingError::Level(error.to_string()))?;
    // Otherwise a line that cannot be written (a full disk, a pipe whose reader is gone) is complained about on the same
    // stream, which panics, and so does the hook that tells of it.
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr).log_internal_errors(false);
    let set = match format {
        LogFormat::Pretty => subscriber.with_ansi(is_terminal).with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    set.map_err(|_| LoggingError::Twice)?;
    hook_panics();
    Ok(())
}

/// The message of a panic may quote what was in hand (slicing a text quotes the text), so it is left out; the place is
/// enough to find the line.
fn hook_panics() {
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let backtrace = std::backtrace::Backtrace::capture();
        error!(place, %backtrace, "a task panicked; this is a bug in this program");
    }));
}
