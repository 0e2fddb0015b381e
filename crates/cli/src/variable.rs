//! Names of environment variables on the command line.

/// A name that every shell and program can read: letters, digits and `_`, no digit first.
pub(crate) fn parse(text: &str) -> Result<String, String> {
    let starts = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let fits =
        text.bytes().next().is_some_and(starts) && text.bytes().all(|b| starts(b) || b.is_ascii_digit());
    if fits {
        Ok(text.to_owned())
    } else {
        Err("a variable is A-Z, a-z, 0-9 and '_', no digit first".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_one_that_a_shell_can_name() {
        for good in ["API_KEY", "_", "mailer2"] {
            assert!(parse(good).is_ok(), "{good}");
        }
        for bad in ["", "2MAILER", "MAILER-KEY", "MAILER KEY", "MÄIL", "A=B"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }
}
