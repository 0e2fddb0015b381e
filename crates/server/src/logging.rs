//! Logs on standard error: pretty for people, JSON for machines; lines that cannot be written are dropped and counted, and a
//! panic hook tells where, never what was in hand.

use std::io::{self, IsTerminal, Write};
use std::panic::{self, PanicHookInfo};
use std::sync::atomic::{AtomicU64, Ordering};

use eventlog::foreign_code;
use thiserror::Error;
use tracing::{error, warn};
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
    // The subscriber's own complaints go to stderr by `eprintln!`, which panics where stderr cannot be written.
    let subscriber =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Stderr).log_internal_errors(false);
    let set = match format {
        LogFormat::Pretty => subscriber.with_ansi(is_terminal).with_target(false).try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    };
    set.map_err(|_| LoggingError::Twice)?;
    hook_panics();
    Ok(())
}

/// Lines that stderr did not take since the process started.
static LOST: AtomicU64 = AtomicU64::new(0);

/// How many log lines were lost so far because stderr could not be written.
pub(crate) fn lines_lost() -> u64 {
    LOST.load(Ordering::Relaxed)
}

/// Standard error that never fails: its reader may be gone or its disk full, and no server ends for want of a log line.
struct Stderr;

impl Write for Stderr {
    /// Takes a whole line, as the subscriber writes it, or drops it.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if io::stderr().lock().write_all(line).is_err() {
            LOST.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn hook_panics() {
    panic::set_hook(Box::new(tell_panic));
}

/// The message of a panic may quote what was in hand (slicing a text quotes the text), so it is left out; the place is
/// enough to find the line. Must not panic itself, which would end the process: what it calls writes to [`Stderr`] alone.
fn tell_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map_or_else(|| "unknown".to_owned(), ToString::to_string);
    if let Some(database) = foreign_code().or_else(own_thread_of_database) {
        // Whoever called it says next which file or view is damaged, and what becomes of it.
        warn!(place, database, "{database} panicked on what it read; this is caught and taken for damage");
        return;
    }
    let backtrace = std::backtrace::Backtrace::capture();
    error!(place, %backtrace, "a task panicked; this is a bug in this program");
}

/// sled has threads of its own; what fails there is told to whoever waits for it.
fn own_thread_of_database() -> Option<&'static str> {
    std::thread::current().name().filter(|name| name.starts_with("sled-")).map(|_| "sled")
}
