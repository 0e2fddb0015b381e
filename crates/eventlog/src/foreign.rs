//! Calls into a database that may panic on what it reads, marked, so that a panic hook can tell such damage from a bug of ours.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    /// The database whose code this thread runs, if a panic in it is caught.
    static CALLED: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The database panicked; the panic hook has told where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignPanic;

/// Runs `call`, which enters `database`'s code, on this thread. A panic is caught: to the caller it is one more way in which
/// stored data can be bad.
///
/// # Errors
/// [`ForeignPanic`].
pub fn catch_foreign<T>(database: &'static str, call: impl FnOnce() -> T) -> Result<T, ForeignPanic> {
    // Put back also when a panic unwinds through here; the panic hook runs before that.
    let _mark = Mark(CALLED.replace(Some(database)));
    catch_unwind(AssertUnwindSafe(call)).map_err(|_| ForeignPanic)
}

/// The database whose code runs on this thread under [`catch_foreign`]; for the panic hook.
#[must_use]
pub fn foreign_code() -> Option<&'static str> {
    CALLED.get()
}

struct Mark(Option<&'static str>);

impl Drop for Mark {
    fn drop(&mut self) {
        CALLED.set(self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_is_there_while_foreign_code_runs_and_gone_after_its_panic() {
        assert_eq!(foreign_code(), None);
        let nested = catch_foreign("outer", || {
            let inner =
                catch_foreign("inner", || assert_ne!(foreign_code(), Some("inner"), "it panics here"));
            (inner, foreign_code())
        });
        assert_eq!(nested, Ok((Err(ForeignPanic), Some("outer"))));
        assert_eq!(foreign_code(), None);
    }
}
