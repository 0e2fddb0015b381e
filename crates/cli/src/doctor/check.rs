//! One line of the doctor's report, and the checks that need no server.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::{Value, json};

use crate::failure::Failure;

/// How something is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Ok,
    /// Works, and deserves a look.
    Warn,
    Fail,
}

/// One thing that was looked at.
#[derive(Debug)]
pub(super) struct Check {
    pub(super) name: &'static str,
    pub(super) state: State,
    pub(super) said: String,
    pub(super) remedy: Option<String>,
}

impl Check {
    pub(super) fn ok(name: &'static str, said: impl Into<String>) -> Self {
        Self { name, state: State::Ok, said: said.into(), remedy: None }
    }

    pub(super) fn warn(name: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { name, state: State::Warn, said: said.into(), remedy: Some(remedy.into()) }
    }

    pub(super) fn fail(name: &'static str, said: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { state: State::Fail, ..Self::warn(name, said, remedy) }
    }

    /// What another part of the client calls a failure.
    pub(super) fn failed(name: &'static str, failure: &Failure) -> Self {
        let said = match &failure.why {
            Some(why) => format!("{}: {why}", failure.what),
            None => failure.what.clone(),
        };
        Self { name, state: State::Fail, said, remedy: failure.remedies.first().cloned() }
    }

    pub(super) fn to_json(&self) -> Value {
        let state = match self.state {
            State::Ok => "ok",
            State::Warn => "warn",
            State::Fail => "fail",
        };
        json!({"name": self.name, "state": state, "said": self.said, "remedy": self.remedy})
    }
}

/// Whether others on this machine can read the key.
pub(super) fn key_file(path: &Path) -> Check {
    const NAME: &str = "key file";
    match fs::metadata(path) {
        Ok(metadata) => {
            let mode = metadata.permissions().mode() & 0o777;
            if mode & 0o077 == 0 {
                Check::ok(NAME, format!("only its owner may read it ({mode:04o})"))
            } else {
                Check::fail(
                    NAME,
                    format!("other users of this machine may read it ({mode:04o})"),
                    format!(
                        "chmod 600 {}, and revoke the key if somebody else may have read it",
                        path.display()
                    ),
                )
            }
        }
        Err(error) => Check::fail(NAME, error.to_string(), "check the path"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_that_others_may_read_fails() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("operator.key");
        fs::write(&path, "x").unwrap();
        for (mode, state) in
            [(0o600, State::Ok), (0o400, State::Ok), (0o640, State::Fail), (0o604, State::Fail)]
        {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(key_file(&path).state, state, "{mode:o}");
        }
    }
}
