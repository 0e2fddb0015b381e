//! The two streams: data on stdout, talk on stderr, colours only where a person looks.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::environment;
use crate::exit::Exit;
use crate::failure::Failure;

/// The code of the failure that is no failure: whoever read stdout has seen enough.
const READER_GONE: &str = "reader_gone";

/// Writes one line of data to stdout.
pub(crate) fn data(line: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    out.write_all(line.as_bytes())
        .and_then(|()| out.write_all(b"\n"))
        .and_then(|()| out.flush())
        .map_err(|error| writing_failed(&error))
}

/// A write to stdout failed. A closed pipe (`| head`) ends the run quietly and well.
pub(crate) fn writing_failed(error: &io::Error) -> Failure {
    if error.kind() == io::ErrorKind::BrokenPipe {
        return Failure::new(Exit::Ok, READER_GONE, "whoever read the output is gone");
    }
    Failure::io("cannot write to stdout", error)
}

/// Says one line on stderr. There is nowhere to complain when that fails.
pub(crate) fn say(line: &str) {
    drop(writeln!(io::stderr().lock(), "{line}"));
}

/// Asks on stderr, without ending the line.
pub(crate) fn ask(prompt: &str) {
    let mut err = io::stderr().lock();
    drop(err.write_all(prompt.as_bytes()).and_then(|()| err.flush()));
}

/// Whether a person can be asked: what we ask must be seen and the answer typed.
pub(crate) fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Text from elsewhere without what could move a cursor, hide or reorder text; each such character shows as `�`.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let bad = |c: char| {
        c.is_control()
            || matches!(c, '\u{061c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if text.chars().any(bad) {
        Cow::Owned(text.chars().map(|c| if bad(c) { char::REPLACEMENT_CHARACTER } else { c }).collect())
    } else {
        Cow::Borrowed(text)
    }
}

/// Colours, or none.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint {
    on: bool,
}

impl Paint {
    /// For data on stdout.
    pub(crate) fn stdout() -> Self {
        Self { on: io::stdout().is_terminal() && environment::allows_colour() }
    }

    /// For talk on stderr.
    pub(crate) fn stderr() -> Self {
        Self { on: io::stderr().is_terminal() && environment::allows_colour() }
    }

    /// Never any: for files.
    pub(crate) const fn plain() -> Self {
        Self { on: false }
    }

    pub(crate) fn red(self, text: &str) -> String {
        self.wrap("31", text)
    }

    pub(crate) fn green(self, text: &str) -> String {
        self.wrap("32", text)
    }

    pub(crate) fn yellow(self, text: &str) -> String {
        self.wrap("33", text)
    }

    pub(crate) fn bold(self, text: &str) -> String {
        self.wrap("1", text)
    }

    pub(crate) fn dim(self, text: &str) -> String {
        self.wrap("2", text)
    }

    fn wrap(self, style: &str, text: &str) -> String {
        if self.on { format!("\u{1b}[{style}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_from_elsewhere_cannot_drive_the_terminal() {
        assert_eq!(printable("Newsletter ä 日本"), "Newsletter ä 日本");
        assert_eq!(printable("a\n\u{1b}]0;x\u{7}b\u{202e}c"), "a\u{fffd}\u{fffd}]0;x\u{fffd}b\u{fffd}c");
    }

    #[test]
    fn no_colour_means_no_escapes() {
        assert_eq!(Paint::plain().red("no"), "no");
        assert_eq!(Paint { on: true }.red("no"), "\u{1b}[31mno\u{1b}[0m");
    }

    #[test]
    fn a_reader_that_left_is_no_error() {
        let gone = writing_failed(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(gone.exit, Exit::Ok);
        assert_eq!(writing_failed(&io::Error::from(io::ErrorKind::StorageFull)).exit, Exit::Error);
    }
}
