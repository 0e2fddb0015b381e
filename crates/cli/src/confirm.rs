//! Asks before what cannot be undone: the name is typed, or passed with `--confirm=` in scripts.

use std::io::{self, BufRead, Read};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::screen::{self, is_interactive, printable};

/// Longest answer that is read: names are far below.
const MAX_ANSWER: u64 = 4096;

/// Whether `expected` was passed or is typed now. Without a terminal nobody is asked, and nothing is done.
pub(crate) fn confirm(what: &str, expected: &str, passed: Option<&str>) -> Result<(), Failure> {
    match passed {
        Some(passed) if passed == expected => return Ok(()),
        Some(_) => {
            return Err(Failure::usage("--confirm does not name what would be changed; nothing was changed")
                .remedy(format!("to {what}, pass --confirm={}", quoted(expected))));
        }
        None => {}
    }
    if !is_interactive() {
        return Err(Failure::usage(format!(
            "this would {what}, and there is no terminal to ask; nothing was changed"
        ))
        .remedy(format!("pass --confirm={}", quoted(expected))));
    }
    screen::ask(&format!("Type {} to {what}: ", printable(expected)));
    let typed = read_line()?;
    if typed.trim() == expected.trim() {
        return Ok(());
    }
    Err(Failure::new(Exit::Refused, "not_confirmed", "that is not the name; nothing was changed"))
}

/// A yes or no, no by default.
pub(crate) fn yes(question: &str) -> Result<bool, Failure> {
    screen::ask(&format!("{question} [y/N] "));
    Ok(matches!(read_line()?.trim(), "y" | "Y" | "yes"))
}

fn read_line() -> Result<String, Failure> {
    let mut line = String::new();
    io::stdin()
        .lock()
        .take(MAX_ANSWER)
        .read_line(&mut line)
        .map_err(|error| Failure::io("cannot read the answer", &error))?;
    Ok(line)
}

/// As a shell takes it.
pub(crate) fn quoted(text: &str) -> String {
    if !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'/'))
    {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_has_to_name_the_key() {
        assert!(confirm("revoke it", "mailer", Some("mailer")).is_ok());
        let wrong = confirm("revoke it", "spring mailer", Some("mailer")).unwrap_err();
        assert_eq!(wrong.exit, Exit::Usage);
        assert!(wrong.remedies[0].ends_with("--confirm='spring mailer'"));
    }

    #[test]
    fn names_are_quoted_for_the_shell() {
        assert_eq!(quoted("mailer-2"), "mailer-2");
        assert_eq!(quoted("team's key"), r"'team'\''s key'");
    }
}
